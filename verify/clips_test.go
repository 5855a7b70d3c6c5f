package verify_test

import (
	"strings"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// pixelMeans returns a model of clips, as many as the shape's first dimension
// says, that answers the mean of each frame's channels; spoil may make its
// answer depend on what it should not.
func pixelMeans(clips graph.Dim, spoil func(g *graph.Graph, y *graph.Value) *graph.Value) *verify.Subject {
	m := graph.NewModel("means", 8, 13)
	g := m.Graph
	x := g.AddInput("video", graph.TensorType(graph.Float32, graph.Shape{clips, graph.D(4), graph.D(3), graph.D(8), graph.D(8)}))
	y := g.NewNode("ReduceMean", "means", []*graph.Value{x}, 1, graph.Ints("axes", 3, 4), graph.Int("keepdims", 0)).Output(0)
	y = g.AddNode("Identity", "", "answer", []*graph.Value{spoil(g, y)}, []string{"logits"}).Output(0)
	y.Type = graph.TensorType(graph.Float32, graph.Shape{clips, graph.D(4), graph.D(3)})
	g.AddOutput(y)
	return &verify.Subject{Model: m, Path: "means.onnx", Frames: 4}
}

// TestClipsApart: rows that look at clips beside each other, with any number of
// clips, a fixed number and one.
func TestClipsApart(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	sound := func(_ *graph.Graph, y *graph.Value) *graph.Value { return y }
	// The mean over the batch is taken off.
	mixing := func(g *graph.Graph, y *graph.Value) *graph.Value {
		mean := g.NewNode("ReduceMean", "over clips", []*graph.Value{y}, 1, graph.Ints("axes", 0), graph.Int("keepdims", 1)).Output(0)
		return g.NewNode("Sub", "centred", []*graph.Value{y, mean}, 1).Output(0)
	}
	// Later clips count more.
	ordered := func(g *graph.Graph, y *graph.Value) *graph.Value {
		return g.NewNode("CumSum", "sums", []*graph.Value{y, g.NewInitializer("axis", graph.Int64s(nil, 0))}, 1).Output(0)
	}
	// The runtime's state of random numbers goes from one run into the next.
	random := func(g *graph.Graph, y *graph.Value) *graph.Value {
		noise := g.NewNode("RandomNormalLike", "noise", []*graph.Value{y}, 1, graph.Float("seed", 1)).Output(0)
		return g.NewNode("Add", "noisy", []*graph.Value{y, noise}, 1).Output(0)
	}
	const pass, fail, skip = verify.Pass, verify.Fail, verify.Skip
	for _, tt := range []struct {
		name                      string
		clips                     graph.Dim
		spoil                     func(*graph.Graph, *graph.Value) *graph.Value
		batch, permute, isolation verify.Status
		where                     string // of isolation
	}{
		{"any", graph.Sym("n"), sound, pass, pass, pass, ""},
		{"any, mixed", graph.Sym("n"), mixing, fail, pass, fail, "beside a clip of NaN"},
		{"any, ordered", graph.Sym("n"), ordered, fail, fail, fail, "beside a clip of NaN"},
		{"three", graph.D(3), sound, pass, pass, pass, ""},
		{"three, mixed", graph.D(3), mixing, fail, pass, fail, "beside a clip of NaN"},
		{"one", graph.D(1), sound, skip, skip, pass, ""},
		{"one, random", graph.D(1), random, skip, skip, fail, "in the run behind a clip of NaN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := prove(t, pixelMeans(tt.clips, tt.spoil), "batch", "permute", "isolation")
			for name, want := range map[string]verify.Status{"batch": tt.batch, "permute": tt.permute, "isolation": tt.isolation} {
				if c := row(t, r, name); c.Status != want {
					t.Errorf("%s is %s (%s %s), want %s", name, c.Status, c.Figure, c.Where, want)
				}
			}
			if c := row(t, r, "isolation"); !strings.HasPrefix(c.Where, tt.where) {
				t.Errorf("isolation failed %s, want %s", c.Where, tt.where)
			}
		})
	}
}
