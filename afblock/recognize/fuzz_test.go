package recognize

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/internal/testutil/bounds"
)

// TestRecognizeMutated changes real exports at random.
func TestRecognizeMutated(t *testing.T) { rapid.Check(t, recognizeMutated(t)) }

// FuzzRecognize is TestRecognizeMutated with changes that the fuzzer chooses.
func FuzzRecognize(f *testing.F) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 0))
		choices := make([]byte, 512)
		for i := range choices {
			choices[i] = byte(r.Uint32())
		}
		f.Add(choices)
	}
	f.Fuzz(rapid.MakeFuzz(recognizeMutated(f)))
}

// recognizeMutated makes a change or some to a real export and holds Recognize
// to an answer: a network with its parts in place, or a reason. It must never
// panic, whatever a file says, and what it accepts can be rewritten.
func recognizeMutated(t testing.TB) func(*rapid.T) {
	type export struct {
		model *graph.Model
		size  int
	}
	var exports []export
	for _, name := range []string{"exports/tsn_r18_op17", "exports/tsm_r18_zeros_dynamo18", "exports/tsm_r18_merged_op9", "exports/tsm_r18_pad_op10",
		"exports/tsm_r18_conv1d_op13", "exports/tsm_r18_split_op13", "exports/tsn_r18_gap5d_op13",
		"afexports/straight_ts13_bn", "afexports/gumbel_softmax_dynamo", "afexports/scattered_ts17_open", "afexports/bernoulli_ts17",
		"afexports/lerped_dynamo", "afexports/conv_gate_ts17", "afexports/expanded_ts13", "afexports/zero_dynamo"} {
		data, err := os.ReadFile(filepath.Join(testutil.Root(t), "testmodels", name+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		m, err := graph.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		exports = append(exports, export{m, len(data)})
	}
	return func(rt *rapid.T) {
		i := rapid.IntRange(0, len(exports)-1).Draw(rt, "model")
		m := exports[i].model.Clone()
		for range rapid.IntRange(1, 4).Draw(rt, "mutations") {
			mutate(rt, m.Graph)
		}
		opt := Options{Frames: rapid.SampledFrom([]int{0, 0, 4, -1}).Draw(rt, "frames")}
		bounds.Hold(rt, exports[i].size, func() {
			net, err := Network(m, opt)
			var no *Error
			switch {
			case err == nil && (net.Shell == nil || net.Head.FC.Weight == nil || len(net.Stages) == 0 || net.Frames < 1):
				rt.Fatalf("recognised, but incomplete: %+v", net)
			case err != nil && (!errors.As(err, &no) || no.Expected == "" || no.Found == ""):
				rt.Fatalf("no reason: %v", err)
			case err == nil:
				net.Shell.(*Shell).Steady()
				_, _ = afblock.Rewrite(net, afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.5}})
			}
		})
	}
}

// TestRecognizeWideInput: a small model that declares a very wide input must
// not be probed at that size.
func TestRecognizeWideInput(t *testing.T) {
	path := filepath.Join(testutil.Root(t), "testmodels", "exports", "tsn_r18_gap5d_op13.onnx")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	v := m.Graph.Inputs()[0]
	v.Type.Shape = slices.Clone(v.Type.Shape)
	v.Type.Shape[0], v.Type.Shape[3] = graph.D(0), graph.D(1<<20)
	bounds.Hold(t, len(data), func() {
		if _, err := Network(m, Options{}); err == nil {
			t.Error("recognised")
		}
	})
}

// mutate makes one change that a broken exporter, or an attacker, could.
func mutate(t *rapid.T, g *graph.Graph) {
	nodes := slices.Collect(g.Nodes())
	n := rapid.SampledFrom(nodes).Draw(t, "node")
	dim := rapid.SampledFrom([]int64{-1, 0, 1, 2, 3, 7, 8, 1 << 20, 1 << 40})
	switch rapid.IntRange(0, 6).Draw(t, "kind") {
	case 0: // another input, an earlier or a later value
		if len(n.Inputs()) == 0 {
			return
		}
		other := rapid.SampledFrom(nodes).Draw(t, "other")
		n.SetInput(rapid.IntRange(0, len(n.Inputs())-1).Draw(t, "input"), other.Output(0))
	case 1: // an input left out
		if len(n.Inputs()) > 0 {
			n.SetInput(rapid.IntRange(0, len(n.Inputs())-1).Draw(t, "input"), nil)
		}
	case 2: // an attribute of other numbers
		for _, a := range n.Attrs() {
			if a.Type == graph.AttrInts && len(a.Ints) > 0 {
				x := slices.Clone(a.Ints)
				x[rapid.IntRange(0, len(x)-1).Draw(t, "entry")] = dim.Draw(t, "value")
				n.SetAttr(graph.Ints(a.Name, x...))
				return
			}
			if a.Type == graph.AttrInt {
				n.SetAttr(graph.Int(a.Name, dim.Draw(t, "value")))
				return
			}
		}
	case 3: // another operator
		n.OpType = rapid.SampledFrom(nodes).Draw(t, "op").OpType
	case 4: // a constant of other dimensions or numbers
		if inits := g.Initializers(); len(inits) > 0 {
			v := rapid.SampledFrom(inits).Draw(t, "initializer")
			g.SetInitializer(v, graph.Vec(dim.Draw(t, "a"), dim.Draw(t, "b"), dim.Draw(t, "c"), dim.Draw(t, "d")))
		}
	case 5: // other input sizes
		v := g.Inputs()[0]
		v.Type.Shape = slices.Clone(v.Type.Shape)
		v.Type.Shape[rapid.IntRange(0, len(v.Type.Shape)-1).Draw(t, "axis")] = graph.D(max(dim.Draw(t, "size"), 0))
	case 6: // an output more
		if v := n.Output(0); v != nil {
			g.AddOutput(v)
		}
	}
}
