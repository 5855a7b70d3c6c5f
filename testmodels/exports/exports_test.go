// Package exports holds real exports of small TSN and TSM ResNets, made by
// make.py with PyTorch's exporters and other tools, and the tests that
// recognition reads every one of them right. facts.json says what is in each.
package exports

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/passes"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// facts is what make.py knows of an export.
type facts struct {
	Refused  bool // no TSN or TSM: Recognize must say why
	Stripped bool // weights are zeros; there is nothing to run
	Strided  bool // it leaves frames of its input out
	Norms    bool // normalisations are written as products and sums, which the passes undo
	Half     bool // weights, at least, are float16
	Tail     bool // more than a mean and softmax stands behind the linear layer
	Flag     bool // the graph does not tell T; recognize.Options.Frames does
	Open     bool // it takes clips of any T; the .npz has one of 6 frames too

	Frames, Depth, Width, Classes, Crops, Div, Every int

	Shift, Block, Caffe, Softmax bool
	AvgDown                      bool `json:"avg_down"`
	Layout, Consensus            string
}

func readFacts(t *testing.T) map[string]facts {
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

func names(all map[string]facts, refused bool) []string {
	var list []string
	for name, f := range all {
		if f.Refused == refused {
			list = append(list, name)
		}
	}
	sort.Strings(list)
	return list
}

func (f facts) options() recognize.Options {
	if f.Flag && !f.Refused {
		return recognize.Options{Frames: f.Frames}
	}
	return recognize.Options{}
}

func read(t *testing.T, name string) *graph.Model {
	t.Helper()
	m, err := graph.ReadFile(name + ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestOneClip gives each input the sizes of one clip where they are open, among
// them that of pixels whose channels come last.
func TestOneClip(t *testing.T) {
	all := readFacts(t)
	for _, name := range names(all, false) {
		t.Run(name, func(t *testing.T) {
			f := all[name]
			m := read(t, name)
			if err := passes.Canonicalize(m); err != nil {
				t.Fatal(err)
			}
			net, err := recognize.Network(m, f.options())
			if err != nil {
				t.Fatal(err)
			}
			if f.Strided {
				t.Skip("afc cannot tell the input's frames")
			}
			fixed := net.Size != afblock.Size{}
			if !fixed {
				net.Size = afblock.Size{64, 48}
			}
			shapes, err := net.OneClip(m)
			if err != nil {
				t.Fatal(err)
			}
			in := m.DataInputs()[0]
			got := shapes[in.Name()]
			perClip := int64(f.Frames*max(f.Crops, 1)*net.Size[0]*net.Size[1]) * int64(net.Stem.Conv.In())
			clips := int64(1)
			if d := in.Type.Shape[0]; d.Known() {
				if clips = d.Size; f.Layout == "flat" {
					clips /= int64(f.Frames * max(f.Crops, 1))
				}
			}
			n := int64(1)
			for _, d := range got.Dims() {
				n *= d
			}
			if !got.Static() || n != clips*perClip {
				t.Errorf("%s as %s: %d elements, want %d of %d clips", in.Type.Shape, got, n, clips*perClip, clips)
			}
			if !fixed && f.Layout != "last" && (got[len(got)-2].Size != 64 || got[len(got)-1].Size != 48) {
				t.Errorf("%s as %s, want frames of 64x48", in.Type.Shape, got)
			}
			if err := op.SetInputShapes(m, shapes); err != nil {
				t.Fatal(err)
			}
			if r := op.Infer(m); !r.OK() {
				t.Errorf("%s as %s: %s", in.Type.Shape, got, r)
			}
		})
	}
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
	all := readFacts(t)
	for _, name := range names(all, false) {
		t.Run(name, func(t *testing.T) {
			f := all[name]
			m := read(t, name)
			if len(m.Functions) == 0 && !f.Norms { // calls are inlined by the passes first
				net, err := recognize.Network(m, f.options())
				if err != nil {
					t.Fatal(err)
				}
				f.check(t, net)
			}
			if err := passes.Canonicalize(m); err != nil {
				t.Fatal(err)
			}
			net, err := recognize.Network(m, f.options())
			if err != nil {
				t.Fatalf("canonicalised: %v", err)
			}
			f.check(t, net)
		})
	}
}

var (
	layers  = map[int][]int{18: {2, 2, 2, 2}, 34: {3, 4, 6, 3}, 50: {3, 4, 6, 3}, 101: {3, 4, 23, 3}, 152: {3, 8, 36, 3}}
	layouts = map[string]afblock.Layout{"flat": afblock.LayoutFrames, "seg": afblock.LayoutSegments, "chan": afblock.LayoutChannels, "last": "N T H W C", "other": afblock.LayoutOther}
	means   = map[string]afblock.Consensus{"after": afblock.MeanAfterFC, "before": afblock.MeanBeforeFC, "none": afblock.PerFrame}
)

// check compares a recognised network with the facts.
func (f facts) check(t *testing.T, net *afblock.Network) {
	t.Helper()
	segments := f.Frames * f.Crops
	if f.Layout == "flat" || f.Strided {
		segments = 0
	}
	if net.Frames != f.Frames || net.Shell.Clip().Layout != layouts[f.Layout] || net.Shell.Clip().Segments != segments {
		t.Errorf("T %d, layout %s, %d frames a sample; want %d, %s, %d", net.Frames, net.Shell.Clip().Layout, net.Shell.Clip().Segments,
			f.Frames, layouts[f.Layout], segments)
	}
	if h := net.Head; h.Consensus != means[f.Consensus] || h.Softmax != f.Softmax || h.FC.Weight.Dims[0] != int64(f.Classes) {
		t.Errorf("head: consensus %d, softmax %v, weights %v; want %s, %v, %d classes", h.Consensus, h.Softmax, h.FC.Weight.Dims, f.Consensus, f.Softmax, f.Classes)
	}
	var blocks []int
	for i, s := range net.Stages {
		blocks = append(blocks, len(s.Blocks))
		out := f.Width << i
		if f.Depth >= 50 {
			out *= 4
		}
		for j, b := range s.Blocks {
			f.checkBlock(t, b, j, out)
		}
	}
	if !slices.Equal(blocks, layers[f.Depth]) {
		t.Errorf("blocks %v, want %v", blocks, layers[f.Depth])
	}
}

func (f facts) checkBlock(t *testing.T, b *afblock.Block, j, out int) {
	t.Helper()
	if b.Bottleneck() != (f.Depth >= 50) || b.Out() != out || !(b.Act == afblock.ReLU) {
		t.Errorf("%s: bottleneck %v, %d channels, final ReLU %v; want %d channels", b.Key, b.Bottleneck(), b.Out(), (b.Act == afblock.ReLU), out)
	}
	strided := 1
	if f.Depth < 50 || f.Caffe {
		strided = 0
	}
	if b.Stride() != 1 && b.Convs()[strided].Stride != 2 {
		t.Errorf("%s: the stride is not in convolution %d", b.Key, strided)
	}
	if pooled := b.Residual.Pool != nil; pooled != (f.AvgDown && b.Stride() != 1) {
		t.Errorf("%s: average pool on the residual path: %v", b.Key, pooled)
	}
	switch want := f.Shift && j%f.Every == 0; {
	case want && b.Shift == nil:
		t.Errorf("%s: no shift", b.Key)
	case want && (b.Shift.Fold != b.In()/f.Div || b.Shift.Residual != f.Block):
		t.Errorf("%s: shift %+v, want fold %d, residual %v", b.Key, *b.Shift, b.In()/f.Div, f.Block)
	case !want && b.Shift != nil:
		t.Errorf("%s: shift %+v where there is none", b.Key, *b.Shift)
	}
}

// TestRefused holds the reasons that are given for what is no TSN or TSM.
func TestRefused(t *testing.T) {
	testutil.NoOrphans(t, "*.txt")
	all := readFacts(t)
	for _, name := range names(all, true) {
		t.Run(name, func(t *testing.T) {
			_, err := recognize.Network(read(t, name), all[name].options())
			if err == nil {
				t.Fatal("recognised")
			}
			testutil.Golden(t, name+".txt", err.Error()+"\n")
		})
	}
}

// recognised is the tolerance of a recognised and rewritten network against
// PyTorch, of the largest logit: these narrow nets amplify rounding. halved is
// that of one whose weights were rounded to float16.
var (
	recognised = verify.Tolerance{Name: "recognised", Scale: 1e-4}
	halved     = verify.Tolerance{Name: "halved", Scale: 2e-2}
)

// TestSameAnswer lowers each recognised network as it is, and runs it against
// the answers that PyTorch gave.
func TestSameAnswer(t *testing.T) {
	eachRunnable(t, func(t *testing.T, f facts, net *afblock.Network, video, logits *graph.Tensor) {
		f.compare(t, run(t, net, video), logits)
	})
}

// TestMoreFrames lowers each network for clips of twice as many frames. One
// without shift must answer a clip shown twice as it answers the clip; one
// with shift must at least take it.
func TestMoreFrames(t *testing.T) {
	eachRunnable(t, func(t *testing.T, f facts, net *afblock.Network, video, logits *graph.Tensor) {
		if f.Strided {
			t.Skip("afc cannot tell the input's frames")
		}
		net.Frames *= 2
		clips := int64(1)
		switch net.Shell.Clip().Layout {
		case afblock.LayoutFrames:
			clips = video.Dims[0] / int64(f.Frames)
			video = twice(t, video, clips, 0)
		default:
			clips = video.Dims[0]
			video = twice(t, video, clips, 1)
		}
		want := logits
		if f.Consensus == "none" {
			want = twice(t, logits, clips, 0)
		}
		got := run(t, net, video)
		if !slices.Equal(got.Dims, want.Dims) {
			t.Fatalf("logits of shape %v, want %v", got.Dims, want.Dims)
		}
		if !f.Shift {
			f.compare(t, got, want)
		}
	})
}

// twice repeats each of n equal parts of x, making axis twice as long.
func twice(t *testing.T, x *graph.Tensor, n int64, axis int) *graph.Tensor {
	t.Helper()
	raw, err := x.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for part := range slices.Chunk(raw, len(raw)/int(n)) {
		out = append(append(out, part...), part...)
	}
	dims := slices.Clone(x.Dims)
	dims[axis] *= 2
	y, err := graph.NewTensor(x.DType, dims, out)
	if err != nil {
		t.Fatal(err)
	}
	return y
}

// TestFramesNotTold: where the graph does not say T, it is asked for, not guessed.
func TestFramesNotTold(t *testing.T) {
	all := readFacts(t)
	for _, name := range names(all, false) {
		if !all[name].Flag {
			continue
		}
		m := read(t, name)
		if err := passes.Canonicalize(m); err != nil {
			t.Fatal(err)
		}
		_, err := recognize.Network(m, recognize.Options{})
		var no *recognize.Error
		if !errors.As(err, &no) || !no.NeedFrames {
			t.Errorf("%s: T is not in the file, got %v", name, err)
		}
	}
}

// TestOpenFrames gives a network that takes clips of any length one of 6 frames.
func TestOpenFrames(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	all := readFacts(t)
	for _, name := range names(all, false) {
		f := all[name]
		if !f.Open {
			continue
		}
		m := read(t, name)
		if err := passes.Canonicalize(m); err != nil {
			t.Fatal(err)
		}
		net, err := recognize.Network(m, recognize.Options{Frames: 6})
		if err != nil {
			t.Fatal(err)
		}
		recorded := testutil.NPZ(t, name+".npz")
		f.compare(t, run(t, net, recorded["video6"]), recorded["logits6"])
	}
}

// TestOtherSizes lowers networks that take frames of any size for other numbers
// of frames, among them those that are axes' numbers, and gives them frames that
// are not square: two clips must be answered as each of them alone.
func TestOtherSizes(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	eachRunnable(t, func(t *testing.T, f facts, net *afblock.Network, video, logits *graph.Tensor) {
		if net.Size != [2]int{} || net.Shell.Clip().Layout == afblock.LayoutOther || f.Half {
			t.Skip("the size of frames is fixed")
		}
		for _, frames := range []int{1, 2, 3, 5} {
			net.Frames = frames
			for _, size := range [][2]int64{{64, 32}, {32, 64}, {96, 33}} {
				one := clip(net, 1, size)
				two := clip(net, 2, size)
				a, b := run(t, net, one), run(t, net, two)
				if a.Dims[0] < 1 || b.Dims[0] != 2*a.Dims[0] || !slices.Equal(a.Dims[1:], b.Dims[1:]) {
					t.Fatalf("%d frames of %v: answers of shape %v for a clip and %v for two", frames, size, a.Dims, b.Dims)
				}
				if f.Consensus != "none" && a.Dims[0] != 1 {
					t.Errorf("%d frames of %v: %d answers for a clip", frames, size, a.Dims[0])
				}
				f.compare(t, firstRows(t, b, -a.Dims[0]), a)
			}
		}
	})
}

// TestAllAxesOpen: mmaction2's deployment exports clips, frames and sizes open,
// and probabilities averaged over crops; what stands before the trunk and behind it
// asks the input for the same sizes. Both optimised and lowered, no node's name is
// there twice, and every number of clips and size of frames is answered.
func TestAllAxesOpen(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	const name = "tsm_r18_prob_all_open_op11"
	f, recorded := readFacts(t)[name], testutil.NPZ(t, name+".npz")
	source := read(t, name)
	for i, d := range source.Graph.Inputs()[0].Type.Shape {
		if d.Known() != (i == 2) {
			t.Fatalf("the input is %s: no longer open but for its channels", source.Graph.Inputs()[0].Type)
		}
	}
	optimised, err := passes.Optimize(source.Clone(), passes.Options{Check: true, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	net, err := recognize.Network(canonical(t, name), f.options())
	if err != nil {
		t.Fatal(err)
	}
	models := map[string]*graph.Model{"optimised": optimised.Model}
	for _, lowering := range []codegen.Lowering{codegen.Mask, codegen.Gather} {
		if models[string(lowering)], _, err = codegen.Lower(net, codegen.Options{Lowering: lowering}); err != nil {
			t.Fatal(err)
		}
	}
	for how, m := range models {
		if err := graph.Check(m); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		f.compare(t, answer(t, m, recorded["video"]), recorded["logits"])
		for clips, size := range map[int64][2]int64{1: {32, 64}, 3: {48, 32}} {
			x := clip(net, clips, size)
			f.compare(t, answer(t, m, x), answer(t, source, x))
		}
	}
}

func canonical(t *testing.T, name string) *graph.Model {
	t.Helper()
	m := read(t, name)
	if err := passes.Canonicalize(m); err != nil {
		t.Fatal(err)
	}
	return m
}

// clip makes clips of random frames as a network takes them, the first the same
// however many there are.
func clip(net *afblock.Network, clips int64, size [2]int64) *graph.Tensor {
	channels, frames := int64(net.Stem.Conv.In()), int64(net.Frames)
	dims := map[afblock.Layout][]int64{
		afblock.LayoutFrames:   {clips * frames, channels, size[0], size[1]},
		afblock.LayoutSegments: {clips, frames, channels, size[0], size[1]},
		afblock.LayoutChannels: {clips, frames * channels, size[0], size[1]},
	}[net.Shell.Clip().Layout]
	rng := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, clips*frames*channels*size[0]*size[1])
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return graph.Float32s(dims, x...)
}

// TestOtherClasses lowers each network with a linear layer of one class less,
// as a checkpoint of another data set brings it.
func TestOtherClasses(t *testing.T) {
	eachRunnable(t, func(t *testing.T, f facts, net *afblock.Network, video, logits *graph.Tensor) {
		if f.Softmax || f.Tail {
			t.Skip("the output sees all classes")
		}
		net.Head.FC.Weight = firstRows(t, net.Head.FC.Weight, -1)
		if net.Head.FC.Bias != nil {
			net.Head.FC.Bias = firstRows(t, net.Head.FC.Bias, -1)
		}
		got := run(t, net, video)
		raw, err := logits.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		width := f.Classes * logits.DType.Size()
		var cut []byte
		for row := range slices.Chunk(raw, width) {
			cut = append(cut, row[:width-logits.DType.Size()]...)
		}
		want, err := graph.NewTensor(logits.DType, []int64{logits.Dims[0], int64(f.Classes - 1)}, cut)
		if err != nil {
			t.Fatal(err)
		}
		f.compare(t, got, want)
	})
}

// firstRows cuts an axis 0 to its size plus n.
func firstRows(t *testing.T, x *graph.Tensor, n int64) *graph.Tensor {
	t.Helper()
	raw, err := x.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	dims := slices.Clone(x.Dims)
	dims[0] += n
	y, err := graph.NewTensor(x.DType, dims, raw[:int64(len(raw))/x.Dims[0]*dims[0]])
	if err != nil {
		t.Fatal(err)
	}
	return y
}

// eachRunnable calls fn with every export's network and recorded answer.
func eachRunnable(t *testing.T, fn func(t *testing.T, f facts, net *afblock.Network, video, logits *graph.Tensor)) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	all := readFacts(t)
	for _, name := range names(all, false) {
		f := all[name]
		if f.Stripped {
			continue
		}
		t.Run(name, func(t *testing.T) {
			m := read(t, name)
			if err := passes.Canonicalize(m); err != nil {
				t.Fatal(err)
			}
			net, err := recognize.Network(m, f.options())
			if err != nil {
				t.Fatal(err)
			}
			recorded := testutil.NPZ(t, name+".npz")
			fn(t, f, net, recorded["video"], recorded["logits"])
		})
	}
}

// run lowers a network and runs it.
func run(t *testing.T, net *afblock.Network, video *graph.Tensor) *graph.Tensor {
	t.Helper()
	m, _, err := codegen.Lower(net, codegen.Options{Lowering: codegen.Mask})
	if err != nil {
		t.Fatal(err)
	}
	return answer(t, m, video)
}

// answer runs a model.
func answer(t *testing.T, m *graph.Model, video *graph.Tensor) *graph.Tensor {
	t.Helper()
	s, err := ort.NewSession(m, ort.SessionOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.RunNamed(context.Background(), map[string]*graph.Tensor{"video": video})
	if err != nil {
		t.Fatal(err)
	}
	return out["logits"]
}

func (f facts) compare(t *testing.T, got, want *graph.Tensor) {
	t.Helper()
	tol := recognised
	if f.Half {
		tol = halved
	}
	d, err := verify.Compare("logits", got, want, tol)
	if err != nil {
		t.Fatal(err)
	}
	if !d.OK() {
		t.Errorf("logits differ by %s, tolerance %s; worst %s", d.Figure(), tol, d.Where())
	}
}
