package compiled_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/passes"
	"github.com/afc-project/afc/testmodels"
)

func fixture(t *testing.T, name string, opt weights.Options) *afblock.Network {
	t.Helper()
	sd, err := checkpoint.Read(testutil.Shared(t, "fixtures", "afnet", name+".pth.tar"))
	if err != nil {
		t.Fatal(err)
	}
	net, err := weights.FromStateDict(sd, opt)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

func safetensorsOf(t *testing.T, net *afblock.Network) []byte {
	t.Helper()
	sd, err := weights.Export(net)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := checkpoint.WriteSafetensors(&b, sd); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestReadModel: whatever the lowering, the network read back from the file
// has the same weights, bit by bit, and the same structure.
func TestReadModel(t *testing.T) {
	size := afblock.Size{64, 64}
	for name, opt := range map[string]weights.Options{
		"afr50_tsn_t4": {Size: size}, "afr50_tsm_t8": {Size: size, ShiftDiv: 8, Unselected: afblock.UnselectedZero},
	} {
		net := fixture(t, name, opt)
		want := safetensorsOf(t, net)
		for _, lowering := range codegen.Lowerings {
			copt := codegen.Options{Lowering: lowering, MasksOutput: true}
			if lowering == codegen.TopK {
				copt.Budget = []int{2}
			}
			m, err := passes.Lower(net, copt)
			if err != nil {
				t.Fatal(err)
			}
			data, err := graph.EncodeBytes(m)
			if err != nil {
				t.Fatal(err)
			}
			if m, err = graph.Decode(data); err != nil {
				t.Fatal(err)
			}
			back, info, err := compiled.ReadModel(m)
			if err != nil {
				t.Errorf("%s as %s: %v", name, lowering, err)
				continue
			}
			if info.Lowering != string(lowering) || !info.Masks {
				t.Errorf("%s as %s: file described as %+v", name, lowering, info)
			}
			if !bytes.Equal(want, safetensorsOf(t, back)) {
				t.Errorf("%s as %s: the network changed", name, lowering)
			}
			again, err := passes.Lower(back, copt)
			if err != nil {
				t.Fatal(err)
			}
			if data2, err := graph.EncodeBytes(again); err != nil || !bytes.Equal(data, data2) {
				t.Errorf("%s as %s: lowered again it is another file (%v)", name, lowering, err)
			}
		}
	}
}

// nodesOf lists inputs, outputs and nodes, those of subgraphs too.
func nodesOf(m *graph.Model) []string {
	var list []string
	for _, v := range m.Graph.Inputs() {
		list = append(list, "input "+v.Name()+" "+v.Type.String())
	}
	for n := range m.Graph.AllNodes() {
		list = append(list, n.String())
	}
	for _, v := range m.Graph.Outputs() {
		list = append(list, "output "+v.Name()+" "+v.Type.String())
	}
	return list
}

// TestReadModelWithSource: a source's input, what lies before its stem and
// behind its trunk come back too, whatever the lowering between: lowered again
// the model is the same file, and it serves other clips.
func TestReadModelWithSource(t *testing.T) {
	for _, name := range []string{"tsn_r50_op13", "tsn_r50_bn_op11", "tsm_r50_zeros_op13", "tsm_r50_cat_op13_dyn"} {
		src, err := graph.ReadFile(testutil.Shared(t, "fixtures", "sources", name+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		for _, lowering := range codegen.Lowerings {
			copt := codegen.Options{Lowering: lowering, MasksOutput: true}
			if lowering == codegen.Gather {
				copt.Sampling = compiled.Gumbel
			}
			if lowering == codegen.TopK {
				copt.Budget = []int{2}
			}
			popt := passes.Options{Convert: passes.Convert{Lower: copt, Rewrite: &afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.5}}}}
			if name == "tsn_r50_bn_op11" {
				popt.Recognize.Frames = 4
			}
			r, err := passes.Run(passes.ToConvert, passes.Input{Model: src}, popt)
			if err != nil {
				t.Errorf("%s as %s: %v", name, lowering, err)
				continue
			}
			data, err := graph.EncodeBytes(r.Model)
			if err != nil {
				t.Fatal(err)
			}
			m, err := graph.Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			back, _, err := compiled.ReadModel(m)
			if err != nil {
				t.Errorf("%s as %s: %v", name, lowering, err)
				continue
			}
			again, err := passes.Lower(back, copt)
			if err != nil {
				t.Errorf("%s as %s again: %v", name, lowering, err)
				continue
			}
			// Names of shape constants may differ: the source's were merged.
			if d := cmp.Diff(nodesOf(m), nodesOf(again)); d != "" {
				t.Errorf("%s as %s: lowered again it has other nodes (-first +again)\n%s", name, lowering, d)
			}
			if m.Meta("afc.network") != again.Meta("afc.network") || !bytes.Equal(safetensorsOf(t, r.Network), safetensorsOf(t, back)) {
				t.Errorf("%s as %s: the network changed", name, lowering)
			}
			longer, err := back.WithFrames(12)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := codegen.Lower(longer, copt); err != nil {
				t.Errorf("%s as %s for 12 frames: %v", name, lowering, err)
			}
		}
	}
}

func TestReadModelRefuses(t *testing.T) {
	net := fixture(t, "afr50_tsn_t4", weights.Options{})
	m, _, err := codegen.Lower(net, codegen.Options{Lowering: codegen.Mask})
	if err != nil {
		t.Fatal(err)
	}
	meta := m.Meta("afc.network")
	for _, tc := range []struct{ name, meta, want string }{
		{"not ours", "", "no metadata afc.network"},
		{"no JSON", "{", "unexpected"},
		{"newer", strings.Replace(meta, `"format":1`, `"format":99`, 1), "format 99"},
		{"weights gone", strings.ReplaceAll(meta, "layer3.fusion.0.conv1", "layer3.fusion.0.conv9"), "missing   layer3.fusion.0.conv9.weight"},
		{"navigation gone", strings.Replace(meta, `"navigation":[{`, `"other":[{`, 1), `stage "layer1" is incomplete`},
		{"null block", strings.Replace(meta, `"ample":[{`, `"ample":[null,{`, 1), `stage "layer1" is incomplete`},
		{"endless pool", strings.Replace(meta, `"max_pool":[3,2,1]`, `"max_pool":[3,0,1]`, 1), "max_pool"},
		{"shift too wide", strings.Replace(meta, `"key":"layer4.0",`, `"key":"layer4.0","shift":65,`, 1), "layer4.0: shifts 65 channels either way of 128"},
		{"maps vanish", strings.NewReplacer(`"size":[0,0]`, `"size":[2,2]`, `"stride":2,"pad":3`, `"stride":2`).Replace(meta), "conv1: a window of 7 on maps of 2×2"},
		{"endless frame", strings.Replace(meta, `"size":[0,0]`, `"size":[1000000000,2]`, 1), "of 1000000000×2"},
		{"weights twice", strings.Replace(meta, `"layer1.fusion.0.bn1"`, `"layer1.fusion.0.bn2"`, 1), "two tensors are named module.base_model.layer1.fusion.0.bn2.weight"},
		{"trunk gone", strings.Replace(meta, `"lowering":"mask"`, `"lowering":"mask","trunk_in":"x","trunk_out":"y"`, 1), `ends "x" and "y"`},
	} {
		m.SetMeta("afc.network", tc.meta)
		_, _, err := compiled.ReadModel(m)
		var ge *graph.Error
		var ce *checkpoint.Error
		if !(errors.As(err, &ge) || errors.As(err, &ce)) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want an error about %q", tc.name, err, tc.want)
		}
	}
}

// TestWithFrames: a fixed pattern serves any number of frames, trained
// navigation its own.
func TestWithFrames(t *testing.T) {
	trained := fixture(t, "afr50_tsn_t4", weights.Options{})
	if _, err := trained.WithFrames(8); err == nil || !strings.Contains(err.Error(), "layer1.list_gen.0: this navigation was trained for clips of 4 frames") {
		t.Errorf("trained for 4 frames, asked for 8: %v", err)
	}
	if same, err := trained.WithFrames(4); err != nil || same != trained {
		t.Errorf("as many frames as it has: %v", err)
	}
}

// TestReadModelUntyped: an AFNet without outputs, or with inputs and outputs
// that have no type, is refused with a reason.
func TestReadModelUntyped(t *testing.T) {
	for name, spoil := range map[string]func(g *graph.Graph){
		"no output": func(g *graph.Graph) { g.RemoveOutput(0) },
		"no type": func(g *graph.Graph) {
			g.Inputs()[0].Type, g.Outputs()[0].Type = graph.Type{}, graph.Type{}
		},
	} {
		for _, source := range []bool{false, true} {
			m := small(t, source)
			spoil(m.Graph)
			_, _, err := compiled.ReadModel(m)
			if fault := (*graph.Error)(nil); !errors.As(err, &fault) || !strings.Contains(err.Error(), strings.TrimPrefix(name, "no ")) {
				t.Errorf("%s, shell of a source %v: error %v", name, source, err)
			}
		}
	}
}

// small compiles a small AFNet, with the shell of a source or the standard one.
func small(t *testing.T, source bool) *graph.Model {
	t.Helper()
	plain, err := recognize.Network(testmodels.Spec{Blocks: []int{2, 1}, Width: 8, Frames: 2, Size: 32, Classes: 3}.Build(), recognize.Options{})
	if err != nil {
		t.Fatal(err)
	}
	net, err := afblock.Rewrite(plain, afblock.RewriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !source {
		net.Shell = afblock.StandardShell{}
	}
	m, _, err := codegen.Lower(net, codegen.Options{Lowering: codegen.Gather})
	if err != nil {
		t.Fatal(err)
	}
	return m
}
