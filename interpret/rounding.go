package interpret

import "math"

// Rounding is how far a clip's scores move, in parts of the largest, when the
// network's convolutions sum in float32 and their batch normalisations round to
// it: what a runtime that sums in another order cannot be held to. Frames are chosen
// as given or, without that, as the exact network chooses them. It fails as Clip
// does.
func (n *Network) Rounding(pixels []float32, h, w int, given Given) (float64, error) {
	exact, err := n.Clip(pixels, h, w, given)
	if err != nil {
		return 0, err
	}
	if given.Force == nil && given.Follow == nil {
		given.Follow = exact.Chosen
	}
	if given.ForceCells == nil && given.FollowCells == nil {
		given.FollowCells = exact.Cells
	}
	given.Single = true
	rounded, err := n.Clip(pixels, h, w, given)
	if err != nil {
		return 0, err
	}
	moved, peak := 0.0, 0.0
	for i, row := range exact.Scores {
		for k, x := range row {
			moved, peak = max(moved, math.Abs(rounded.Scores[i][k]-x)), max(peak, math.Abs(x))
		}
	}
	if peak == 0 {
		return 0, nil
	}
	return moved / peak, nil
}
