package codegen_test

import (
	"context"
	"slices"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// TestTopKCells: within its budget topk computes what mask does; beyond, what mask
// does of the most certain cells, and it counts the others.
func TestTopKCells(t *testing.T) {
	for _, tc := range []struct {
		spec
		grids []int
		clips int
	}{
		{spec{name: "one clip", frames: 4, size: [2]int{96, 112}, width: 8, af: []int{3, 3}, plain: []int{1}, shift: true}, []int{3, 2}, 1},
		{spec{name: "any number of clips, odd maps", frames: 4, size: [2]int{90, 118}, width: 8, af: []int{3, 3}, plain: []int{1}}, []int{4, 3}, 2},
		{spec{name: "basic blocks", frames: 3, size: [2]int{96, 96}, width: 16, af: []int{3, 2}, plain: []int{1}, basic: true, shift: true}, []int{3, 2}, 2},
		{spec{name: "answers nothing", frames: 4, size: [2]int{96, 96}, width: 8, af: []int{3, 3}, plain: []int{1}, unselected: afblock.UnselectedZero}, []int{3}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			net := withCells(t, tc.spec, tc.grids, true)
			if tc.clips > 1 {
				net.Shell = newNetwork(tc.spec).Shell
			}
			want := open(t, net, codegen.Options{Lowering: codegen.Mask, MasksInput: true})
			got := open(t, net, codegen.Options{Lowering: codegen.TopK, MasksInput: true, Budget: []int{1}})
			for _, kind := range []struct {
				name    string
				certain func(block, i int) float32 // how far beyond one half cell i of a clip is
				over    bool
			}{
				{"no cell", func(_, i int) float32 { return -0.1 - float32(i)/1000 }, false},
				{"few cells", func(b, i int) float32 { return map[bool]float32{true: 0.1, false: -0.2}[(i+b)%7 == 0] }, false},
				{"every cell", func(_, i int) float32 { return 0.1 + float32(i*37%101)/1000 }, true},
			} {
				given, kept, dropped := cellBudget(net, tc.clips, tc.spec, kind.certain, 1)
				out, err := got.session.RunNamed(context.Background(), given)
				if err != nil {
					t.Fatal(err)
				}
				b, _ := want.run(t, kept)
				same(t, kind.name, out[afblock.DefaultOutput], b, spatial)
				same(t, kind.name+", dropped", out[names.Dropped], dropped, verify.Exact)
				if over := slices.Max(floatsOf(dropped)) > 0; over != kind.over {
					t.Errorf("%s: cells dropped %v, expected %v", kind.name, over, kind.over)
				}
			}
		})
	}
}

// cellBudget are clips whose frames are all chosen, with cells as certain as told;
// the same with only those chosen that a budget of so many frames has room for; and
// how many that leaves out, by clip and block.
func cellBudget(net *afblock.Network, clips int, s spec, certain func(block, i int) float32, budget int) (given, kept map[string]*graph.Tensor, dropped *graph.Tensor) {
	blocks := net.Navigation()
	frame := make([]float32, clips*len(blocks)*net.Frames)
	for i := range frame {
		frame[i] = 1
	}
	video := clip(int64(clips), s)
	if clips == 1 {
		video = frames(video)
	}
	given = map[string]*graph.Tensor{"video": video, names.MasksIn: graph.Float32s([]int64{int64(clips), int64(len(blocks)), int64(net.Frames)}, frame...)}
	kept = map[string]*graph.Tensor{"video": video, names.MasksIn: given[names.MasksIn]}
	left := make([]float32, clips*len(blocks))
	for b, nav := range blocks {
		g := nav.Cells.Grid
		each := net.Frames * g * g
		var all, some []float32
		for c := range clips {
			order := make([]int, each)
			v, on := make([]float32, each), make([]float32, each)
			for i := range order {
				order[i], v[i] = i, 0.5+certain(b+c, i)
			}
			slices.SortStableFunc(order, func(i, j int) int { return int(1e6*v[j]) - int(1e6*v[i]) })
			for at, i := range order {
				switch {
				case v[i] > 0.5 && at < budget*g*g:
					on[i] = 1
				case v[i] > 0.5:
					left[c*len(blocks)+b]++
				}
			}
			all, some = append(all, v...), append(some, on...)
		}
		dims := []int64{int64(clips), int64(net.Frames), int64(g), int64(g)}
		given[names.CellsIn(b)], kept[names.CellsIn(b)] = graph.Float32s(dims, all...), graph.Float32s(dims, some...)
	}
	return given, kept, graph.Float32s([]int64{int64(clips), int64(len(blocks))}, left...)
}

// TestTopKCellsStatic: no shape depends on data, and blocks are computed as tiles.
func TestTopKCellsStatic(t *testing.T) {
	s := spec{name: "one clip", frames: 4, size: [2]int{96, 112}, width: 8, af: []int{3, 3}, plain: []int{1}, shift: true}
	m, choice, err := codegen.Lower(withCells(t, s, []int{3, 2}, true), codegen.Options{Lowering: codegen.TopK, Budget: []int{1}})
	if err != nil {
		t.Fatal(err)
	}
	tiles := 0
	for n := range m.Graph.AllNodes() {
		if n.Is("NonZero", "If", "Scan", "Loop") {
			t.Errorf("%s is a %s", n.Name, n.OpType)
		}
		if n.Name == names.Tiles("layer1.refine_module.0") || n.Name == names.Tiles("layer2.refine_module.0") {
			tiles++
		}
	}
	if tiles != 2 {
		t.Errorf("%d of 2 blocks compute tiles: %s", tiles, choice.Reason)
	}
}

// TestTopKCellsFault: tiles put in each other's places move the logits.
func TestTopKCellsFault(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	s := spec{name: "one clip", frames: 4, size: [2]int{96, 112}, width: 8, af: []int{3, 3}, plain: []int{1}, shift: true}
	net := withCells(t, s, []int{3, 2}, true)
	given, kept, _ := cellBudget(net, 1, s, func(_, i int) float32 { return 0.1 + float32(i*37%101)/1000 }, 1)
	want, _ := open(t, net, codegen.Options{Lowering: codegen.Mask, MasksInput: true}).run(t, kept)
	for _, fault := range []string{"", ".ranked", ".kept_cells"} {
		m, _, err := codegen.Lower(net, codegen.Options{Lowering: codegen.TopK, MasksInput: true, Budget: []int{1}})
		if err != nil {
			t.Fatal(err)
		}
		for n := range m.Graph.Nodes() {
			if fault != "" && n.Name == "layer1.refine_module.0"+fault {
				first := m.Graph.NewNode("Mul", "fault", []*graph.Value{n.Input(2), m.Graph.AddInitializer("fault.zero", graph.Float32s(nil, 0))}, 1)
				m.Graph.MoveBefore(first, n)
				n.SetInput(2, first.Output(0))
				break
			}
		}
		session, err := ort.NewSession(m, ort.SessionOptions{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		out, err := session.RunNamed(context.Background(), given)
		if err != nil {
			t.Fatal(err)
		}
		d, err := verify.Compare("logits", out[afblock.DefaultOutput], want, spatial)
		if err != nil {
			t.Fatal(err)
		}
		if d.OK() != (fault == "") {
			t.Errorf("fault %q: agrees %v, error %s", fault, d.OK(), d.Figure())
		}
		t.Logf("%q: %s", fault, d.Figure())
	}
}
