package codegen

import (
	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
)

// selection is one focal block's choice of frames.
type selection struct {
	key        string
	index      int          // of the block, in network order
	keep, drop *graph.Value // what is compared, float32 [N, T]
	chosen     *graph.Value // bool [N·T]
	mask       *graph.Value // float32 0/1 [N·T]
	cells      *cellChoice  // inside the frames; nil: whole frames
}

// scanned is the choice as a Scan reads it: one bool a frame.
func (s selection) scanned() scanned {
	return scanned{s.chosen, graph.TensorType(graph.Bool, graph.Shape{})}
}

// navigator emits the choices of a network's focal blocks, in network order.
type navigator struct {
	*builder
	frames       int64
	masks, noise *graph.Value         // the inputs "masks_in" and "gumbel_noise", nil without
	margin       *graph.Value         // the input "margin", nil without
	cells        map[int]*graph.Value // the inputs "cells_in_0" …, by block, nil without
	made         []selection
	drops        []*graph.Value // [N, 1] each: selected frames beyond a block's budget
}

// choose emits a focal block's choice from what the ample block beside it reads:
// its average, [N·T, C, 1, 1], and the answers to its cells (cellLook), if it has
// any. A tie is not chosen.
func (n *navigator) choose(nav *afblock.Navigation, pooled, look feature) selection {
	s := selection{key: nav.Key, index: len(n.made)}
	index := int64(s.index)
	if n.masks != nil {
		s.keep = n.node("Gather", nav.Key+".keep", in(n.masks, n.scalar(index)), graph.Int("axis", 1))
		s.drop = n.floats(0.5)
		s.chosen = n.node("Greater", nav.Key+".chosen", in(n.reshape(s.keep, nav.Key+".keep_flat", -1), s.drop))
	} else {
		logits := n.logits(nav, pooled)
		if n.noise != nil {
			noise := n.node("Gather", nav.Key+".noise", in(n.noise, n.scalar(index)), graph.Int("axis", 1))
			logits = n.node("Add", nav.Key+".noisy", in(logits, noise))
		}
		s.drop = n.node("Gather", nav.Key+".drop", in(logits, n.scalar(0)), graph.Int("axis", 2))
		s.keep = n.node("Gather", nav.Key+".keep", in(logits, n.scalar(1)), graph.Int("axis", 2))
		if n.margin != nil {
			s.keep = n.node("Add", nav.Key+".dialled", in(s.keep, n.margin))
		}
		s.chosen = n.node("Greater", nav.Key+".chosen",
			in(n.reshape(s.keep, nav.Key+".keep_flat", -1), n.reshape(s.drop, nav.Key+".drop_flat", -1)))
	}
	s.mask = n.node("Where", names.Mask(nav.Key), in(s.chosen, n.floats(1), n.floats(0)))
	s.cells = n.chooseCells(nav, s, look)
	n.made = append(n.made, s)
	return s
}

// logits are navigation's answers [N, T, 2]: drop, keep.
func (n *navigator) logits(nav *afblock.Navigation, pooled feature) *graph.Value {
	look := n.relu(n.conv(pooled, convOf(&nav.Look)), names.Relu(nav.Key))
	clip := n.reshape(look.v, nav.Key+".clips", -1, 2*n.frames, 1, 1)
	ins := in(clip, n.weight(param{nav.Choice.Key + ".weight", nav.Choice.Weight}))
	if nav.Choice.Bias != nil {
		ins = append(ins, n.weight(param{nav.Choice.Key + ".bias", nav.Choice.Bias}))
	}
	y := n.node("Conv", nav.Choice.Key, ins, append(windowAttrs(nav.Choice.Window()), graph.Int("group", int64(nav.Choice.Groups)))...)
	return n.reshape(y, nav.Key+".logits", -1, n.frames, 2)
}

// masksOutput joins the choices to [N, blocks, T].
func (n *navigator) masksOutput() *graph.Value {
	parts := make([]*graph.Value, len(n.made))
	for i, s := range n.made {
		parts[i] = n.reshape(s.mask, "afc.masks.rows", -1, 1, n.frames)
	}
	return n.node("Concat", "masks", parts, graph.Int("axis", 1))
}

// dropped notes how many of all, frames or cells of each clip, were selected but
// lie beyond the budget; kept is the mask of those computed, [N·budget].
func (n *navigator) dropped(s selection, all choices, kept *graph.Value, budget int) {
	count := func(mask *graph.Value, width int64, hint string) *graph.Value {
		rows := n.reshape(mask, hint+"_rows", -1, width)
		return n.node("ReduceSum", hint, in(rows, n.vec(1)), graph.Int("keepdims", 1))
	}
	n.drops = append(n.drops, n.node("Sub", s.key+".dropped", in(
		count(all.v, int64(all.each), s.key+".selected"), count(kept, int64(budget), s.key+".computed"))))
}
