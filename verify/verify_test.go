package verify_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
	"github.com/afc-project/afc/verify/subject"
)

// network makes a tiny AFNet of random weights: two AF modules, ten channels
// and 33×33 pixels, so that maps have odd sizes.
func network(t testing.TB, shiftDiv int) *afblock.Network { return sizedNetwork(t, shiftDiv, 33) }

func sizedNetwork(t testing.TB, shiftDiv, size int) *afblock.Network {
	t.Helper()
	spec := testmodels.AFSpec{Blocks: []int{3, 3, 2}, Width: 16, Frames: 4, Classes: 7, Dense: true, Seed: 3}
	sd := checkpoint.New()
	for _, e := range spec.Checkpoint() {
		sd.Set(e.Key, e.Tensor)
	}
	net, err := weights.FromStateDict(sd, weights.Options{Frames: 4, Size: [2]int{size, size}, ShiftDiv: shiftDiv})
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// lowered lowers a network and says what there is to prove about it. Budget is
// topk's, every frame if not given.
func lowered(t testing.TB, net *afblock.Network, lowering codegen.Lowering, budget ...int) *verify.Subject {
	t.Helper()
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	if len(budget) == 0 {
		budget = []int{net.Frames}
	}
	opt := codegen.Options{Lowering: lowering, MasksOutput: true}
	if lowering == codegen.TopK {
		opt.Budget = budget
	}
	m, _, err := codegen.Lower(net, opt)
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := subject.Of(m)
	if err != nil {
		t.Fatal(err)
	}
	s.Path = "af.onnx"
	return s
}

// converted makes a tiny source that takes one clip, converts it, and says what
// there is to prove about the AFNet.
func converted(t testing.TB, lowering codegen.Lowering, opt afblock.RewriteOptions, budget ...int) *verify.Subject {
	t.Helper()
	source, plain := plainSource(t, 5)
	net, err := afblock.Rewrite(plain, opt)
	if err != nil {
		t.Fatal(err)
	}
	s := lowered(t, net, lowering, budget...)
	if err := subject.SetSource(s, net, source, plain, ""); err != nil {
		t.Fatal(err)
	}
	return s
}

// plainSource makes a tiny source and what is recognised in it.
func plainSource(t testing.TB, seed uint64) (*graph.Model, *afblock.Network) {
	t.Helper()
	source := testmodels.Spec{Blocks: []int{3, 3, 2, 2}, Width: 8, Frames: 4, Size: 33, Classes: 7, Shift: testmodels.ShiftConcat, Seed: seed}.Build()
	plain, err := recognize.Network(source, recognize.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return source, plain
}

// prove runs the checks with few threads and rounds.
func prove(t testing.TB, s *verify.Subject, only ...string) *verify.Report {
	t.Helper()
	r, err := verify.Verify(t.Context(), s, verify.Options{Only: only, Videos: clips.Random{Count: 3, Seed: 1}, Threads: 1, Rounds: 3, Batch: 3})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func row(t testing.TB, r *verify.Report, name string) verify.Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("the report has no row %q", name)
	return verify.Check{}
}

func TestVerifyCorrect(t *testing.T) {
	for _, shiftDiv := range []int{0, 8} {
		net := network(t, shiftDiv)
		for _, lowering := range codegen.Lowerings {
			t.Run(fmt.Sprintf("%s/shift %d", lowering, shiftDiv), func(t *testing.T) {
				r := prove(t, lowered(t, net, lowering))
				for _, c := range r.Checks {
					if c.Status == verify.Fail {
						t.Errorf("%s: %s (limit %s) %s", c.Name, c.Figure, c.Limit, c.Where)
					}
				}
				for _, name := range []string{"file", "onnx-go", "load", "reference", "interpreter", "compiler", "masks", "none", "all", "mixed", "tie", "repeat", "batch", "empty", "permute", "isolation", "optimised", "skipping"} {
					if name == "skipping" && lowering == codegen.Mask {
						continue // computes every frame
					}
					if name == "empty" && lowering == codegen.Branch {
						refusesEmpty(t, r, "Scan")
						continue
					}
					if c := row(t, r, name); c.Status != verify.Pass {
						t.Errorf("%s is %s: %s", name, c.Status, c.Where)
					}
				}
				if testing.Verbose() {
					r.WriteText(t.Output())
				}
			})
		}
	}
}

// refusesEmpty: a batch of no clips is refused because of an operator.
func refusesEmpty(t *testing.T, r *verify.Report, operator string) {
	t.Helper()
	want := "give it one clip or more: ONNX Runtime's " + operator + " does not run over none"
	if c := row(t, r, "empty"); c.Status != verify.Skip || c.Where != want {
		t.Errorf("empty is %s: %s, want it skipped: %s", c.Status, c.Where, want)
	}
}

// TestVerifyBudget: a correct topk whose budget drops selected frames passes.
func TestVerifyBudget(t *testing.T) {
	s := lowered(t, network(t, 0), codegen.TopK, 2)
	refusesEmpty(t, prove(t, s, "interpreter", "empty"), "TopK")
	for _, c := range prove(t, s, "reference", "interpreter", "compiler", "all", "mixed", "skipping").Checks { // two of four frames
		if c.Status != verify.Pass {
			t.Errorf("%s is %s: %s %s", c.Name, c.Status, c.Figure, c.Where)
		}
	}
}

// TestVerifySource compares with a source that the AFNet can be made equal to.
func TestVerifySource(t *testing.T) {
	s := converted(t, codegen.Gather, afblock.RewriteOptions{Groups: 1, StrideAt: afblock.StrideSource, Navigation: afblock.Pattern{Ratio: 0.5}})
	r := prove(t, s)
	for _, c := range r.Checks {
		if c.Status == verify.Fail {
			t.Errorf("%s: %s (limit %s) %s", c.Name, c.Figure, c.Limit, c.Where)
		}
	}
	for _, name := range []string{"identity", "skipping"} {
		if c := row(t, r, name); c.Status != verify.Pass {
			t.Errorf("%s is %s: %s", name, c.Status, c.Where)
		}
	}
	// One clip at a time: nothing to compare within a batch.
	if c := row(t, r, "batch"); c.Status != verify.Skip {
		t.Errorf("batch is %s: %s", c.Status, c.Where)
	}
	if r.Agreement == nil || r.Agreement.Clips != 3 || r.Agreement.Classes != 7 {
		t.Errorf("agreement %+v, want one of 3 clips and 7 classes", r.Agreement)
	}
	if len(r.Latency) != 2 || r.Latency[0].Ratio <= 0 || len(r.Latency[0].Ops) == 0 || r.Latency[0].Activations <= 0 {
		t.Errorf("latency %+v", r.Latency)
	}

	// Held to a source it does not follow, it fails.
	bad, err := verify.Verify(t.Context(), s, verify.Options{Only: []string{"agreement"}, Threads: 1, MinTop1: 1, Videos: clips.Random{Count: 12}})
	if err != nil {
		t.Fatal(err)
	}
	if c := row(t, bad, "agreement"); c.Status != verify.Fail || c.Limit != "top-1 ≥ 100.0 %" {
		t.Errorf("an untrained AFNet passes for its source: %+v", c)
	}
}

// TestChecksDocumented: docs/VERIFY.md says what every check proves.
func TestChecksDocumented(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(testutil.Root(t), "docs", "VERIFY.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range verify.CheckNames() {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("docs/VERIFY.md does not say what %q proves", name)
		}
	}
}

// TestVerifyHalf: clips go to a model of half precision as such, and it is held
// to one of float32 as closely as half precision allows, no closer.
func TestVerifyHalf(t *testing.T) {
	half := func(scale float32) *graph.Model {
		m := graph.NewModel("half", 8, 17)
		g := m.Graph
		shape := graph.ShapeOf(1, 4, 3, 8, 8)
		x := g.AddInput("video", graph.TensorType(graph.Float16, shape))
		wide := g.AddNode("Cast", "", "wide", []*graph.Value{x}, []string{"wide"}, graph.Int("to", int64(graph.Float32))).Output(0)
		scaled := g.AddNode("Mul", "", "mul", []*graph.Value{wide, g.NewInitializer("scale", graph.Float32s(nil, scale))}, []string{"scaled"}).Output(0)
		y := g.AddNode("Cast", "", "narrow", []*graph.Value{scaled}, []string{"logits"}, graph.Int("to", int64(graph.Float16))).Output(0)
		y.Type = x.Type
		g.AddOutput(y)
		return m
	}
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		scale float32 // of the model that is to equal the source
		want  verify.Status
	}{{1, verify.Pass}, {1.01, verify.Pass}, {1.05, verify.Fail}} {
		s := &verify.Subject{Model: half(1), Source: half(1), Frames: 4, Size: [2]int{8, 8},
			Identity: func() (*graph.Model, error) { return half(c.scale), nil }}
		r := prove(t, s, "load", "repeat", "optimised", "identity")
		for _, name := range []string{"load", "repeat", "optimised"} {
			if got := row(t, r, name); got.Status != verify.Pass {
				t.Errorf("%s is %s: %s", name, got.Status, got.Where)
			}
		}
		if got := row(t, r, "identity"); got.Status != c.want {
			t.Errorf("times %g: identity is %s (%s, limit %s), want %s", c.scale, got.Status, got.Figure, got.Limit, c.want)
		}
	}
}

// TestVerifySourceOfImages: a source that takes one image at a time is held to the
// AFNet that takes a clip of them, image by image.
func TestVerifySourceOfImages(t *testing.T) {
	image := func(seed uint64) (*graph.Model, *afblock.Network) {
		m := testmodels.Spec{Blocks: []int{2, 2, 1}, Width: 8, Frames: 1, Size: 33, Classes: 7, Input: testmodels.FramesInBatch, Head: testmodels.PerFrameScores, Seed: seed}.Build()
		net, err := recognize.Network(m, recognize.Options{Frames: 4})
		if err != nil {
			t.Fatal(err)
		}
		return m, net
	}
	source, plain := image(5)
	net, err := afblock.Rewrite(plain, afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.5}})
	if err != nil {
		t.Fatal(err)
	}
	s := lowered(t, net, codegen.Branch)
	if err := subject.SetSource(s, net, source, plain, ""); err != nil {
		t.Fatal(err)
	}
	r := prove(t, s)
	for _, c := range r.Checks {
		if c.Status == verify.Fail {
			t.Errorf("%s: %s (limit %s) %s", c.Name, c.Figure, c.Limit, c.Where)
		}
	}
	if c := row(t, r, "identity"); c.Status != verify.Pass {
		t.Errorf("identity is %s: %s", c.Status, c.Where)
	}
	if r.Agreement == nil || r.Agreement.Clips != 3 {
		t.Errorf("agreement %+v, want one of 3 clips", r.Agreement)
	}
	if c := row(t, r, "latency"); c.Where != "the source takes 1 of a clip's 4 frames at once: not timed beside" || len(r.Latency) != 1 {
		t.Errorf("latency is %s: %s, of %d models", c.Status, c.Where, len(r.Latency))
	}
	other, plain := image(6)
	if err := subject.SetSource(s, net, other, plain, ""); err != nil {
		t.Fatal(err)
	}
	if c := row(t, prove(t, s, "interpreter", "identity"), "identity"); c.Status != verify.Fail {
		t.Errorf("another source: identity is %s: %s", c.Status, c.Where)
	}
}

// TestVerifyFramesLeftOut: a model may take more frames than it uses.
func TestVerifyFramesLeftOut(t *testing.T) {
	source := testmodels.Spec{Blocks: []int{2, 2, 1}, Width: 8, Frames: 4, Size: 33, Classes: 7, Input: testmodels.FramesOwnAxis, Seed: 5}.Build()
	g := source.Graph
	short := g.Inputs()[0]
	long := g.AddInput("all_frames", graph.TensorType(graph.Float32, graph.ShapeOf(1, 8, 3, 33, 33)))
	slice := g.NewNode("Slice", "every_second", []*graph.Value{long, g.NewInitializer("from", graph.Vec(0)),
		g.NewInitializer("to", graph.Vec(8)), g.NewInitializer("axis", graph.Vec(1)), g.NewInitializer("step", graph.Vec(2))}, 1)
	g.MoveBefore(slice, firstNode(g))
	short.ReplaceAllUses(slice.Output(0))
	g.RemoveInput(short)
	plain, err := recognize.Network(source, recognize.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if plain.Frames != 4 {
		t.Fatalf("recognised %d frames, want 4", plain.Frames)
	}
	net, err := afblock.Rewrite(plain, afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.5}})
	if err != nil {
		t.Fatal(err)
	}
	s := lowered(t, net, codegen.Gather)
	if err := subject.SetSource(s, net, source, plain, ""); err != nil {
		t.Fatal(err)
	}
	r := prove(t, s, "reference", "interpreter", "masks", "one", "mixed", "skipping", "source", "identity", "agreement")
	for _, c := range r.Checks {
		if c.Status != verify.Pass && c.Name != "agreement" {
			t.Errorf("%s is %s: %s %s", c.Name, c.Status, c.Figure, c.Where)
		}
	}
}

func firstNode(g *graph.Graph) *graph.Node {
	for n := range g.Nodes() {
		return n
	}
	return nil
}

// TestVerifyOtherSource: a source of the same shapes that the AFNet was not
// made from fails, as does one of another depth.
func TestVerifyOtherSource(t *testing.T) {
	s := converted(t, codegen.Gather, afblock.RewriteOptions{})
	if c := row(t, prove(t, s, "source", "identity"), "source"); c.Status != verify.Pass {
		t.Fatalf("its own source: %s %s", c.Status, c.Where)
	}
	_, net, err := subject.Of(s.Model)
	if err != nil {
		t.Fatal(err)
	}
	other, plain := plainSource(t, 6)
	if err := subject.SetSource(s, net, other, plain, ""); err != nil {
		t.Fatal(err)
	}
	r := prove(t, s, "source", "identity")
	for _, name := range []string{"source", "identity"} {
		if c := row(t, r, name); c.Status != verify.Fail {
			t.Errorf("another source: %s is %s: %s", name, c.Status, c.Where)
		}
	}
}

// TestVerifyProves: a run that says nothing of an AFNet fails.
func TestVerifyProves(t *testing.T) {
	s := converted(t, codegen.Gather, afblock.RewriteOptions{})
	if r := prove(t, s, "load", "repeat"); !r.Failed() || !strings.Contains(row(t, r, "proof").Where, "no check of this run") {
		t.Error("a run without a check of the network passes")
	}
	if r := prove(t, s, "load", "tie"); r.Failed() {
		t.Error("a run with one fails")
	}
	plain := &verify.Subject{Model: s.Source, Path: "plain.onnx", Frames: 4, Size: s.Size}
	if r := prove(t, plain); !r.Failed() || !strings.Contains(row(t, r, "proof").Where, "plain.onnx is no AFNet") {
		t.Error("a plain model passes for an AFNet")
	}
}

// TestRecorded: a lowering gives the answers that another was recorded to give, on
// the recorded clips; other weights do not.
func TestRecorded(t *testing.T) {
	net := network(t, 8)
	opt := verify.Options{Only: []string{"load", "reference"}, Videos: clips.Random{Count: 3, Seed: 1}, Threads: 1, Batch: 3, Record: true}
	r, err := verify.Verify(t.Context(), lowered(t, net, codegen.Gather), opt)
	if err != nil {
		t.Fatal(err)
	}
	opt = verify.Options{Only: []string{"recorded"}, Threads: 1, Recorded: r.Recording}
	mask := lowered(t, net, codegen.Mask)
	if r, err = verify.Verify(t.Context(), mask, opt); err != nil || row(t, r, "recorded").Status != verify.Pass {
		t.Errorf("%v, %+v", err, r)
	}
	shifted := mask.Model.Clone()
	for _, w := range shifted.Graph.Initializers() {
		if w.Name() == "new_fc.bias" {
			v, err := w.Initializer().Float32s()
			if err != nil {
				t.Fatal(err)
			}
			v[0] += 1e-2
			shifted.Graph.SetInitializer(w, graph.Float32s(w.Initializer().Dims, v...))
		}
	}
	mask.Model = shifted
	if r, err = verify.Verify(t.Context(), mask, opt); err != nil || row(t, r, "recorded").Status != verify.Fail {
		t.Errorf("with another bias: %v, %+v", err, r)
	}
}
