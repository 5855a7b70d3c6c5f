package agreement

import "testing"

func TestCompare(t *testing.T) {
	want := [][]float64{{2, 0}, {0, 2}}
	for _, c := range []struct {
		got        [][]float64
		same, lost float64
	}{
		{want, 1, 0},
		{[][]float64{{1, 1}, {1, 1}}, 0.5, 1},    // the mean: all of the spread is lost, a tie goes to the first
		{[][]float64{{0, 2}, {2, 0}}, 0, 4},      // exchanged
		{[][]float64{{2, 0}, {0, 1}}, 1, 1. / 4}, // 1 of a spread of 4
	} {
		if same, lost := Compare(c.got, want); same != c.same || lost != c.lost {
			t.Errorf("%v: %g, %g; want %g, %g", c.got, same, lost, c.same, c.lost)
		}
	}
	if _, lost := Compare([][]float64{{3, 1}}, [][]float64{{1, 1}}); lost != 0 {
		t.Errorf("without spread: %g", lost)
	}
}

func TestRight(t *testing.T) {
	scores := [][]float64{{0, 1}, {1, 0}, {0, 1}, {1, 1}}
	if r := Right(scores, func(int) int { return 1 }); r == nil || *r != 0.5 {
		t.Errorf("right: %v", r)
	}
	for _, unknown := range []int{-1, 2} {
		if r := Right(scores, func(int) int { return unknown }); r != nil {
			t.Errorf("label %d: %g", unknown, *r)
		}
	}
}
