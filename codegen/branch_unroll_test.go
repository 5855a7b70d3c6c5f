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
// the network lets it reach, and no other, in every form of the shift.
func TestShiftKeepsApart(t *testing.T) {
	perFrame := func(s spec) *afblock.Network {
		net := newNetwork(s)
		net.Head.Consensus = afblock.PerFrame
		return net
	}
	stack := spec{name: "scores of frames", frames: 6, size: [2]int{40, 56}, width: 8, plain: []int{1, 2}, shift: true}
	// Scans, and in the last stage frames side by side.
	modules := spec{name: "scores of an AFNet's frames", frames: 6, size: [2]int{64, 80}, width: 8, af: []int{2, 3}, plain: []int{2}, shift: true}
	// So few shifts that they cannot reach every frame of the clip.
	large := modules
	large.name, large.frames, large.size = "frames written out", 10, [2]int{160, 176}
	large.af, large.plain = []int{2}, []int{1}
	alone := perFrame(large)
	alone.Shell = oneClip{}
	for _, tc := range []struct {
		spec
		lowering codegen.Lowering
		net      *afblock.Network
		clips    int64
	}{
		{stack, codegen.Plain, perFrame(stack), 2},
		{stack, codegen.Branch, perFrame(stack), 2},
		{modules, codegen.Branch, perFrame(modules), 2},
		{large, codegen.Branch, alone, 1},
	} {
		t.Run(fmt.Sprintf("%s, %s", tc.name, tc.lowering), func(t *testing.T) {
			opt := codegen.Options{Lowering: codegen.Mask, MasksInput: len(tc.af) > 0}
			whole := open(t, perFrame(tc.spec), opt)
			opt.Lowering = tc.lowering
			if tc.net == alone && !unrolled(t, tc.net, opt) {
				t.Fatal("frames are not written out")
			}
			r := open(t, tc.net, opt)
			inputs := map[string]*graph.Tensor{}
			if opt.MasksInput {
				blocks := int64(len(compiled.FocalBlocks(tc.net)))
				inputs[names.MasksIn] = maskKinds[1].masks(tc.clips, blocks, int64(tc.frames)) // all
			}
			for _, value := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
				for frame := range int(tc.clips) * tc.frames {
					in := clip(tc.clips, tc.spec)
					v, err := in.Float32s()
					if err != nil {
						t.Fatal(err)
					}
					v[frame*len(v)/(int(tc.clips)*tc.frames)+5] = value
					in = graph.Float32s(in.Dims, v...)
					inputs[afblock.DefaultInput] = in
					want, _ := whole.run(t, inputs)
					if tc.net == alone {
						inputs[afblock.DefaultInput] = frames(in)
					}
					got, _ := r.run(t, inputs)
					a, b := finiteRows(t, got), finiteRows(t, want)
					if fmt.Sprint(a) != fmt.Sprint(b) {
						t.Errorf("%v in frame %d: finite scores of frames %v, want %v", value, frame, a, b)
					}
				}
			}
		})
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
