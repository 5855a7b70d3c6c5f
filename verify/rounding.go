package verify

import "github.com/afc-project/afc/interpret"

const (
	// roundings is by how many times the rounding of single sums, as the
	// interpreter tells it, two ways to compute a network may differ: a runtime
	// rounds every product of a sum.
	roundings = 10
	// maxRounding bounds what passes for rounding, in parts of the largest number.
	maxRounding = 2e-4
	// roundedClips is on how many clips rounding is looked at.
	roundedClips = 2
)

// eased is the tolerance for a difference beyond the usual one: that of rounding,
// where the subject's network is one whose answers float32 moves that far. The
// network is asked only then.
func (p *prover) eased(tol Tolerance, d Difference, clips [][]float32) (Tolerance, error) {
	if d.OK() || d.NonFinite > 0 || d.Needed > maxRounding || p.s.Network == nil || p.s.TrunkIn != "" || p.crops > 1 {
		return tol, nil
	}
	worst := 0.0
	for _, clip := range clips[:min(len(clips), roundedClips)] {
		moved, err := p.s.Network.Rounding(clip, p.h, p.w, interpret.Given{})
		if err != nil {
			return tol, err
		}
		worst = max(worst, moved)
	}
	if scale := min(roundings*worst, maxRounding); scale > tol.Scale {
		tol.Scale, tol.Rounding = scale, worst
	}
	return tol, nil
}
