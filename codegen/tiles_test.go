package codegen_test

import (
	"context"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// tiled are networks whose cells are computed as tiles, at sizes that cells divide
// and at others.
var tiled = []struct {
	spec
	grids   []int
	pattern string
}{
	{spec{name: "tsm", frames: 3, size: [2]int{64, 64}, width: 8, af: []int{3, 3}, plain: []int{1}, shift: true}, []int{4, 2}, "center:0.25"},
	{spec{name: "tsn, checkerboard", frames: 2, size: [2]int{64, 64}, width: 8, af: []int{3, 3}, plain: []int{1}}, []int{2}, "checker"},
	{spec{name: "odd maps", frames: 3, size: [2]int{90, 118}, width: 8, af: []int{3, 3, 3}, plain: []int{1}, shift: true}, []int{5, 3, 2}, "center:0.3"},
	{spec{name: "basic blocks, odd maps", frames: 2, size: [2]int{90, 118}, width: 16, af: []int{3, 2}, plain: []int{1}, basic: true, shift: true}, []int{3, 2}, "center:0.2"},
	{spec{name: "answers nothing", frames: 2, size: [2]int{64, 96}, width: 8, af: []int{3, 3}, plain: []int{1}, unselected: afblock.UnselectedZero}, []int{3}, "center:0.3"},
	{spec{name: "no cell", frames: 2, size: [2]int{64, 64}, width: 8, af: []int{3, 3}, plain: []int{1}, shift: true}, []int{3}, "center:0"},
}

// TestTiles holds tiles to the mask lowering: none, some and all frames selected.
func TestTiles(t *testing.T) {
	for _, tc := range tiled {
		t.Run(tc.name, func(t *testing.T) {
			pattern, err := afblock.ParseCellPattern(tc.pattern)
			if err != nil {
				t.Fatal(err)
			}
			net, err := newNetwork(tc.spec).FixCells(tc.grids, pattern)
			if err != nil {
				t.Fatal(err)
			}
			want := open(t, net, codegen.Options{Lowering: codegen.Mask, MasksInput: true})
			m, choice, err := codegen.Lower(net, codegen.Options{Lowering: codegen.Gather, MasksInput: true})
			if err != nil {
				t.Fatal(err)
			}
			tiles := 0
			for n := range m.Graph.Nodes() {
				if strings.HasSuffix(n.Name, names.Tiles("")) {
					tiles++
				}
			}
			whole := 0
			for _, m := range regexp.MustCompile(`computes whole frames in (\d+) of`).FindAllStringSubmatch(choice.Reason, -1) {
				n, _ := strconv.Atoi(m[1])
				whole += n
			}
			if tiles == 0 || tiles+whole != len(net.Navigation()) {
				t.Errorf("%d blocks compute tiles, %d whole frames, of %d: %s", tiles, whole, len(net.Navigation()), choice.Reason)
			}
			got := open(t, net, codegen.Options{Lowering: codegen.Gather, MasksInput: true})
			for _, on := range []func(i int) bool{func(int) bool { return false }, func(i int) bool { return i%2 == 0 }, func(int) bool { return true }} {
				in := tileInputs(net, tc.size, on)
				a, _ := got.run(t, in)
				b, _ := want.run(t, in)
				same(t, "logits", a, b, spatial)
			}
		})
	}
}

// tileInputs are two clips, with frames selected and the network's own cells.
func tileInputs(net *afblock.Network, size [2]int, on func(i int) bool) map[string]*graph.Tensor {
	pixels := make([]float32, 2*net.Frames*3*size[0]*size[1])
	for i := range pixels {
		pixels[i] = float32(math.Sin(float64(i)*0.37) + math.Cos(float64(i%977)))
	}
	in := map[string]*graph.Tensor{"video": graph.Float32s([]int64{2, int64(net.Frames), 3, int64(size[0]), int64(size[1])}, pixels...)}
	blocks := net.Navigation()
	masks := make([]float32, 2*len(blocks)*net.Frames)
	for i := range masks {
		if on(i) {
			masks[i] = 1
		}
	}
	in[names.MasksIn] = graph.Float32s([]int64{2, int64(len(blocks)), int64(net.Frames)}, masks...)
	for b, n := range blocks {
		g := int64(n.Cells.Grid)
		var v []float32
		for range 2 * net.Frames {
			for _, selected := range n.Cells.Fixed.Select(n.Cells.Grid, b) {
				v = append(v, 0)
				if selected {
					v[len(v)-1] = 1
				}
			}
		}
		in[names.CellsIn(b)] = graph.Float32s([]int64{2, int64(net.Frames), g, g}, v...)
	}
	return in
}

// TestTileFaults: a halo one pixel off, a border that is not padded, and an answer
// put a pixel off move the logits.
func TestTileFaults(t *testing.T) {
	net, want := spatialFixture(t)
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	const block = "layer1.refine_module.0"
	ints := func(m *graph.Model, name string, f func(v []int64) []int64) {
		v := m.Graph.Value(name)
		if v == nil {
			t.Fatalf("no %s: the fault no longer fits what codegen writes", name)
		}
		old, err := v.Initializer().Int64s()
		if err != nil {
			t.Fatal(err)
		}
		m.Graph.SetInitializer(v, graph.Int64s(v.Initializer().Dims, f(old)...))
	}
	for name, plant := range map[string]func(m *graph.Model){
		"halo off by one": func(m *graph.Model) {
			ints(m, "afc."+block+".pixels", func(v []int64) []int64 { return append(append([]int64{}, v[1:]...), v[len(v)-1]) })
		},
		"border not padded": func(m *graph.Model) {
			v := m.Graph.Value("afc." + block + ".conv2.inside")
			ones := make([]float32, len(floats(t, v.Initializer())))
			for i := range ones {
				ones[i] = 1
			}
			m.Graph.SetInitializer(v, graph.Float32s(v.Initializer().Dims, ones...))
		},
		"answer a pixel off": func(m *graph.Model) {
			ints(m, "afc."+block+".within", func(v []int64) []int64 { return append(append([]int64{}, v[1:]...), v[0]) })
		},
		"F(0) without border": func(m *graph.Model) {
			ints(m, "afc."+block+".class", func(v []int64) []int64 { return make([]int64, len(v)) })
		},
	} {
		m, _, err := codegen.Lower(net, codegen.Options{Lowering: codegen.Gather})
		if err != nil {
			t.Fatal(err)
		}
		plant(m)
		s, err := ort.NewSession(m, ort.SessionOptions{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		out, err := s.RunNamed(context.Background(), map[string]*graph.Tensor{"video": want["clip"]})
		if err != nil {
			t.Fatal(err)
		}
		d, err := verify.Compare("logits", out[afblock.DefaultOutput], want["logits"], spatial)
		if err != nil {
			t.Fatal(err)
		}
		if d.OK() {
			t.Errorf("%s: not found, error %s", name, d.Figure())
		}
		t.Logf("%s: %s", name, d.Figure())
	}
}
