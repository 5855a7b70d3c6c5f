package afblock

import (
	"fmt"

	"github.com/afc-project/afc/graph"
)

// Source is the place in a model where a Network was recognised.
type Source struct {
	Model *graph.Model
	In    *graph.Value // what the stem's convolution reads, [N·T, 3, H, W]
	Out   *graph.Value // what the last stage makes, [N·T, C, h, w]
	Fc    *graph.Node  // the linear layer behind the trunk

	Layout   Layout // how the model's input holds clips
	Frames   int    // T of the model, which net.Frames may depart from
	Segments int    // frames of one input sample, T times the crops; 0 if only the batch tells

	answer   *graph.Value // the model's output that holds the scores
	scores   *graph.Value // what the linear layer makes, its bias added
	kernel   []int64      // of a linear layer spelled as a convolution: its window, all ones
	classes  int64
	tail     bool    // more than a mean and softmax lies behind the linear layer
	averaged int     // frames that the head averages, T times the crops; 1: none
	axis     int     // of the input, along which a clip's frames lie; −1: not known
	clipDims []int64 // of the input, of In and of Out, at the sizes looked at in recognition
	inDims   []int64
	outDims  []int64
}

// Names of the standard input and output, made when a network has no source.
const (
	DefaultInput  = "video"
	DefaultOutput = "logits"
)

// EmitPrefix writes the graph's inputs and what lies before the stem into g,
// which must be empty, and returns what the stem shall read, [N·T, 3, H, W].
// It copies them from net.Source; a network without source gets the input
// "video" [N, T, 3, H, W], viewed as frames.
func EmitPrefix(g *graph.Graph, net *Network) (*graph.Value, error) {
	if net.Source != nil {
		return net.Source.emitPrefix(g, net)
	}
	return standardPrefix(g, net)
}

// EmitSuffix writes what lies behind the trunk into g, reading trunkOut, and
// makes the graph's outputs. It copies it from net.Source, with the linear
// layer's weights taken from net.Head; a network without source gets
// standardSuffix under the output name "logits".
func EmitSuffix(g *graph.Graph, trunkOut *graph.Value, net *Network) error {
	if net.Source != nil {
		return net.Source.emitSuffix(g, trunkOut, net)
	}
	logits, err := standardSuffix(g, trunkOut, net, DefaultOutput)
	if err != nil {
		return err
	}
	g.AddOutput(logits)
	return nil
}

// standardPrefix makes the input "video" [N, T, C, H, W] and folds the clips'
// frames into the batch axis.
func standardPrefix(g *graph.Graph, net *Network) (*graph.Value, error) {
	if net.Frames <= 0 {
		return nil, fmt.Errorf("network has %d frames a clip; it needs at least 1", net.Frames)
	}
	channels := int64(net.Stem.Conv.In())
	h, w := graph.Sym("height"), graph.Sym("width")
	if net.Size[0] > 0 && net.Size[1] > 0 {
		h, w = graph.D(int64(net.Size[0])), graph.D(int64(net.Size[1]))
	}
	shape := graph.Shape{graph.Sym("batch"), graph.D(int64(net.Frames)), graph.D(channels), h, w}
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
	frames := g.NewNode("Reshape", "afc.frames", []*graph.Value{video, target}, 1)
	return frames.Output(0), nil
}

// standardSuffix is global average pool, linear layer, mean over the frames of
// a clip, in the order net.Head.Consensus asks for, and softmax if the head has
// it. Its result, [N, classes] or [N·T, classes] without consensus, is a value
// of the given name. It is spelled for opset 13 and later alike.
func standardSuffix(g *graph.Graph, trunkOut *graph.Value, net *Network, name string) (*graph.Value, error) {
	head := &net.Head
	if head.Weight == nil {
		return nil, fmt.Errorf("network has no linear layer behind its trunk")
	}
	pooled := g.NewNode("GlobalAveragePool", "afc.pool", []*graph.Value{trunkOut}, 1).Output(0)
	x := g.NewNode("Flatten", "afc.features", []*graph.Value{pooled}, 1, graph.Int("axis", 1)).Output(0)
	classes, channels := head.Weight.Dims[0], head.Weight.Dims[1]
	if head.Consensus == MeanBeforeFC {
		x = meanOverFrames(g, x, net.Frames, channels)
	}
	x = linear(g, x, head)
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

// linear applies the head's linear layer to rows of features.
func linear(g *graph.Graph, x *graph.Value, head *Head) *graph.Value {
	in := []*graph.Value{x, headInitializer(g, head.Key+".weight", head.Weight)}
	if head.Bias != nil {
		in = append(in, headInitializer(g, head.Key+".bias", head.Bias))
	}
	return g.NewNode("Gemm", head.Key, in, 1, graph.Int("transB", 1)).Output(0)
}

// headInitializer returns the head's tensor under its key, made at first use.
func headInitializer(g *graph.Graph, key string, t *graph.Tensor) *graph.Value {
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
