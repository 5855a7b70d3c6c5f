package verify

const (
	// roundings is by how many times what float32 rounds, as the interpreter tells
	// it of one order of summing, a runtime's answer may be off: it sums in another
	// order, and joins batch normalisation with the kernels.
	roundings = 10
	// maxRounding bounds what passes for rounding, in parts of the largest number.
	maxRounding = 1e-2
)

// eased is the tolerance for a difference beyond the usual one: that of rounding,
// where the subject's network is one whose answers to these clips, under these
// choices, float32 moves that far; runs are the answers among the two compared
// that rounded. The network is asked only then.
func (p *prover) eased(tol Tolerance, d Difference, b *beside, runs float64) (Tolerance, error) {
	if d.OK() || d.NonFinite > 0 || d.Needed > maxRounding || p.s.Network == nil || p.s.TrunkIn != "" || p.crops > 1 {
		return tol, nil
	}
	worst := 0.0
	for i, clip := range b.t.clips {
		moved, err := p.s.Network.Rounding(clip, p.h, p.w, b.given(i))
		if err != nil {
			return tol, err
		}
		worst = max(worst, moved)
	}
	if scale := min(runs*roundings*worst, maxRounding); scale > tol.Scale {
		tol.Scale, tol.Rounding = scale, worst
	}
	return tol, nil
}
