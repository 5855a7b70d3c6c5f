package afblock

import (
	"slices"

	"github.com/afc-project/afc/graph"
)

// Dialled returns the network with its fixed patterns spelled so that a number
// added to every logit of selecting a frame moves them: by m, a block selects m
// of the frames more, rounded, or −m fewer. Schedules of all these numbers are
// nested. Trained navigation stays: its own logits say which frames come next.
func (net *Network) Dialled() *Network {
	out := net.Clone()
	for i, n := range out.Navigation() {
		if n.Fixed != nil {
			n.rank(n.Fixed.Select(net.Frames, i), i)
		}
	}
	return out
}

// Undialled returns the network with its fixed patterns spelled as Rewrite does.
func (net *Network) Undialled() *Network {
	out := net.Clone()
	for i, n := range out.Navigation() {
		if n.Fixed != nil {
			n.Fixed.spell(n, net.Frames, i)
		}
	}
	return out
}

// rank makes a navigation select these frames by leads that say in which order it
// gives them up and takes up others: of T frames, steps of 1/T, the first of them
// half a step away.
func (n *Navigation) rank(selected []bool, block int) {
	fixed := n.Fixed
	n.Force(selected)
	n.Fixed = fixed
	bias := make([]float32, 2*len(selected))
	spell := func(t int, steps float64) {
		lead := float32(steps / float64(len(selected)))
		bias[2*t], bias[2*t+1] = -lead/2, lead/2
	}
	now := slices.Clone(selected)
	for steps := 0.5; slices.Contains(now, true); steps++ {
		t := mostEven(now, true, block)
		now[t] = false
		spell(t, steps)
	}
	copy(now, selected)
	for steps := 0.5; slices.Contains(now, false); steps++ {
		t := mostEven(now, false, block)
		now[t] = true
		spell(t, -steps)
	}
	n.Choice.Bias = graph.Float32s(n.Choice.Bias.Dims, bias...)
}

// mostEven is the frame, of those that are selected or of those that are not,
// whose change leaves the selection most evenly spread; of equal ones the first,
// counted from the block's number on, so that blocks stay staggered.
func mostEven(selected []bool, are bool, block int) int {
	frames := len(selected)
	best, least := -1, 0
	for i := range frames {
		t := (i + block) % frames
		if selected[t] != are {
			continue
		}
		selected[t] = !are
		if s := spread(selected); best < 0 || s < least {
			best, least = t, s
		}
		selected[t] = are
	}
	return best
}

// spread is the sum of the squared distances from each selected frame to the next,
// the first following the last.
func spread(selected []bool) int {
	sum, first, last := 0, -1, -1
	for t, s := range selected {
		if !s {
			continue
		}
		if first < 0 {
			first = t
		} else {
			sum += (t - last) * (t - last)
		}
		last = t
	}
	if first >= 0 {
		around := first + len(selected) - last
		sum += around * around
	}
	return sum
}
