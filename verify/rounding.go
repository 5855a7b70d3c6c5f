package verify

import "slices"

const (
	// roundings is by how many times what float32 rounds, as the interpreter tells
	// it of one order of summing, a runtime's answer may be off: it sums in another
	// order, and joins batch normalisation with the kernels.
	roundings = 10
	// maxRounding bounds what passes for rounding in parts of the largest number,
	// against the exact network and between two answers that both rounded. The
	// exact network can be asked about calmer clips instead.
	maxRounding     = 2e-4
	maxPairRounding = 1e-2
	// calm is the share of their brightness that clips keep on which float32 is to
	// round less.
	calm = 1. / 4
)

// rounding is how far float32 moves a network's answers to a run's clips, under
// its choices, in parts of the largest; 0 where that cannot be asked.
func (b *beside) rounding() (float64, error) {
	p, worst := b.p, 0.0
	if p.s.Network == nil || p.s.TrunkIn != "" || p.crops > 1 {
		return 0, nil
	}
	for i, clip := range b.t.clips {
		moved, err := p.s.Network.Rounding(clip, p.h, p.w, b.given(i))
		if err != nil {
			return 0, err
		}
		worst = max(worst, moved)
	}
	return worst, nil
}

// easedBy is a tolerance for answers that float32 moves that far, each rounded
// so many times and at most by a bound.
func (t Tolerance) easedBy(rounding, times, most float64) Tolerance {
	if scale := min(times*rounding, most); scale > t.Scale {
		t.Scale, t.Rounding = scale, rounding
	}
	return t
}

// calmer is a trial on the same clips, darker.
func (t trial) calmer() trial {
	t.name, t.calm = "a quarter as bright, "+t.name, true
	clips := make([][]float32, len(t.clips))
	for i, clip := range t.clips {
		clips[i] = slices.Clone(clip)
		for k := range clips[i] {
			clips[i][k] *= calm
		}
	}
	t.clips = clips
	return t
}
