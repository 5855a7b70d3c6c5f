package codegen_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify"
)

// oneClip is the standard shell of a model that takes one clip at a time, its
// frames as the batch.
type oneClip struct{ afblock.StandardShell }

func (oneClip) Prefix(g *graph.Graph, net *afblock.Network) (*graph.Value, error) {
	return g.AddInput(afblock.DefaultInput, graph.TensorType(graph.Float32,
		graph.ShapeOf(int64(net.Frames), 3, int64(net.Size[0]), int64(net.Size[1])))), nil
}

// frames views a batch of one clip as oneClip takes it.
func frames(clip *graph.Tensor) *graph.Tensor { return clip.Reshaped(clip.Dims[1:]...) }

// TestOneClipAgrees: what branch writes for one clip computes what mask does, on
// masks of every kind.
func TestOneClipAgrees(t *testing.T) {
	everySecond := func(net *afblock.Network) {
		for _, st := range net.Stages {
			if m := st.AF; m != nil {
				m.Ample[0].Shift, m.Focal[1].Shift = nil, nil
			}
		}
	}
	large := spec{name: "two stages", frames: 3, size: [2]int{160, 176}, width: 8, af: []int{3, 4, 3}, plain: []int{3}, shift: true}
	with := func(name string, change func(*spec)) spec {
		s := large
		change(&s)
		s.name = name
		return s
	}
	for _, tc := range []struct {
		spec
		change func(*afblock.Network)
		kept   bool // as for any number of clips
	}{
		{spec: large},
		{spec: with("blocks without shift", func(*spec) {}), change: everySecond},
		{spec: with("past first", func(*spec) {}), change: func(net *afblock.Network) {
			for _, st := range net.Stages {
				for _, blk := range blocksOf(st) {
					blk.Shift.PastFirst = true
				}
			}
		}},
		{spec: with("two frames", func(s *spec) { s.frames = 2 })},
		{spec: with("dense focal", func(s *spec) { s.groups = 1 })},
		{spec: with("four groups", func(s *spec) { s.groups = 4 })},
		{spec: with("zero", func(s *spec) { s.unselected = afblock.UnselectedZero })},
		{spec: with("the source's strides", func(s *spec) { s.ownStrides = true })},
		{spec: with("basic", func(s *spec) { s.basic, s.width = true, 16 })},
		{spec: with("odd maps", func(s *spec) { s.size = [2]int{150, 166} })},
		{spec: with("navigation across frames", func(s *spec) { s.dense = true })},
		{spec: with("shift before the block", func(s *spec) { s.residual = true }), kept: true},
		{spec: with("one frame", func(s *spec) { s.frames = 1 }), kept: true},
		{spec: with("no shift", func(s *spec) { s.shift = false }), kept: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			net := newNetwork(tc.spec)
			if tc.change != nil {
				tc.change(net)
			}
			blocks := int64(len(compiled.FocalBlocks(net)))
			opt := codegen.Options{Lowering: codegen.Mask, MasksInput: true, MasksOutput: true}
			reference := open(t, net, opt)
			one := *net
			one.Shell = oneClip{}
			opt.Lowering = codegen.Branch
			if got := unrolled(t, &one, opt); got == tc.kept {
				t.Fatalf("frames written one by one: %v", got)
			}
			r := open(t, &one, opt)
			for _, kind := range maskKinds {
				masks := kind.masks(1, blocks, int64(tc.frames))
				in := clip(1, tc.spec)
				want, _ := reference.run(t, map[string]*graph.Tensor{afblock.DefaultInput: in, names.MasksIn: masks})
				got, gotMasks := r.run(t, map[string]*graph.Tensor{afblock.DefaultInput: frames(in), names.MasksIn: masks})
				same(t, "masks", gotMasks, masks, verify.Exact)
				same(t, kind.name+": logits", got, want, alike)
			}
		})
	}
}

// blocksOf are all blocks of a stage.
func blocksOf(st *afblock.Stage) []*afblock.Block {
	if st.AF == nil {
		return st.Blocks
	}
	return append(slices.Concat(st.AF.Ample, st.AF.Focal), st.AF.Fusion)
}

// unrolled reports whether a lowered network has Ifs in its main graph.
func unrolled(t *testing.T, net *afblock.Network, opt codegen.Options) bool {
	t.Helper()
	m, _, err := codegen.Lower(net, opt)
	if err != nil {
		t.Fatal(err)
	}
	for n := range m.Graph.Nodes() {
		if n.Is("If") {
			return true
		}
	}
	return false
}

// TestShiftKeepsApart: what is not finite in a frame or clip reaches those that
// the network lets it reach, and no other.
func TestShiftKeepsApart(t *testing.T) {
	s := spec{name: "scores of frames", frames: 6, size: [2]int{40, 56}, width: 8, plain: []int{1, 2}, shift: true}
	net := newNetwork(s)
	net.Head.Consensus = afblock.PerFrame
	whole := open(t, net, codegen.Options{Lowering: codegen.Mask})
	for _, lowering := range []codegen.Lowering{codegen.Plain, codegen.Branch} {
		r := open(t, net, codegen.Options{Lowering: lowering})
		for _, value := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
			for frame := range 2 * s.frames {
				in := clip(2, s)
				v, err := in.Float32s()
				if err != nil {
					t.Fatal(err)
				}
				v[frame*len(v)/(2*s.frames)+5] = value
				inputs := map[string]*graph.Tensor{afblock.DefaultInput: graph.Float32s(in.Dims, v...)}
				want, _ := whole.run(t, inputs)
				got, _ := r.run(t, inputs)
				if a, b := finiteRows(t, got), finiteRows(t, want); fmt.Sprint(a) != fmt.Sprint(b) {
					t.Errorf("%s, %v in frame %d: finite scores of frames %v, want %v", lowering, value, frame, a, b)
				}
			}
		}
	}
}

// finiteRows are the rows whose scores are all finite.
func finiteRows(t *testing.T, scores *graph.Tensor) []int {
	t.Helper()
	v, err := scores.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	each := len(v) / int(scores.Dims[0])
	var rows []int
	for r := range int(scores.Dims[0]) {
		finite := true
		for _, x := range v[r*each : (r+1)*each] {
			finite = finite && !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0)
		}
		if finite {
			rows = append(rows, r)
		}
	}
	return rows
}
