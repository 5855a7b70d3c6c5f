package codegen_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// boxed are networks of one clip whose cells branch computes in the Ifs of their
// frames: one after the other in a Scan, in chains and alone, written out in
// pieces, and in pieces from Scan to Scan; on maps that cells divide and others.
var boxed = []struct {
	spec
	grids []int
}{
	{spec{name: "tsn, chains and small maps", frames: 2, size: [2]int{160, 176}, width: 8, af: []int{3, 4, 3}, plain: []int{1}}, []int{4, 3, 2}},
	{spec{name: "tsm, written out and in pieces", frames: 3, size: [2]int{160, 176}, width: 8, af: []int{3, 4, 3}, plain: []int{1}, shift: true}, []int{4, 3, 2}},
	{spec{name: "odd maps", frames: 2, size: [2]int{170, 150}, width: 8, af: []int{3, 2, 3}, plain: []int{1}, shift: true}, []int{5, 4, 3}},
	{spec{name: "odd maps, still", frames: 2, size: [2]int{170, 150}, width: 8, af: []int{3, 2, 3}, plain: []int{1}}, []int{5, 4, 3}},
	{spec{name: "basic blocks", frames: 2, size: [2]int{130, 118}, width: 16, af: []int{3, 2}, plain: []int{1}, basic: true, shift: true}, []int{3, 2}},
	{spec{name: "basic blocks, still", frames: 2, size: [2]int{130, 118}, width: 16, af: []int{3, 2}, plain: []int{1}, basic: true}, []int{3, 2}},
	{spec{name: "answers nothing", frames: 2, size: [2]int{160, 128}, width: 8, af: []int{3, 3}, plain: []int{1}, unselected: afblock.UnselectedZero}, []int{3}},
	{spec{name: "answers nothing, tsm", frames: 2, size: [2]int{160, 128}, width: 8, af: []int{3, 3}, plain: []int{1}, unselected: afblock.UnselectedZero, shift: true}, []int{3}},
	{spec{name: "own strides", frames: 2, size: [2]int{160, 128}, width: 8, af: []int{3, 3}, plain: []int{1}, ownStrides: true}, []int{3}},
	{spec{name: "dense focal branch", frames: 2, size: [2]int{160, 128}, width: 8, af: []int{3, 3}, plain: []int{1}, groups: 1, shift: true}, []int{4, 2}},
}

// TestBoxes holds branch to the mask lowering on cells of every kind, whether it
// knows before that boxes are worth it or decides by the frame, and with batch
// normalisation apart or folded.
func TestBoxes(t *testing.T) {
	for _, tc := range boxed {
		for _, trained := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, trained %v", tc.name, trained), func(t *testing.T) {
				net := withCells(t, tc.spec, tc.grids, trained)
				want := open(t, net, codegen.Options{Lowering: codegen.Mask, MasksInput: true})
				opt := codegen.Options{Lowering: codegen.Branch, MasksInput: true}
				m, choice, err := codegen.Lower(net, opt)
				if err != nil {
					t.Fatal(err)
				}
				boxes := 0
				for n := range m.Graph.Nodes() {
					if strings.HasSuffix(n.Name, names.Boxes("")) {
						boxes++
					}
				}
				if boxes == 0 {
					t.Errorf("no block computes boxes: %s", choice.Reason)
				}
				got := open(t, net, opt)
				for _, cells := range cellKinds {
					in := boxInputs(net, tc.size, cells.on)
					a, _ := got.run(t, in)
					b, _ := want.run(t, in)
					same(t, cells.name, a, b, spatial)
				}
			})
		}
	}
}

var cellKinds = []struct {
	name string
	on   func(row, col, last, frame int) bool
}{
	{"no cell", func(_, _, _, _ int) bool { return false }},
	{"every cell", func(_, _, _, _ int) bool { return true }},
	{"checkerboard", func(r, c, _, _ int) bool { return (r+c)%2 == 0 }},
	{"a corner a frame", func(r, c, last, frame int) bool { return r == frame%2*last && c == frame/2%2*last }},
	{"other corners", func(r, c, last, frame int) bool { return r == last-frame%2*last && c == frame%2*last }},
	{"one in the middle", func(r, c, last, _ int) bool { return r == last/2 && c == (last+1)/2 }},
	{"at random", func(r, c, last, frame int) bool {
		return rand.New(rand.NewPCG(uint64(frame), uint64(r*last+c))).IntN(3) == 0
	}},
}

// withCells is a network of one clip with cells, every second block's batch
// normalisation folded: fixed ones, few, or such as navigation would choose.
func withCells(t *testing.T, s spec, grids []int, trained bool) *afblock.Network {
	t.Helper()
	net, err := newNetwork(s).FixCells(grids, afblock.CellPattern{Kind: "center", Ratio: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	net.Shell = oneClip{}
	i := 0
	for _, st := range net.Stages {
		if st.AF == nil {
			continue
		}
		for n, nav := range st.AF.Navigation {
			if i++; i%2 == 0 {
				for _, c := range st.AF.Focal[n].Convs() {
					c.BN = nil
				}
			}
			if trained {
				in := st.AF.Ample[n].In()
				nav.Cells = &afblock.Cells{
					Grid:   nav.Cells.Grid,
					Look:   afblock.Conv{Key: nav.Key + ".look", Weight: zeros(max(4, in/4), in, 3, 3), Stride: 1, Pad: 1, Groups: 1},
					Choice: afblock.Conv{Key: nav.Key + ".cell", Weight: zeros(2, max(4, in/4), 1, 1), Stride: 1, Groups: 1},
				}
			}
		}
	}
	return net
}

func zeros(dims ...int) *graph.Tensor {
	n, d := 1, make([]int64, len(dims))
	for i, x := range dims {
		n, d[i] = n*x, int64(x)
	}
	return graph.Float32s(d, make([]float32, n)...)
}

// boxInputs are a clip, two of three frames selected, and cells.
func boxInputs(net *afblock.Network, size [2]int, on func(row, col, last, frame int) bool) map[string]*graph.Tensor {
	blocks := len(net.Navigation())
	masks := make([]float32, blocks*net.Frames)
	for i := range masks {
		if i%3 != 2 {
			masks[i] = 1
		}
	}
	one := map[string]*graph.Tensor{
		"video":       frames(clip(1, spec{frames: net.Frames, size: size})),
		names.MasksIn: graph.Float32s([]int64{1, int64(blocks), int64(net.Frames)}, masks...),
	}
	for b, n := range net.Navigation() {
		g := n.Cells.Grid
		var v []float32
		for f := range net.Frames {
			for i := range g * g {
				v = append(v, 0)
				if on(i/g, i%g, g-1, f+b) {
					v[len(v)-1] = 1
				}
			}
		}
		one[names.CellsIn(b)] = graph.Float32s([]int64{1, int64(net.Frames), int64(g), int64(g)}, v...)
	}
	return one
}

func floatsOf(x *graph.Tensor) []float32 {
	v, err := x.Float32s()
	if err != nil {
		panic(err)
	}
	return v
}

// TestBoxFaults: a halo on the wrong side, a row that is lost and hidden(0) without
// batch normalisation's shift move the logits.
func TestBoxFaults(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	tc := boxed[1]
	net := withCells(t, tc.spec, tc.grids, false)
	const block = "layer2.refine_module.0"
	in := boxInputs(net, tc.size, cellKinds[5].on)
	want, _ := open(t, net, codegen.Options{Lowering: codegen.Mask, MasksInput: true}).run(t, in)
	lower := func() *graph.Model {
		m, _, err := codegen.Lower(net, codegen.Options{Lowering: codegen.Branch, MasksInput: true})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	node := func(m *graph.Model, name string) *graph.Node {
		for n := range m.Graph.AllNodes() {
			if n.Name == name {
				return n
			}
		}
		t.Fatalf("no node %s: the fault no longer fits what codegen writes", name)
		return nil
	}
	for name, plant := range map[string]func(m *graph.Model){
		"none": func(*graph.Model) {},
		"halo on one side": func(m *graph.Model) {
			n := node(m, block+".box_reach") // of the upper left
			n.SetInput(1, m.Graph.AddInitializer("fault", graph.Int64s(nil, 0)))
			after := node(m, block+".box_reach_1")
			after.SetInput(1, m.Graph.AddInitializer("fault2", graph.Int64s(nil, 2)))
		},
		"a row lost": func(m *graph.Model) {
			n := node(m, block+".box_rows.to")
			v := n.Output(0)
			less := m.Graph.NewNode("Sub", "fault.to", []*graph.Value{v, m.Graph.AddInitializer("fault", graph.Int64s(nil, 1))}, 1)
			m.Graph.MoveBefore(less, n.Next())
			for _, u := range append([]graph.Use(nil), v.Uses()...) {
				if u.Node != less {
					u.Node.SetInput(u.Index, less.Output(0))
				}
			}
		},
		"hidden(0) is zero": func(m *graph.Model) {
			found := false
			for _, v := range m.Graph.Initializers() {
				if strings.HasPrefix(v.Name(), "afc."+block+".hidden.zero") {
					found = true
					m.Graph.SetInitializer(v, graph.Float32s(v.Initializer().Dims, make([]float32, len(floatsOf(v.Initializer())))...))
				}
			}
			if !found {
				t.Fatal("no hidden.zero: the fault no longer fits what codegen writes")
			}
		},
	} {
		m := lower()
		plant(m)
		s, err := ort.NewSession(m, ort.SessionOptions{Threads: 1})
		if err != nil {
			t.Fatal(name, err)
		}
		defer s.Close()
		out, err := s.RunNamed(context.Background(), in)
		if err != nil {
			t.Fatal(name, err)
		}
		d, err := verify.Compare("logits", out[afblock.DefaultOutput], want, spatial)
		if err != nil {
			t.Fatal(err)
		}
		if d.OK() != (name == "none") {
			t.Errorf("%s: agrees %v, error %s", name, d.OK(), d.Figure())
		}
		t.Logf("%s: %s", name, d.Figure())
	}
}
