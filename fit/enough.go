package fit

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
)

// TooFewError says that the clips do not tell a layer's weights.
type TooFewError struct {
	Layer     string
	Unknowns  int // of each output
	Positions int // of the layer's maps, that a regression looks at
	Clips     int // that show them, in the way they were given
	// Limited says that Options.Rows, not the clips, is what is too few.
	Limited bool
}

func (e *TooFewError) Error() string {
	layer := names.InWords(e.Layer)
	switch {
	case e.Positions == 0:
		return fmt.Sprintf("%s: no frame of the clips is selected", layer)
	case e.Limited:
		return fmt.Sprintf("%s: %d unknowns an output, of which a regression looks at %d positions: it takes %d positions or more", layer, e.Unknowns, e.Positions, e.Unknowns+1)
	}
	return fmt.Sprintf("%s: %d unknowns an output, and %d clips show %d positions of its maps: it takes %d clips or more to fit on", layer, e.Unknowns, e.Clips, e.Positions, e.Need())
}

// Need is how many clips the layer takes; 0 where more of them would not help.
func (e *TooFewError) Need() int {
	if e.Positions == 0 || e.Limited {
		return 0
	}
	return ceilDiv((e.Unknowns+1)*e.Clips, e.Positions)
}

// enough refuses clips that do not tell all weights, before anything is fitted:
// it names the layer that takes most of them. Frames are of the given size.
func (e *engine) enough(frame afblock.Size, given int) error {
	var worst *TooFewError
	block := -1
	for u, err := range e.net.Walk(frame) {
		if err != nil {
			return err
		}
		var mask []float32
		if u.Part == afblock.PartFocal {
			block++
			mask = e.masks[block]
		}
		for _, few := range e.short(u, mask) {
			few.Clips = given
			if worst == nil || few.Limited && !worst.Limited || few.Limited == worst.Limited && few.Need() > worst.Need() {
				worst = few
			}
		}
	}
	if worst == nil {
		return nil
	}
	return worst
}

// short returns the layers of a unit that see no more positions than they have
// unknowns. The mask is of a focal block's frames.
func (e *engine) short(u afblock.Unit, mask []float32) []*TooFewError {
	var out []*TooFewError
	see := func(key string, unknowns, frames int, at afblock.Size) {
		if n := frames * at[0] * at[1]; min(n, e.opt.Rows) <= unknowns {
			out = append(out, &TooFewError{Layer: key, Unknowns: unknowns, Positions: min(n, e.opt.Rows), Limited: n > e.opt.Rows})
		}
	}
	all := e.run.clips * e.run.frames
	if u.Part == afblock.PartMix && u.Stage.AF.Transform != nil {
		see(u.Stage.AF.Transform.Key, u.In.C, all, u.Focal.Size)
	}
	if u.Block == nil {
		return out
	}
	selected := all
	if u.Part == afblock.PartFocal {
		selected = chosen(mask)
	} else if s := u.Block.Schedule; s != nil {
		selected = e.run.clips * s.Pattern.Count(e.run.frames)
	}
	if selected == 0 {
		return nil // such a block answers a constant
	}
	convs, at := u.Block.Convs(), sizes(u.Block, u.In.Size)
	for i, c := range convs {
		unknowns, frames := c.In()*c.Kernel()*c.Kernel()/c.Groups, selected
		if i == len(convs)-1 {
			unknowns += e.beside(u.Part, u.Block, u.Stage)
			if e.skippedCount() {
				frames = all
			}
		}
		see(c.Key, unknowns, frames, at[i])
	}
	return out
}

// chosen counts the frames that a mask selects.
func chosen(mask []float32) int {
	n := 0
	for _, m := range mask {
		if m > 0 {
			n++
		}
	}
	return n
}

// skippedCount reports whether frames that are not selected are rows of a focal
// block's last convolution: they get its answer to nothing.
func (e *engine) skippedCount() bool {
	return e.opt.For == Any && e.net.Unselected == afblock.UnselectedBias
}

// beside is how many inputs of a block's residual path are regressed together
// with those of its last convolution.
func (e *engine) beside(part afblock.Part, b *afblock.Block, s *afblock.Stage) int {
	side := b.Residual.Conv
	switch part {
	case afblock.PartFocal:
		if side != nil && e.opt.For == Any && b == s.AF.Focal[0] {
			return side.In()
		}
	case afblock.PartAmple:
		if side == nil && b == s.AF.Ample[0] {
			return b.In()
		}
		fallthrough
	case afblock.PartPlain:
		if b.Schedule != nil { // what the residual path brings must serve the frames that are skipped, too
			return 0
		}
		fallthrough
	default:
		if side != nil {
			return side.In()
		}
	}
	return 0
}
