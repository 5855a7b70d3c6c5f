package pytorch

import (
	"fmt"
	"math"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// plain returns an error unless all that a network has around its trunk is what
// afnet.py knows: clips whose numbers lie in the order of [N, T, C, H, W], and
// the head's pooling, linear layer and mean. Both ends are run on numbers, so
// any spelling that computes this passes, and nothing else does.
func plain(net *afblock.Network) error {
	if err := plainPrefix(net); err != nil {
		return err
	}
	return plainSuffix(net)
}

// open is the size taken where the network leaves one open: no other size of it.
const open = 5

// unscheduled refuses blocks that skip frames by a schedule.
func unscheduled(net *afblock.Network) error {
	if p := net.Schedule(); p != nil {
		return fmt.Errorf("its blocks compute the frames of a schedule (%s), without an ample branch; the PyTorch network has focal blocks, or blocks that compute every frame", p)
	}
	return nil
}

func plainPrefix(net *afblock.Network) error {
	g := graph.NewGraph("prefix")
	frames, err := net.Shell.Prefix(g, net)
	if err != nil {
		return err
	}
	inputs := g.Inputs()
	if len(inputs) != 1 {
		return fmt.Errorf("the model has %d inputs; the PyTorch network takes clips alone", len(inputs))
	}
	if t := inputs[0].Type.Elem; t != graph.Float32 {
		return fmt.Errorf("input %q is of type %s: the model prepares pixels itself; the PyTorch network takes prepared float32 clips", inputs[0].Name(), t)
	}
	clip := numbers(sizes(net, inputs[0].Type.Shape, int64(net.Frames)))
	got, err := evaluate(map[*graph.Value]*graph.Tensor{inputs[0]: clip}, frames)
	if err != nil {
		return fmt.Errorf("what lies before the first convolution: %w", err)
	}
	if !equal(got, clip, 0) {
		return fmt.Errorf("what lies before the first convolution, up to %q, changes the clip: the PyTorch network takes prepared clips, [N, T, C, H, W]", frames.Name())
	}
	return nil
}

func plainSuffix(net *afblock.Network) error {
	g := graph.NewGraph("suffix")
	last := net.Stages[len(net.Stages)-1].Blocks
	if len(last) == 0 || net.Head.FC.Weight == nil {
		return fmt.Errorf("the network has no plain last stage with a linear layer behind it")
	}
	channels := net.Head.Features()
	trunk := g.AddInput("trunk", graph.TensorType(graph.Float32, graph.ShapeOf(int64(net.Frames), channels, open, open+1)))
	if err := net.Shell.Suffix(g, trunk, net); err != nil {
		return err
	}
	features := numbers([]int64{int64(net.Frames), channels, open, open + 1})
	got, err := evaluate(map[*graph.Value]*graph.Tensor{trunk: features}, g.Outputs()[0])
	if err != nil {
		return fmt.Errorf("what lies behind the last block: %w", err)
	}
	want, err := answer(&net.Head, features, net.Frames)
	if err != nil {
		return err
	}
	if !equal(got, want, 1e-4) {
		return fmt.Errorf("what lies behind the last block, up to %q, is more than pooling, a linear layer, the mean over frames and a softmax, which is all that the PyTorch network has there", g.Outputs()[0].Name())
	}
	return nil
}

// sizes gives a shape's open dimensions a size: the first counts clips, or
// frames where the model folds them.
func sizes(net *afblock.Network, shape graph.Shape, frames int64) []int64 {
	dims := make([]int64, len(shape))
	for i, d := range shape {
		switch {
		case d.Known():
			dims[i] = d.Size
		case i == 0 && net.Shell.Clip().Layout.FoldsFrames():
			dims[i] = frames
		case i == 0:
			dims[i] = 1
		default:
			dims[i] = open + int64(i)
		}
	}
	return dims
}

// numbers are distinct values, small enough for sums of them to be exact enough.
func numbers(dims []int64) *graph.Tensor {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(i%4093)/4093 - 0.5
	}
	return graph.Float32s(dims, x...)
}

// opset is what the nodes are read in: shells are spelled for all from it on.
const opset = 13

// evaluate computes a value from others.
func evaluate(known map[*graph.Value]*graph.Tensor, want *graph.Value) (*graph.Tensor, error) {
	for n := range want.Graph().Nodes() {
		in := make([]*graph.Tensor, len(n.Inputs()))
		for i, v := range n.Inputs() {
			if v == nil {
				continue
			}
			if in[i] = v.Const(); in[i] == nil {
				in[i] = known[v]
			}
		}
		out, err := op.EvalWith(n, in, op.EvalOptions{Opset: opset, MaxBytes: 1 << 30})
		if err != nil {
			return nil, err
		}
		for i, t := range out {
			known[n.Output(i)] = t
		}
	}
	if known[want] == nil {
		return nil, fmt.Errorf("%q is not computed from the input", want.Name())
	}
	return known[want], nil
}

// answer is what afnet.py's head makes of the trunk's output, in float64.
func answer(h *afblock.Head, x *graph.Tensor, frames int) (*graph.Tensor, error) {
	v, err := x.Float32s()
	if err != nil {
		return nil, err
	}
	channels := int(h.Features())
	area := len(v) / frames / channels
	rows := make([][]float64, frames)
	for t := range rows {
		rows[t] = make([]float64, channels)
		for i, x := range v[t*channels*area:][:channels*area] {
			rows[t][i/area] += float64(x) / float64(area)
		}
	}
	if h.Consensus == afblock.MeanBeforeFC {
		rows = [][]float64{mean(rows)}
	}
	for t := range rows {
		if rows[t], err = classify(h, rows[t]); err != nil {
			return nil, err
		}
	}
	if h.Consensus == afblock.MeanAfterFC {
		rows = [][]float64{mean(rows)}
	}
	classes := h.FC.Out()
	out := make([]float32, 0, len(rows)*classes)
	for _, row := range rows {
		for _, x := range row {
			out = append(out, float32(x))
		}
		if h.Softmax {
			softmax(out[len(out)-classes:])
		}
	}
	return graph.Float32s([]int64{int64(len(rows)), int64(classes)}, out...), nil
}

func mean(rows [][]float64) []float64 {
	out := make([]float64, len(rows[0]))
	for _, row := range rows {
		for i, x := range row {
			out[i] += x / float64(len(rows))
		}
	}
	return out
}

// classify is what afnet.py's linear layers make of a frame's features.
func classify(h *afblock.Head, x []float64) ([]float64, error) {
	if h.Hidden != nil {
		var err error
		if x, err = linear(h.Hidden, x); err != nil {
			return nil, err
		}
		for i, v := range x { // afnet.py's HSwish
			x[i] = v * math.Min(math.Max(v+3, 0), 6) / 6
		}
	}
	return linear(&h.FC, x)
}

func linear(l *afblock.Linear, x []float64) ([]float64, error) {
	w, err := l.Weight.Float32s()
	if err != nil {
		return nil, err
	}
	out := make([]float64, l.Out())
	if l.Bias != nil {
		bias, err := l.Bias.Float32s()
		if err != nil {
			return nil, err
		}
		for k, b := range bias {
			out[k] = float64(b)
		}
	}
	for k := range out {
		for c, v := range x {
			out[k] += float64(w[k*len(x)+c]) * v
		}
	}
	return out, nil
}

func softmax(x []float32) {
	sum, top := 0.0, math.Inf(-1)
	for _, v := range x {
		top = max(top, float64(v))
	}
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	for i, v := range x {
		x[i] = float32(math.Exp(float64(v)-top) / sum)
	}
}

// equal compares the numbers of two tensors, whatever their shapes, within a
// part of the largest.
func equal(got, want *graph.Tensor, tolerance float64) bool {
	a, err := got.Float32s()
	if err != nil {
		return false
	}
	b, err := want.Float32s()
	if err != nil || len(a) != len(b) {
		return false
	}
	worst, largest := 0.0, 0.0
	for i := range a {
		worst = max(worst, math.Abs(float64(a[i])-float64(b[i])))
		largest = max(largest, math.Abs(float64(b[i])))
	}
	return worst <= tolerance*largest
}
