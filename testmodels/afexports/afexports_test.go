// Package afexports holds real exports of small AFNets in many spellings, made by
// make.py with PyTorch's exporters, and the tests that afc reads every one of
// them as what it is. facts.json says what is in each.
package afexports

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/passes"
	"github.com/afc-project/afc/verify/ort"
)

// facts is what make.py knows of an export.
type facts struct {
	Refused bool // afc must say why

	Frames, Alpha, Groups int
	Blocks                []int // of each stage
	Basic, Dense, Zero    bool
	Shift, Noise, Gumbel  bool
	BN                    bool // normalisations are not folded
	Softmax               bool
	Masks                 string // outputs: "", "masks" or "each"
	Layout                string
	Selected              float64
}

func readFacts(t testing.TB) map[string]facts {
	t.Helper()
	b, err := os.ReadFile("facts.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]facts
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// each runs f on the exports that are refused, or are not.
func each(t *testing.T, refused bool, f func(*testing.T, string, facts)) {
	all := readFacts(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name].Refused == refused {
			t.Run(name, func(t *testing.T) { f(t, name, all[name]) })
		}
	}
}

func read(t testing.TB, name string) *graph.Model {
	t.Helper()
	m, err := graph.ReadFile(name + ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestFiles holds facts.json and the files to each other.
func TestFiles(t *testing.T) {
	files, err := filepath.Glob("*.onnx")
	if err != nil {
		t.Fatal(err)
	}
	all := readFacts(t)
	for _, f := range files {
		if _, ok := all[strings.TrimSuffix(f, ".onnx")]; !ok {
			t.Errorf("%s is not in facts.json", f)
		}
	}
	if len(files) != len(all) {
		t.Errorf("%d files, %d facts", len(files), len(all))
	}
}

// TestRecognize reads each export as its file has it and after the
// canonicalising passes, and holds the network to the facts.
func TestRecognize(t *testing.T) {
	each(t, false, func(t *testing.T, name string, f facts) {
		m := read(t, name)
		for _, state := range []string{"as exported", "canonical"} {
			if state == "canonical" {
				if err := passes.Canonicalize(m); err != nil {
					t.Fatal(err)
				}
			} else if len(m.Functions) > 0 {
				continue // inlined by the passes
			}
			net, err := recognize.Network(m, recognize.Options{})
			if err != nil {
				t.Fatalf("%s: %v", state, err)
			}
			f.check(t, net)
		}
	})
}

var layouts = map[string]afblock.Layout{"flat": afblock.LayoutFrames, "seg": afblock.LayoutSegments, "chan": afblock.LayoutChannels}

// check compares a recognised network with the facts.
func (f facts) check(t *testing.T, net *afblock.Network) {
	t.Helper()
	if net.Frames != f.Frames || net.Shell.Clip().Layout != layouts[f.Layout] || net.Head.Softmax != f.Softmax || net.FineTune {
		t.Errorf("T %d, layout %s, softmax %v, to be fine-tuned %v", net.Frames, net.Shell.Clip().Layout, net.Head.Softmax, net.FineTune)
	}
	if zero := net.Unselected == afblock.UnselectedZero; zero != f.Zero {
		t.Errorf("frames left out answer %s", net.Unselected)
	}
	var blocks []int
	for i, s := range net.Stages {
		blocks = append(blocks, len(s.MainLine()))
		if (s.AF == nil) != (i == len(net.Stages)-1) {
			t.Errorf("%s: an AF module: %v", s.Name, s.AF != nil)
		}
		if m := s.AF; m != nil && (m.Alpha != f.Alpha || m.Groups != f.Groups || m.Act != afblock.ReLU || m.Navigation[0].Dense() != f.Dense) {
			t.Errorf("%s: α %d, %d groups, dense %v", s.Name, m.Alpha, m.Groups, m.Navigation[0].Dense())
		}
	}
	if !slices.Equal(blocks, f.Blocks) {
		t.Errorf("blocks %v, want %v", blocks, f.Blocks)
	}
	for b := range net.Blocks() {
		if b.Bottleneck() == f.Basic || (b.Shift != nil) != (f.Shift && b.In() >= 8) || b.Shift != nil && b.Shift.Fold != b.In()/8 {
			t.Errorf("%s: bottleneck %v, shift %+v", b.Key, b.Bottleneck(), b.Shift)
		}
		if (b.Convs()[0].BN != nil) != f.BN {
			t.Errorf("%s: normalisation apart: %v", b.Key, b.Convs()[0].BN != nil)
		}
	}
	e := net.Shell.(*recognize.Shell).Exported()
	if (e.Noise != nil) != f.Noise || e.Gumbel != f.Gumbel || (e.Masks != nil) != (f.Masks != "") || e.Joined != (f.Masks == "masks") {
		t.Errorf("beside the network: %+v", *e)
	}
}

// TestRefused holds the reasons that are given for AFNets that cannot be
// compiled.
func TestRefused(t *testing.T) {
	testutil.NoOrphans(t, "*.txt")
	each(t, true, func(t *testing.T, name string, _ facts) {
		m := read(t, name)
		if err := passes.Canonicalize(m); err != nil {
			t.Fatal(err)
		}
		_, err := recognize.Network(m, recognize.Options{})
		if err == nil {
			t.Fatal("recognised")
		}
		testutil.Golden(t, name+".txt", err.Error()+"\n")
	})
}

// convert compiles an export.
func convert(t testing.TB, m *graph.Model, opt codegen.Options) *passes.Result {
	t.Helper()
	r, err := passes.Run(passes.ToConvert, passes.Input{Model: m}, passes.Options{Convert: passes.Convert{
		Rewrite: &afblock.RewriteOptions{}, Lower: opt,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// compiledTolerance is how far a compiled export may be from PyTorch's answer,
// of the largest.
const compiledTolerance = 1e-5

// TestSameAnswer compiles each export in every lowering and holds scores and
// masks to PyTorch's, of choices by the larger logit.
func TestSameAnswer(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	each(t, false, func(t *testing.T, name string, f facts) {
		recorded := testutil.NPZ(t, name+".npz")
		lowerings := []codegen.Lowering{codegen.Branch, codegen.Mask, codegen.Gather}
		if testing.Short() {
			lowerings = lowerings[:1]
		}
		for _, l := range lowerings {
			r := convert(t, read(t, name), codegen.Options{Lowering: l, MasksOutput: true})
			same(t, string(l), r.Model, recorded["video"], recorded["logits"], recorded["masks"])
		}
	})
}

// same runs a compiled model on clips, one by one where it takes but one, and
// compares.
func same(t *testing.T, what string, m *graph.Model, video, logits, masks *graph.Tensor) {
	t.Helper()
	s, err := ort.NewSession(m, ort.SessionOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var gotLogits, gotMasks []float32
	rows := video.Dims[0]
	if d := m.DataInputs()[0].Type.Shape[0]; d.Known() {
		rows = d.Size
	}
	raw, err := video.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	dims := slices.Clone(video.Dims)
	dims[0] = rows
	for part := range slices.Chunk(raw, len(raw)/int(video.Dims[0]/rows)) {
		x, err := graph.NewTensor(video.DType, dims, part)
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Run(context.Background(), x)
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range s.Outputs() {
			v, err := out[i].Float32s()
			if err != nil {
				t.Fatal(err)
			}
			switch o.Name {
			case names.Masks:
				gotMasks = append(gotMasks, v...)
			default:
				gotLogits = append(gotLogits, v...)
			}
		}
	}
	if worst := distance(t, gotLogits, logits); worst > compiledTolerance {
		t.Errorf("%s: scores are off by %.2g of the largest", what, worst)
	} else {
		t.Logf("%s: scores within %.2g of the largest", what, worst)
	}
	if masks == nil {
		return
	}
	want, err := masks.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(gotMasks, want) {
		t.Errorf("%s: other frames are selected", what)
	}
}

// distance is the largest difference in parts of the largest number.
func distance(t *testing.T, got []float32, wanted *graph.Tensor) float64 {
	t.Helper()
	want, err := wanted.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d numbers, want %d", len(got), len(want))
	}
	var worst, scale float64
	for i := range want {
		worst, scale = max(worst, math.Abs(float64(got[i]-want[i]))), max(scale, math.Abs(float64(want[i])))
	}
	return worst / scale
}

// TestFixtures compiles exports that others made.
func TestFixtures(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	for _, name := range []string{"pt_afr50_tsn_t4_ts17_masks", "pt_afr50_tsm_t8_gumbel_ts13", "pt_afr50_tsn_t4_dynamo"} {
		t.Run(name, func(t *testing.T) {
			path := strings.TrimSuffix(testutil.Shared(t, "fixtures", "afnet_exports", name+".onnx"), ".onnx")
			recorded := testutil.NPZ(t, path+".npz")
			for _, l := range []codegen.Lowering{codegen.Branch, codegen.Mask, codegen.Gather} {
				r := convert(t, read(t, path), codegen.Options{Lowering: l, MasksOutput: true})
				same(t, string(l), r.Model, recorded["video"], recorded["logits"], recorded["masks"])
			}
		})
	}
}

// TestWeightsComeBack exports the weights of compiled exports as a checkpoint,
// which makes the same network again.
func TestWeightsComeBack(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	each(t, false, func(t *testing.T, name string, f facts) {
		net, _, err := compiled.ReadModel(convert(t, read(t, name), codegen.Options{}).Model)
		if err != nil {
			t.Fatal(err)
		}
		sd, err := weights.Export(net)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"conv1.weight", "layer1.list_gen.0.conv_gs.bias", "layer1.refine_module.0.bn1.running_var", "layer1.base_transform.1.bias"} {
			if sd.Tensor("module.base_model."+key) == nil {
				t.Errorf("no tensor %s", key)
			}
		}
		again, err := weights.FromStateDict(sd, weights.Options{})
		if err != nil {
			t.Fatal(err)
		}
		again.Adopt(net)
		m, _, err := codegen.Lower(again, codegen.Options{MasksOutput: true})
		if err != nil {
			t.Fatal(err)
		}
		recorded := testutil.NPZ(t, name+".npz")
		same(t, "from its checkpoint", m, recorded["video"], recorded["logits"], recorded["masks"])
	})
}

// TestNoise: noise that is Gumbel's becomes an input where it is asked for;
// other noise can only be left out.
func TestNoise(t *testing.T) {
	each(t, false, func(t *testing.T, name string, f facts) {
		if !f.Noise {
			t.Skip("it chooses without noise")
		}
		r, err := passes.Run(passes.ToConvert, passes.Input{Model: read(t, name)}, passes.Options{Convert: passes.Convert{
			Lower: codegen.Options{Sampling: compiled.Gumbel},
		}})
		if !f.Gumbel {
			if err == nil || !strings.Contains(err.Error(), "not Gumbel's") {
				t.Errorf("noise that is not Gumbel's: %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Model.Graph.Value(names.Noise) == nil {
			t.Error("no input of noise")
		}
		for n := range r.Model.Graph.AllNodes() {
			if strings.HasPrefix(n.OpType, "Random") {
				t.Errorf("%s is left", n)
			}
		}
	})
}
