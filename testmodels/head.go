package testmodels

import (
	"math"

	"github.com/afc-project/afc/graph"
)

// head emits global pool, linear layer and consensus, and the graph's output.
func (b *builder) head(x *graph.Value, st stat) {
	c, k, t := int64(b.channels(len(b.Blocks)-1)), int64(b.Classes), int64(b.Frames)
	if b.Head == MatMulFC {
		x = b.reduceMean("/net/avgpool/ReduceMean", x, 0, 2, 3)
	} else {
		x = b.op("GlobalAveragePool", "/net/avgpool/GlobalAveragePool", x)
	}

	rows, clips := graph.D(int64(b.Batch)*t), graph.D(int64(b.Batch))
	if b.Dynamic {
		rows, clips = graph.Sym("frames"), graph.Sym("batch")
	}
	out := graph.Shape{clips, graph.D(k)}
	switch b.Head {
	case MeanBeforeFC:
		x = b.reshape("/Reshape_1", x, -1, t, c, 1, 1)
		x = b.reduceMean("/ReduceMean", x, 1, 1)
		x = b.squeeze("/Squeeze", x, 1)
		x = b.reshape("/Reshape_2", x, -1, c)
		x = b.linear(x, c, k, st)
	case PerFrameScores:
		x = b.linear(b.flatten(x), c, k, st)
		out[0] = rows
	default:
		if b.Head != MatMulFC {
			x = b.flatten(x)
		}
		x = b.linear(x, c, k, st)
		x = b.reshape("/Reshape_1", x, -1, t, k)
		x = b.consensus(x)
	}
	if b.Softmax {
		x = b.node("Softmax", "/Softmax", []*graph.Value{x}, graph.Int("axis", 1))
	}
	x.Rename("logits")
	x.Type = graph.TensorType(graph.Float32, out)
	b.g.AddOutput(x)
}

func (b *builder) flatten(x *graph.Value) *graph.Value {
	return b.node("Flatten", "/net/Flatten", []*graph.Value{x}, graph.Int("axis", 1))
}

// linear emits the classifier: weights [k, c], scaled so that logits of
// different inputs differ by about one.
func (b *builder) linear(x *graph.Value, c, k int64, st stat) *graph.Value {
	w := filter(rng(b.Seed, "fc.weight"), int(k), int(c))
	for i := range w {
		w[i] /= float32(math.Sqrt(st.variance) / 4) // pooling took most of the variance
	}
	bias := b.weight("fc.bias", vector(around(rng(b.Seed, "fc.bias"), int(k), 0, 0.1)))
	weight := b.weight("fc.weight", graph.Float32s([]int64{k, c}, w...))
	if b.Head == MatMulFC {
		weight = b.node("Transpose", "/net/fc/Transpose", []*graph.Value{weight}, graph.Ints("perm", 1, 0))
		return b.op("Add", "/net/fc/Add", b.op("MatMul", "/net/fc/MatMul", x, weight), bias)
	}
	return b.node("Gemm", "/net/fc/Gemm", []*graph.Value{x, weight, bias},
		graph.Float("alpha", 1), graph.Float("beta", 1), graph.Int("transB", 1))
}

// consensus averages scores [N, T, K] over the frames.
func (b *builder) consensus(x *graph.Value) *graph.Value {
	switch b.Head {
	case MeanKeepDims:
		return b.squeeze("/Squeeze", b.reduceMean("/ReduceMean", x, 1, 1), 1)
	case SumDiv:
		sum := b.axesOp("ReduceSum", "/ReduceSum", x, 13, []int64{1}, graph.Int("keepdims", 0))
		return b.op("Div", "/Div", sum, b.constant(graph.Float32s(nil, float32(b.Frames))))
	case PoolConsensus:
		x = b.node("Transpose", "/Transpose", []*graph.Value{x}, graph.Ints("perm", 0, 2, 1))
		return b.squeeze("/Squeeze", b.op("GlobalAveragePool", "/GlobalAveragePool", x), 2)
	}
	return b.reduceMean("/ReduceMean", x, 0, 1)
}
