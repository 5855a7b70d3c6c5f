package agreement

// First is the class with the highest score, of equal ones the first.
func First(scores []float64) int {
	best := 0
	for k, s := range scores {
		if s > scores[best] {
			best = k
		}
	}
	return best
}

// Right is the part of the clips whose label has the highest score, nil where a
// label is not known.
func Right(scores [][]float64, label func(clip int) int) *float64 {
	n := 0.0
	for i, s := range scores {
		want := label(i)
		if want < 0 || want >= len(s) {
			return nil
		}
		if First(s) == want {
			n++
		}
	}
	n /= float64(len(scores))
	return &n
}

// Compare is the part of the clips whose first class is the same, and the squared
// error of scores in parts of the wanted ones' spread around each class's mean; 0
// where they have none.
func Compare(got, want [][]float64) (same, lost float64) {
	mean := make([]float64, len(want[0]))
	for _, w := range want {
		for k, x := range w {
			mean[k] += x / float64(len(want))
		}
	}
	spread := 0.0
	for i, w := range want {
		for k, x := range w {
			lost += (got[i][k] - x) * (got[i][k] - x)
			spread += (x - mean[k]) * (x - mean[k])
		}
		if First(got[i]) == First(w) {
			same += 1 / float64(len(want))
		}
	}
	if spread == 0 {
		return same, 0
	}
	return same, lost / spread
}
