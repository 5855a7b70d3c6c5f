package afblock

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/afc-project/afc/graph"
)

// Part is what a unit does in the network.
type Part string

// The parts, in the order of the state dict.
const (
	PartStem       Part = "stem"
	PartPlain      Part = "plain"
	PartNavigation Part = "navigation"
	PartCells      Part = "cells" // of a navigation that chooses inside the frames
	PartAmple      Part = "ample"
	PartFocal      Part = "focal"
	PartMix        Part = "mix" // base transform, gate, mixing
	PartFusion     Part = "fusion"
	PartHead       Part = "head"
)

// A navigation's cells follow it.
var partOrder = map[Part]int{
	PartStem: 0, PartPlain: 1, PartNavigation: 2, PartCells: 2, PartAmple: 3, PartFocal: 4, PartMix: 5, PartFusion: 6, PartHead: 7,
}

// Unit is a piece of the network that computes one map of others: a block, a
// navigation, the mix of a module's branches, stem, head.
type Unit struct {
	Stage  *Stage // nil of stem and head
	Part   Part
	Key    string  // of the block or navigation; "" of the stem
	In     Map     // what it reads; the mix reads Focal too
	Focal  Map     // of the mix: the focal branch's end
	Layers []Layer // on the main path, in order

	Block      *Block      // of plain, ample, focal and fusion
	Navigation *Navigation // of navigation and its cells
}

// Name is the name of the unit's stage: "stem", "layer1" …, "head".
func (u *Unit) Name() string {
	if u.Stage == nil {
		return string(u.Part)
	}
	return u.Stage.Name
}

// MainLine reports whether the unit is on the network's main line: what a plain
// network of the same backbone has, a module's focal blocks and fusion.
func (u *Unit) MainLine() bool {
	return u.Navigation == nil && u.Part != PartAmple && u.Part != PartMix
}

// Normalises reports whether batch normalisation stands behind a convolution of
// the unit, or may.
func (u *Unit) Normalises(c *Conv) bool { return u.Navigation == nil || !u.Navigation.chooses(c) }

// All returns the unit's layers, those of its residual path last.
func (u *Unit) All() []Layer {
	if u.Block == nil {
		return u.Layers
	}
	return slices.Concat(u.Layers, u.Block.Residual.Layers())
}

// Walk goes through the network from stem to head in the order of computation,
// for frames of the given size: this is the one place that knows what follows
// what. It ends with an error where a map vanishes or a block's two paths differ.
func (net *Network) Walk(frame Size) iter.Seq2[Unit, error] {
	return func(yield func(Unit, error) bool) {
		w := walker{yield: yield}
		x := w.unit(Unit{Part: PartStem, In: Map{net.Stem.Conv.In(), frame}, Layers: net.Stem.Layers()})
		for _, s := range net.Stages {
			if s.AF != nil {
				x = w.module(s, x)
				continue
			}
			for _, b := range s.Blocks {
				x = w.block(s, PartPlain, b, x)
			}
		}
		w.unit(Unit{Part: PartHead, Key: net.Head.FC.Key, In: x, Layers: net.Head.Layers()})
	}
}

// walker yields units until it is told to stop.
type walker struct {
	yield func(Unit, error) bool
	done  bool
}

// unit yields u and returns what its main path makes.
func (w *walker) unit(u Unit) Map {
	if w.done {
		return Map{}
	}
	y, err := u.In.through(u.Layers)
	if err == nil && u.Block != nil && !u.Block.Residual.None {
		var side Map
		if side, err = u.In.through(u.Block.Residual.Layers()); err == nil && side != y {
			err = fmt.Errorf("%s: maps of %s meet a residual path's of %s", u.Key, y.Size, side.Size)
			if side.Size == y.Size {
				err = fmt.Errorf("%s: %d channels meet a residual path's %d", u.Key, y.C, side.C)
			}
		}
	}
	if err != nil {
		w.fail(u, err)
		return Map{}
	}
	w.done = !w.yield(u, nil)
	return y
}

// fail ends the walk.
func (w *walker) fail(u Unit, err error) {
	w.done = true
	if u.Part == PartCells {
		err = fmt.Errorf("%s: %w", u.Key, err)
	}
	w.yield(u, err)
}

func (w *walker) block(s *Stage, part Part, b *Block, x Map) Map {
	return w.unit(Unit{Stage: s, Part: part, Key: b.Key, In: x, Layers: b.Main, Block: b})
}

func (w *walker) module(s *Stage, x Map) Map {
	m, a, f := s.AF, x, x
	for i, focal := range m.Focal {
		n := m.Navigation[i]
		w.unit(Unit{Stage: s, Part: PartNavigation, Key: n.Key, In: a, Layers: n.Layers(), Navigation: n})
		cells := Unit{Stage: s, Part: PartCells, Key: n.Key, In: a, Navigation: n}
		if n.Cells != nil {
			cells.Layers = n.Cells.Layers()
			w.unit(cells)
		}
		a = w.block(s, PartAmple, m.Ample[i], a)
		f = w.block(s, PartFocal, focal, f)
		if n.Cells != nil && !w.done {
			if _, err := CellPool(n.Cells.Grid).Through(f); err != nil {
				w.fail(cells, err)
			}
		}
	}
	w.unit(Unit{Stage: s, Part: PartMix, Key: m.MixKey(), In: a, Focal: f, Layers: m.MixLayers()})
	return w.block(s, PartFusion, m.Fusion, f)
}

// Units returns the units in the order of the state dict, in which a module's
// parts stand one after the other.
func (net *Network) Units() []Unit {
	var units []Unit
	stage := map[*Stage]int{nil: -1}
	for u, err := range net.Walk(Size{}) {
		if err != nil {
			panic("BUG: a network that does not hold together: " + err.Error())
		}
		if u.Stage != nil {
			if _, ok := stage[u.Stage]; !ok {
				stage[u.Stage] = len(stage)
			}
		}
		units = append(units, u)
	}
	place := func(u Unit) int {
		if u.Part == PartHead {
			return len(stage)
		}
		return stage[u.Stage]
	}
	slices.SortStableFunc(units, func(a, b Unit) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(partOrder[a.Part], partOrder[b.Part]))
	})
	return units
}

// Layers iterates over all layers in the order of the state dict.
func (net *Network) Layers() iter.Seq[Layer] {
	return func(yield func(Layer) bool) {
		for _, u := range net.Units() {
			for _, l := range u.All() {
				if !yield(l) {
					return
				}
			}
		}
	}
}

// Tensors iterates over all tensors in the order of the state dict, by their
// keys without prefix.
func (net *Network) Tensors() iter.Seq2[string, **graph.Tensor] {
	return func(yield func(string, **graph.Tensor) bool) {
		for l := range net.Layers() {
			if !l.Tensors(func(key string, at **graph.Tensor, _ bool) bool { return yield(key, at) }) {
				return
			}
		}
	}
}

// Convs iterates over the convolutions in the order of the state dict, but for
// those that make logits of selections: those that batch normalisation stands
// behind, or may.
func (net *Network) Convs() iter.Seq[*Conv] {
	return func(yield func(*Conv) bool) {
		for _, u := range net.Units() {
			for _, l := range u.All() {
				c, ok := l.(*Conv)
				if ok && u.Normalises(c) && !yield(c) {
					return
				}
			}
		}
	}
}

// Blocks iterates over every residual block in the order of the state dict.
func (net *Network) Blocks() iter.Seq[*Block] {
	return func(yield func(*Block) bool) {
		for _, u := range net.Units() {
			if u.Block != nil && !yield(u.Block) {
				return
			}
		}
	}
}

// Navigation returns the navigation of every focal block, in network order.
func (net *Network) Navigation() []*Navigation {
	var list []*Navigation
	for _, s := range net.Stages {
		if s.AF != nil {
			list = append(list, s.AF.Navigation...)
		}
	}
	return list
}
