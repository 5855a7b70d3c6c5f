package train

import (
	"context"
	"fmt"
	"sync"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
	"github.com/afc-project/afc/passes"
	"github.com/afc-project/afc/verify/ort"
)

// newAnswers writes what a network answers to clips, as it runs: by the running
// statistics, choices without noise. Weights of a layout are inputs, all if it
// is nil are constants. With given selection, masks are an input.
func newAnswers(net *afblock.Network, layout *Layout, count int, size afblock.Size, from Selection) (*graph.Model, error) {
	m := graph.NewModel("answers", graph.IRVersionOf(opset), opset)
	s := &stepWriter{
		forward: &forward{builder: &builder{m.Graph, map[string]*graph.Value{}}, net: net, clips: int64(count), tensors: map[string]*graph.Value{}},
		model:   m, opt: StepOptions{Selection: from},
	}
	in := s.input(FramesIn, s.clips*int64(net.Frames), int64(net.Stem.Conv.In()), int64(size[0]), int64(size[1]))
	if layout != nil {
		s.vector(WeightsIn, layout.Weights)
		if len(layout.Statistics) > 0 {
			s.vector(StatsIn, layout.Statistics)
		}
	}
	if from == Given {
		s.selection()
	} else {
		s.choose = func(f *forward, _ int, n *afblock.Navigation, pooled *graph.Value) *graph.Value {
			each := f.split(f.logits(n, pooled), n.Key+".each", 1, 1, 1)
			chosen := f.binary("Greater", n.Key+".chosen", each[1], each[0])
			return f.reshape(f.node("Cast", n.Key+".hard", []*graph.Value{chosen}, graph.Int("to", int64(graph.Float32))), n.Key+".choice", -1)
		}
	}
	a, err := s.network(in, size)
	if err != nil {
		return nil, err
	}
	s.output(a.frames, "frame_scores")
	if choices := s.choices(); choices != nil {
		s.output(choices, ChoicesOut)
	}
	if r := op.Infer(m); !r.OK() {
		return nil, fmt.Errorf("BUG: shapes of the answers: %s", r)
	}
	return m, passes.Merge(m)
}

// teacher is a source that says what it makes of each clip's frames.
type teacher struct {
	session *ort.Session
	dims    []int64 // of a clip's frames
	classes int

	mu   sync.Mutex
	kept map[[2]int][]float32 // by video and variant
	left int                  // scores that may still be kept
}

// maxKept bounds the scores that a teacher keeps: 256 MB.
const maxKept = 64 << 20

func newTeacher(source *afblock.Network, size afblock.Size, threads int) (*teacher, error) {
	m, err := newAnswers(source, nil, 1, size, Learned)
	if err != nil {
		return nil, fmt.Errorf("the source: %w", err)
	}
	s, err := ort.NewSession(m, ort.SessionOptions{Threads: threads, Config: quiet})
	if err != nil {
		return nil, err
	}
	return &teacher{session: s, dims: m.Graph.Inputs()[0].Type.Shape.Dims(), classes: source.Head.FC.Out(), kept: map[[2]int][]float32{}, left: maxKept}, nil
}

// quiet keeps idle threads of the runtime from spinning: this process has work
// of its own for the cores.
var quiet = map[string]string{"session.intra_op.allow_spinning": "0"}

func (t *teacher) close() {
	if t != nil {
		t.session.Close()
	}
}

// scores are [T, classes] of a clip.
func (t *teacher) scores(ctx context.Context, s shown) ([]float32, error) {
	key := [2]int{s.video, s.variant}
	t.mu.Lock()
	kept := t.kept[key]
	t.mu.Unlock()
	if s.again && kept != nil {
		return kept, nil
	}
	out, err := t.session.Run(ctx, graph.Float32s(t.dims, s.frames...))
	if err != nil {
		return nil, err
	}
	v, err := out[0].Float32s()
	if err != nil {
		return nil, err
	}
	if s.again {
		t.mu.Lock()
		if t.left -= len(v); t.left >= 0 {
			t.kept[key] = v
		}
		t.mu.Unlock()
	}
	return v, nil
}
