package afblock

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/afc-project/afc/graph"
)

// Shell is what a model has around the trunk: its inputs and what lies before
// the stem, what lies behind the last stage, and its outputs.
type Shell interface {
	// Prefix writes the inputs and what lies before the stem into g, which must
	// be empty, for the network's T, and returns what the stem shall read,
	// [N·T, C, H, W].
	Prefix(g *graph.Graph, net *Network) (*graph.Value, error)
	// Suffix writes what lies behind the trunk into g, reading trunkOut, with the
	// weights of the network's head, and makes the outputs.
	Suffix(g *graph.Graph, trunkOut *graph.Value, net *Network) error
	// Model is the model that the shell was found in; nil of the standard shell.
	Model() *graph.Model
	// Clip says how that model takes clips and answers.
	Clip() Clip
}

// Clip is how a model takes clips, and where it answers.
type Clip struct {
	Input    *graph.Value // nil of the standard shell, as Answer is
	Answer   *graph.Value // the output that holds the scores
	Layout   Layout
	Frames   int // T of the model, which the network's may depart from
	Segments int // frames of one input sample, T times the crops; 0 if only the batch tells
}

// Layout says what the axes of a model's input count, outermost first, with
// blanks between: clips N, a sample's frames T, a frame's channels C, rows H and
// columns W; "NT" are the frames of all clips, "TC" the channels of all frames of a
// sample, and "?" is an axis of which the model does not tell.
type Layout string

const (
	LayoutOther    Layout = ""          // any other view, of which nothing is known
	LayoutFrames   Layout = "NT C H W"  // frames folded into the batch axis
	LayoutSegments Layout = "N T C H W" // frames on an axis of their own
	LayoutChannels Layout = "N TC H W"  // frames side by side as channels (MIT TSM)

	LayoutFramesLast   Layout = "NT H W C" // the first and the third with channels last
	LayoutChannelsLast Layout = "N H W TC"
)

// Axes returns what each axis counts.
func (l Layout) Axes() []string { return strings.Fields(string(l)) }

// Axis returns the axis that counts a letter, alone or with another; −1: none.
func (l Layout) Axis(letter string) int {
	return slices.IndexFunc(l.Axes(), func(counts string) bool { return strings.Contains(counts, letter) })
}

// FoldsFrames reports whether the first axis counts the frames of all clips.
func (l Layout) FoldsFrames() bool { return l == LayoutFrames || l == LayoutFramesLast }

// Spell writes the layout of frames of so many channels: "[N·T, 3, H, W]".
func (l Layout) Spell(channels int) string {
	axes := l.Axes()
	if axes == nil {
		return "other"
	}
	for i, counts := range axes {
		axes[i] = strings.Replace(strings.Join(strings.Split(counts, ""), "·"), "C", strconv.Itoa(channels), 1)
	}
	return "[" + strings.Join(axes, ", ") + "]"
}

// OneClip returns the shapes of a model's inputs, by name, with the sizes of one
// clip of the network where they are open. The model is the network's source, or
// was lowered from it.
func (net *Network) OneClip(m *graph.Model) (map[string]graph.Shape, error) {
	clip, name := net.Shell.Clip(), DefaultInput
	if clip.Input != nil {
		name = clip.Input.Name()
	}
	shapes := map[string]graph.Shape{}
	for _, v := range m.DataInputs() {
		s := slices.Clone(v.Type.Shape)
		axes := clip.Layout.Axes()
		for i, d := range s {
			switch {
			case d.Known():
			case v.Name() != name && i == 0: // masks or noise, of one clip
				s[i] = graph.D(1)
			case v.Name() == name && len(axes) == len(s) && net.sizeOf(axes[i]) > 0:
				s[i] = graph.D(int64(net.sizeOf(axes[i])))
			default:
				return nil, fmt.Errorf("dimension %d of input %q %s is open: give --input-shapes", i, v.Name(), v.Type.Shape)
			}
		}
		shapes[v.Name()] = s
	}
	return shapes, nil
}

// sizeOf is how many of what an axis counts one clip has, 0 where nobody knows.
func (net *Network) sizeOf(counts string) int {
	clip, channels := net.Shell.Clip(), net.Stem.Conv.In()
	sample := net.Frames
	if clip.Segments > 0 {
		sample = clip.Segments / clip.Frames * net.Frames
	}
	return map[string]int{"N": 1, "NT": net.Frames, "T": sample, "C": channels, "TC": sample * channels, "H": net.Size[0], "W": net.Size[1]}[counts]
}

// StandardShell is the shell of a network that was not read from a model: the
// input "video" [N, T, C, H, W], viewed as frames, and the output "logits".
type StandardShell struct {
	OneClip bool // N is 1; otherwise any number of clips goes
}

// Names of the standard input and output.
const (
	DefaultInput  = "video"
	DefaultOutput = "logits"
)

// Model returns nil: there is none.
func (StandardShell) Model() *graph.Model { return nil }

// Clip says how clips lie in the input.
func (StandardShell) Clip() Clip { return Clip{Layout: LayoutSegments} }

// Prefix makes the input and folds the clips' frames into the batch axis.
func (s StandardShell) Prefix(g *graph.Graph, net *Network) (*graph.Value, error) {
	if net.Frames <= 0 {
		return nil, fmt.Errorf("network has %d frames a clip; it needs at least 1", net.Frames)
	}
	channels := int64(net.Stem.Conv.In())
	h, w := graph.Sym("height"), graph.Sym("width")
	if net.Size[0] > 0 && net.Size[1] > 0 {
		h, w = graph.D(int64(net.Size[0])), graph.D(int64(net.Size[1]))
	}
	batch := graph.Sym("batch")
	if s.OneClip {
		batch = graph.D(1)
	}
	shape := graph.Shape{batch, graph.D(int64(net.Frames)), graph.D(channels), h, w}
	video := g.AddInput(DefaultInput, graph.TensorType(graph.Float32, shape))

	var target *graph.Value
	if h.Known() {
		target = g.NewInitializer("afc.frames_shape", graph.Vec(-1, channels, h.Size, w.Size))
	} else {
		// Sizes are known only at run time: take them from the input.
		dims := g.NewNode("Shape", "afc.video_shape", []*graph.Value{video}, 1).Output(0)
		image := g.NewNode("Slice", "afc.image_shape", []*graph.Value{dims,
			g.NewInitializer("afc.image_from", graph.Vec(2)), g.NewInitializer("afc.image_to", graph.Vec(5))}, 1).Output(0)
		target = g.NewNode("Concat", "afc.frames_shape", []*graph.Value{
			g.NewInitializer("afc.any", graph.Vec(-1)), image}, 1, graph.Int("axis", 0)).Output(0)
	}
	frames := g.NewNode("Reshape", "afc.frames", []*graph.Value{video, target}, 1).Output(0)
	if s.OneClip {
		frames.Type = graph.TensorType(graph.Float32, graph.Shape{graph.D(int64(net.Frames)), graph.D(channels), h, w})
	}
	return frames, nil
}

// Suffix makes the standard head and the output.
func (StandardShell) Suffix(g *graph.Graph, trunkOut *graph.Value, net *Network) error {
	logits, err := StandardSuffix(g, trunkOut, net, DefaultOutput)
	if err != nil {
		return err
	}
	g.AddOutput(logits)
	return nil
}

// StandardSuffix is global average pool, linear layer, mean over the frames of
// a clip, in the order net.Head.Consensus asks for, and softmax if the head has
// it. Its result, [N, classes] or [N·T, classes] without consensus, is a value
// of the given name. It is spelled for opset 13 and later alike.
func StandardSuffix(g *graph.Graph, trunkOut *graph.Value, net *Network, name string) (*graph.Value, error) {
	head := &net.Head
	if head.FC.Weight == nil {
		return nil, fmt.Errorf("network has no linear layer behind its trunk")
	}
	pooled := g.NewNode("GlobalAveragePool", "afc.pool", []*graph.Value{trunkOut}, 1).Output(0)
	x := g.NewNode("Flatten", "afc.features", []*graph.Value{pooled}, 1, graph.Int("axis", 1)).Output(0)
	classes, channels := head.FC.Weight.Dims[0], head.Features()
	if head.Consensus == MeanBeforeFC {
		x = meanOverFrames(g, x, net.Frames, channels)
	}
	x = head.Gemm(g, x)
	if head.Consensus == MeanAfterFC {
		x = meanOverFrames(g, x, net.Frames, classes)
	}
	if head.Softmax {
		x = g.NewNode("Softmax", "afc.softmax", []*graph.Value{x}, 1, graph.Int("axis", 1)).Output(0)
	}
	if x.Name() != name {
		x.Rename(g.NewName(name))
	}
	batch := graph.Sym("batch")
	if head.Consensus == PerFrame {
		batch = graph.Sym("frames")
	}
	x.Type = graph.TensorType(graph.Float32, graph.Shape{batch, graph.D(classes)})
	return x, nil
}

// Gemm applies the head's linear layers to rows of features.
func (head *Head) Gemm(g *graph.Graph, x *graph.Value) *graph.Value {
	for _, l := range head.Classify() {
		switch l := l.(type) {
		case *Linear:
			x = l.gemm(g, x)
		case Act:
			x = l.rows(g, x)
		}
	}
	return x
}

func (l *Linear) gemm(g *graph.Graph, x *graph.Value) *graph.Value {
	in := []*graph.Value{x, HeadInitializer(g, l.Key+".weight", l.Weight)}
	if l.Bias != nil {
		in = append(in, HeadInitializer(g, l.Key+".bias", l.Bias))
	}
	return g.NewNode("Gemm", l.Key, in, 1, graph.Int("transB", 1)).Output(0)
}

// rows applies an activation to rows of features.
func (a Act) rows(g *graph.Graph, x *graph.Value) *graph.Value {
	node := func(op string, in []*graph.Value, attrs ...*graph.Attribute) *graph.Value {
		return g.NewNode(op, "afc."+a.String(), in, 1, attrs...).Output(0)
	}
	switch a {
	case ReLU:
		return node("Relu", []*graph.Value{x})
	case HSigmoid:
		return node("HardSigmoid", []*graph.Value{x}, graph.Float("alpha", 1./6), graph.Float("beta", 0.5))
	case HSwish:
		return node("Mul", []*graph.Value{x, HSigmoid.rows(g, x)})
	}
	return x
}

// HeadInitializer returns a head's tensor under its key, made at first use.
func HeadInitializer(g *graph.Graph, key string, t *graph.Tensor) *graph.Value {
	if v := g.Value(key); v != nil && v.Initializer() == t {
		return v
	}
	return g.NewInitializer(key, t)
}

// meanOverFrames turns [N·T, width] into [N, width]. A sum and a factor, since
// ReduceMean takes its axes as an attribute up to opset 17 and as an input
// from 18, ReduceSum as an input all along.
func meanOverFrames(g *graph.Graph, x *graph.Value, frames int, width int64) *graph.Value {
	clips := g.NewNode("Reshape", "afc.clips", []*graph.Value{x,
		g.NewInitializer("afc.clips_shape", graph.Vec(-1, int64(frames), width))}, 1).Output(0)
	sum := g.NewNode("ReduceSum", "afc.clip_sum", []*graph.Value{clips,
		g.NewInitializer("afc.clip_axis", graph.Vec(1))}, 1, graph.Int("keepdims", 0)).Output(0)
	factor := g.NewInitializer("afc.clip_factor", graph.Float32s(nil, 1/float32(frames)))
	return g.NewNode("Mul", "afc.clip_mean", []*graph.Value{sum, factor}, 1).Output(0)
}

// Adopt puts a network read from a checkpoint in the place of src: it is
// emitted with src's inputs, what lies before the stem and what lies behind the
// trunk, and averages its frames as src does. It fails where heads differ in more
// than that.
func (net *Network) Adopt(src *Network) error {
	if (net.Head.Hidden == nil) != (src.Head.Hidden == nil) {
		return fmt.Errorf("an %s has two linear layers behind its trunk, the model one: convert its weights alone", net.Backbone())
	}
	net.Shell = src.Shell
	net.Head.Consensus, net.Head.Softmax = src.Head.Consensus, src.Head.Softmax
	return nil
}
