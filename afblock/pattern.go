package afblock

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/afc-project/afc/graph"
)

// Pattern is a fixed selection of frames: this share of them, evenly spaced
// and staggered from block to block, so that successive blocks see different
// frames. 0 selects none, 1 all.
type Pattern struct{ Ratio float64 }

// ParsePattern reads "all", "none" or "uniform:R", R the share of frames.
func ParsePattern(s string) (Pattern, error) {
	switch ratio, uniform := strings.CutPrefix(s, "uniform:"); {
	case s == "all":
		return Pattern{1}, nil
	case s == "none":
		return Pattern{0}, nil
	case uniform:
		r, err := strconv.ParseFloat(ratio, 64)
		if err == nil && r >= 0 && r <= 1 {
			return Pattern{r}, nil
		}
	}
	return Pattern{}, fmt.Errorf("navigation %q: expected all, none or uniform:R with R between 0 and 1", s)
}

func (p Pattern) String() string {
	switch p.Ratio {
	case 0:
		return "none"
	case 1:
		return "all"
	}
	return "uniform:" + strconv.FormatFloat(p.Ratio, 'g', -1, 64)
}

// Count returns how many of the given frames the pattern selects: the ratio of
// them, rounded, but at least one unless the ratio is 0.
func (p Pattern) Count(frames int) int {
	if p.Ratio <= 0 {
		return 0
	}
	return min(max(int(math.Round(p.Ratio*float64(frames))), 1), frames)
}

// share is the part of the given frames that the pattern selects.
func (p Pattern) share(frames int) float64 { return float64(p.Count(frames)) / float64(frames) }

// Select says which frames the pattern's block-th block selects, counted in
// network order. A step of one frame from block to block staggers them.
func (p Pattern) Select(frames, block int) []bool {
	k := p.Count(frames)
	selected := make([]bool, frames)
	for t := range selected {
		selected[t] = (t+block)*k%frames < k
	}
	return selected
}

// patternLogit is the size of the logits that spell a pattern: far from a tie,
// near enough for fine-tuning's Gumbel noise to try the other choice (one in
// eight draws).
const patternLogit = 1

// Force makes a navigation select these frames of each clip, whatever it sees:
// its last layer looks at each frame alone, with zero weights, so that the bias
// decides.
func (n *Navigation) Force(selected []bool) {
	bias := make([]float32, 0, 2*len(selected))
	for _, s := range selected {
		logit := float32(-patternLogit)
		if s {
			logit = patternLogit
		}
		bias = append(bias, -logit, logit)
	}
	rows := int64(len(bias))
	n.Choice.Weight = graph.Float32s([]int64{rows, 2, 1, 1}, make([]float32, 2*rows)...)
	n.Choice.Bias = graph.Float32s([]int64{rows}, bias...)
	n.Choice.Groups, n.Fixed = len(selected), nil
}

// Forced returns the frames that a navigation selects whatever it sees: its
// last layer has zero weights. ok is false where it looks at the frames.
func (n *Navigation) Forced() (selected []bool, ok bool) {
	w, err := n.Choice.Weight.Float32s()
	if err != nil || n.Choice.Bias == nil || slices.ContainsFunc(w, func(x float32) bool { return x != 0 }) {
		return nil, false
	}
	bias, err := n.Choice.Bias.Float32s()
	if err != nil {
		return nil, false
	}
	for t := 0; t+1 < len(bias); t += 2 {
		selected = append(selected, bias[t+1] > bias[t])
	}
	return selected, true
}

// spell makes a navigation, the block-th, select the pattern.
func (p Pattern) spell(n *Navigation, frames, block int) {
	n.Force(p.Select(frames, block))
	n.Fixed = &p
}

// Spells reports whether a navigation's last layer still selects as many frames
// as a fixed pattern.
func (n *Navigation) Spells(p Pattern) bool {
	selected, ok := n.Forced()
	count := 0
	for _, s := range selected {
		if s {
			count++
		}
	}
	return ok && count == p.Count(len(selected))
}

// WithFrames returns the network for clips of another number of frames. Fixed
// navigation patterns are made anew; trained navigation has weights for each
// frame and is refused.
func (net *Network) WithFrames(frames int) (*Network, error) {
	if frames == net.Frames {
		return net, nil
	}
	if frames < 1 {
		return nil, &graph.Error{Reason: fmt.Sprintf("frames a clip: expected 1 or more, found %d", frames)}
	}
	out := net.Clone()
	out.Frames = frames
	for i, n := range out.Navigation() {
		if n.Fixed == nil {
			return nil, &graph.Error{Node: n.Key, Reason: fmt.Sprintf(
				"this navigation was trained for clips of %d frames and has weights for each; it cannot serve %d", net.Frames, frames)}
		}
		n.Fixed.spell(n, frames, i)
	}
	return out, nil
}
