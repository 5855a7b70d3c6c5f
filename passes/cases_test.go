package passes

import (
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify"
)

// inHalf asks for half precision.
var inHalf = Options{Convert: Convert{Lower: codegen.Options{Precision: compiled.FP16}}}

// passTests are the before and after of every canonicalising pass.
func passTests() []passTest {
	return []passTest{
		{name: "inline-functions", pass: "inline-functions", opset: 13, tol: verify.Exact, build: func(b *builder) {
			// twice(x) = half-by-attribute of (x + x), through a nested call and an attribute reference.
			b.m.Opsets = append(b.m.Opsets, graph.Opset{Domain: "local", Version: 1})
			inner := &graph.Function{Name: "leaky", Domain: "local", Opsets: []graph.Opset{{Version: 13}}, Attributes: []string{"slope"}, Body: graph.NewGraph("leaky")}
			in := inner.Body.AddInput("a", graph.Type{})
			ref := graph.Float("alpha", 0)
			ref.RefName = "slope"
			inner.Body.AddOutput(inner.Body.AddNode("LeakyRelu", "", "", values(in), []string{"r"}, ref).Output(0))

			outer := &graph.Function{Name: "twice", Domain: "local", Opsets: []graph.Opset{{Version: 13}, {Domain: "local", Version: 1}}, Body: graph.NewGraph("twice")}
			x := outer.Body.AddInput("x", graph.Type{})
			y := outer.Body.AddNode("leaky", "local", "", values(x), []string{"y"}, graph.Float("slope", 0.25)).Output(0)
			outer.Body.AddOutput(outer.Body.AddNode("Add", "", "", values(y, y), []string{"z"}).Output(0))
			b.m.Functions = []*graph.Function{inner, outer}

			call := b.g.AddNode("twice", "local", "call", values(b.input("video", 1, 3)), []string{"once"}).Output(0)
			b.output(b.g.AddNode("twice", "local", "again", values(call), []string{"out"}).Output(0), 1, 3)
		}},
		{name: "inline-identity-function", pass: "inline-functions", opset: 13, tol: verify.Exact, build: func(b *builder) {
			b.m.Opsets = append(b.m.Opsets, graph.Opset{Domain: "local", Version: 1})
			f := &graph.Function{Name: "same", Domain: "local", Opsets: []graph.Opset{{Version: 13}}, Body: graph.NewGraph("same")}
			f.Body.AddOutput(f.Body.AddNode("Identity", "", "", values(f.Body.AddInput("a", graph.Type{})), []string{"r"}).Output(0))
			b.m.Functions = []*graph.Function{f}
			b.output(b.g.AddNode("same", "local", "", values(b.input("x", 2)), []string{"y"}).Output(0), 2)
		}},
		{name: "strip-initializer-inputs", pass: "strip-initializer-inputs", opset: 13, tol: verify.Exact, build: func(b *builder) {
			b.m.IRVersion = 3
			x, w := b.input("x", 1, 3), b.input("w", 3)
			b.g.AddInitializer("w", ramp(3))
			b.output(b.node("Mul", "y", values(x, w)), 1, 3)
		}, noRun: "the inputs differ by intent"},
		{name: "constants-to-initializers", pass: "constants-to-initializers", opset: 13, tol: verify.Exact, build: func(b *builder) {
			x := b.input("x", 1, 2)
			y := b.node("Mul", "y", values(x, b.constant("two", graph.Float32s([]int64{1}, 2))))
			y = b.node("Add", "z", values(y, b.node("Constant", "half", nil, graph.Float("value_float", 0.5))))
			b.output(y, 1, 2)
			b.output(b.constant("kept", ramp(2)), 2)
		}},
		{name: "upgrade-opset9", pass: "upgrade-opset", opset: 9, tol: verify.Exact, build: func(b *builder) {
			x := b.input("x", 1, 4, 6, 6)
			y := b.node("Slice", "sliced", values(x), graph.Ints("starts", 0, 1), graph.Ints("ends", 5, 5), graph.Ints("axes", 2, 3))
			y = b.node("Clip", "clipped", values(y), graph.Float("min", 0), graph.Float("max", 6))
			y = b.node("Clip", "above", values(y), graph.Float("min", 0.25))
			y = b.node("Pad", "padded", values(y), graph.Ints("pads", 0, 0, 1, 0, 0, 0, 0, 1), graph.Float("value", 0.5))
			y = b.node("Upsample", "up", values(y, b.g.AddInitializer("scales", graph.Float32s([]int64{4}, 1, 1, 2, 2))), graph.Str("mode", "nearest"))
			y = b.node("Dropout", "drop", values(y), graph.Float("ratio", 0.3))
			parts := b.g.AddNode("Split", "", "split", values(y), []string{"left", "right"}, graph.Int("axis", 1), graph.Ints("split", 1, 3))
			y = b.node("Concat", "joined", values(parts.Output(1), parts.Output(0)), graph.Int("axis", 1))
			y = b.node("Unsqueeze", "wide", values(y), graph.Ints("axes", 0))
			y = b.node("Squeeze", "narrow", values(y), graph.Ints("axes", 0))
			y = b.node("ReduceSum", "sum", values(y), graph.Ints("axes", 2, 3), graph.Int("keepdims", 0))
			b.output(b.node("Softmax", "out", values(y)), 1, 4)
		}},
		{name: "upgrade-softmax", pass: "upgrade-opset", opset: 11, tol: verify.Reordered, build: func(b *builder) {
			// Over axes 1 and 2 together, which no later Softmax does by itself.
			b.output(b.node("Softmax", "out", values(b.input("x", 2, 3, 4))), 2, 3, 4)
		}},
		{name: "upgrade-resize-down", pass: "upgrade-opset", opset: 10, tol: verify.Exact, build: func(b *builder) {
			scales := b.g.AddInitializer("scales", graph.Float32s([]int64{4}, 1, 1, 0.6, 0.6))
			b.output(b.node("Resize", "out", values(b.input("x", 1, 1, 2, 4), scales), graph.Str("mode", "nearest")), 1, 1, 1, 2)
		}},
		{name: "upgrade-nothing", pass: "upgrade-opset", opset: 17, tol: verify.Exact, build: func(b *builder) {
			b.output(b.node("Softmax", "out", values(b.input("x", 2, 3)), graph.Int("axis", 0)), 2, 3)
		}},
		{name: "normalize-training13", pass: "normalize-training", opset: 13, build: func(b *builder) {
			y := b.norm("bn", b.input("x", 2, 2, 3, 3), 2, "m", "v", "sm", "sv")
			drop := b.node("Dropout", "drop", values(y, nil, b.g.AddInitializer("training", graph.Int64s(nil, 1))))
			b.output(drop, 2, 2, 3, 3)
		}, noRun: "training is random"},
		{name: "normalize-training15", pass: "normalize-training", opset: 15, build: func(b *builder) {
			x := b.input("x", 2, 2, 3, 3)
			y := b.norm("bn", x, 2, "m", "v")
			y.Producer().SetAttr(graph.Int("training_mode", 1))
			z := b.norm("read", y, 2, "mean_read", "var_read")
			z.Producer().SetAttr(graph.Int("training_mode", 1))
			b.output(z, 2, 2, 3, 3)
			b.output(z.Producer().Output(1), 2)
		}, noRun: "training differs from inference by intent"},
		{name: "widen-float16", pass: "widen-float16", opset: 13, tol: verify.Device, build: func(b *builder) {
			half := func(dims ...int64) *graph.Tensor {
				n := int64(1)
				for _, d := range dims {
					n *= d
				}
				raw := make([]byte, 2*n)
				for i := range n {
					raw[2*i+1] = byte(0x34 + i%4) // 0.25 to 0.4375
				}
				t, err := graph.NewTensor(graph.Float16, dims, raw)
				if err != nil {
					panic(err)
				}
				return t
			}
			x := b.g.AddInput("x", graph.TensorType(graph.Float16, graph.ShapeOf(1, 2, 3, 3)))
			y := b.node("Conv", "conv", values(x, b.g.AddInitializer("w", half(2, 2, 1, 1))))
			wide := b.node("Cast", "wide", values(y), graph.Int("to", int64(graph.Float32)))
			y = b.node("Cast", "narrow", values(wide), graph.Int("to", int64(graph.Float16)))
			y.Type = graph.TensorType(graph.Float16, graph.ShapeOf(1, 2, 3, 3))
			b.g.AddOutput(y)
		}},
		{name: "narrow-float16", pass: "narrow-float16", opset: 13, tol: verify.Half, opt: inHalf, build: func(b *builder) {
			// A map, enlarged; a choice by its average, which stays float32, also in a
			// body; and weights that half precision does not hold.
			x := b.input("x", 1, 2, 3, 3)
			y := b.norm("bn", b.node("Conv", "conv", values(x, b.weight("w", 2, 2, 1, 1))), 2)
			y = b.node("Resize", "enlarged", values(y, nil, b.g.AddInitializer("scales", graph.Float32s([]int64{4}, 1, 1, 2, 2))), graph.Str("mode", "nearest"))
			mean := b.node("ReduceMean", "mean", values(y), graph.Ints("axes", 0, 1, 2, 3), graph.Int("keepdims", 0))
			mean = b.node("Reshape", "one", values(mean, b.vec("shape", 1)))
			limit := b.g.AddInitializer("limit", graph.Float32s([]int64{1}, 0.25))
			chosen := b.node("Greater", "chosen", values(mean, limit))
			branch := func(name string, by *graph.Value) *graph.Graph {
				g := graph.NewGraph(name)
				g.AddOutput(g.AddNode("Mul", "", name, values(y, by), []string{name}).Output(0))
				return g
			}
			y = b.node("If", "picked", values(chosen),
				graph.Subgraph("then_branch", branch("then", limit)), graph.Subgraph("else_branch", branch("else", mean)))
			big := b.g.AddInitializer("big", graph.Float32s([]int64{1}, 1e6))
			y = b.node("Div", "small", values(b.node("Mul", "large", values(y, big)), big))
			b.output(y, 1, 2, 6, 6)
			b.output(b.node("Where", "mask", values(chosen, limit, b.g.AddInitializer("zero", graph.Float32s([]int64{1}, 0)))), 1)
		}},
		{name: "narrow-float16-ports", pass: "narrow-float16", opset: 13, tol: verify.Half, opt: Options{Convert: Convert{Lower: codegen.Options{Precision: compiled.FP16, IO: compiled.FP16}}}, build: func(b *builder) {
			x := b.input("x", 4)
			y := b.node("Mul", "y", values(x, b.weight("w", 4)))
			b.output(b.node("CumSum", "sums", values(y, b.scalar("axis", 0))), 4)
			b.output(y, 4)
		}, noRun: "the inputs differ by intent"},
		{name: "narrow-nothing", pass: "narrow-float16", opset: 13, tol: verify.Exact, build: func(b *builder) {
			b.output(b.node("Mul", "y", values(b.input("x", 4), b.weight("w", 4))), 4)
		}},
		{name: "opset-down", pass: "set-opset", opset: 20, tol: verify.Exact, opt: Options{Opset: 13}, build: func(b *builder) {
			x := b.input("x", 1, 4, 4, 4)
			halves := b.g.AddNode("Split", "", "halves", values(x), []string{"low", "high"}, graph.Int("axis", 1), graph.Int("num_outputs", 2))
			y := b.node("ReduceMax", "most", values(halves.Output(0), b.vec("axes", 1)))
			y = b.node("Add", "sum", values(y, b.node("ReduceMean", "all", values(halves.Output(1)), graph.Int("noop_with_empty_axes", 0))))
			y = b.node("Reshape", "flat", values(y, b.vec("shape", 1, -1)), graph.Int("allowzero", 0))
			y = b.node("Cast", "cast", values(y), graph.Int("to", int64(graph.Float32)), graph.Int("saturate", 1))
			b.output(y, 1, 16)
		}},
		{name: "opset-up", pass: "set-opset", opset: 13, tol: verify.Exact, opt: Options{Opset: 21}, build: func(b *builder) {
			x := b.input("x", 1, 4, 4, 4)
			halves := b.g.AddNode("Split", "", "halves", values(x), []string{"low", "high"}, graph.Int("axis", 1))
			y := b.node("ReduceMax", "most", values(halves.Output(0)), graph.Ints("axes", 1))
			y = b.node("Add", "sum", values(y, b.node("ReduceMean", "all", values(halves.Output(1)))))
			b.output(y, 1, 1, 4, 4)
		}},
		{name: "expand-sequences", pass: "expand-sequences", opset: 13, tol: verify.Exact, build: func(b *builder) {
			x := b.input("x", 1, 7, 2)
			chunks := b.node("SplitToSequence", "chunks", values(x, b.scalar("three", 3)), graph.Int("axis", 1))
			sized := b.node("SplitToSequence", "sized", values(x, b.vec("sizes", 2, 5)), graph.Int("axis", 1))
			ones := b.node("SplitToSequence", "ones", values(x), graph.Int("axis", 1), graph.Int("keepdims", 0))
			at := func(name string, seq *graph.Value, i int64) *graph.Value {
				return b.node("SequenceAt", name, values(seq, b.scalar(name+".i", i)))
			}
			seq := b.node("SequenceConstruct", "seq", values(at("middle", chunks, 1), at("last", chunks, 2), at("tail", sized, -1)))
			b.output(b.node("ConcatFromSequence", "cat", values(seq), graph.Int("axis", 1)), 1, 9, 2)
			b.output(at("one", ones, 4), 1, 2)
			b.output(at("from_end", chunks, -1), 1, 1, 2)
		}},
		{name: "fold-shapes", pass: "fold-shapes", opset: 13, tol: verify.Exact, build: func(b *builder) {
			// mmaction2's shift with a dynamic batch: view [N·4, 8, 2, 3] as [-1, 4, C, H·W], back to [N·4, C, H, W].
			x := b.g.AddInput("x", graph.TensorType(graph.Float32, graph.Shape{graph.Sym("batch"), graph.D(4), graph.D(8), graph.D(2), graph.D(3)}))
			size := func(name string, axis int64) *graph.Value {
				shape := b.node("Shape", name+".shape", values(x))
				at := b.node("Gather", name+".at", values(shape, b.scalar(name+".axis", axis)), graph.Int("axis", 0))
				return b.node("Unsqueeze", name, values(at, b.vec(name+".zero", 0)))
			}
			n := b.node("Mul", "frames", values(size("n", 0), size("t", 1)))
			folded := b.node("Reshape", "folded", values(x, b.node("Concat", "target", values(n, size("c", 2), size("h", 3), size("w", 4)), graph.Int("axis", 0))))
			area := b.node("Mul", "area", values(size("h2", 3), size("w2", 4)))
			y := b.node("Reshape", "view", values(folded, b.node("Concat", "target2", values(size("n2", 0), b.vec("four", 4), size("c2", 2), area), graph.Int("axis", 0))))
			fold := b.node("Div", "fold", values(size("c3", 2), b.vec("eight", 8)))
			y = b.node("Slice", "left", values(y, b.vec("from", 0), fold, b.vec("axis", 2)))
			y.Type = graph.TensorType(graph.Float32, graph.Shape{graph.Sym("batch"), graph.D(4), graph.D(1), graph.D(6)})
			b.g.AddOutput(y)
		}},
		{name: "fold-shapes-any-size", pass: "fold-shapes", opset: 14, tol: verify.Exact, build: func(b *builder) {
			// Height and width are copied, the batch worked out; two sizes that are neither stay computed.
			x := b.g.AddInput("x", graph.TensorType(graph.Float32, graph.Shape{graph.Sym("batch"), graph.D(6), graph.Sym("h"), graph.Sym("w")}))
			part := func(name string, from, to int64) *graph.Value {
				return b.node("Slice", name, values(b.node("Shape", name+".of", values(x)), b.vec(name+".from", from), b.vec(name+".to", to)))
			}
			twice := b.node("Mul", "twice", values(part("n", 0, 1), b.vec("two", 2)))
			y := b.node("Reshape", "y", values(x, b.node("Concat", "target", values(twice, b.vec("three", 3), part("hw", 2, 4)), graph.Int("axis", 0))))
			z := b.node("Reshape", "z", values(x, b.node("Concat", "target2", values(part("h", 2, 3), b.vec("six", 6), part("w", 3, 4), part("m", 0, 1)), graph.Int("axis", 0))))
			y.Type = graph.TensorType(graph.Float32, graph.Shape{graph.Sym("rows"), graph.D(3), graph.Sym("h"), graph.Sym("w")})
			b.g.AddOutput(y)
			z.Type = graph.TensorType(graph.Float32, graph.Shape{graph.Sym("h"), graph.D(6), graph.Sym("w"), graph.Sym("batch")})
			b.g.AddOutput(z)
		}},
		{name: "resolve-castlike", pass: "resolve-castlike", opset: 18, tol: verify.Exact, build: func(b *builder) {
			x := b.input("x", 2)
			b.output(b.node("Mul", "y", values(x, b.node("CastLike", "two", values(b.scalar("int", 2), x)))), 2)
		}},
		{name: "fold-constants", pass: "fold-constants", opset: 13, tol: verify.Exact, build: func(b *builder) {
			x := b.input("x", 2, 3)
			w := b.node("Transpose", "wt", values(b.weight("w", 4, 3)), graph.Ints("perm", 1, 0))
			y := b.node("MatMul", "y", values(x, w))
			sum := b.node("Add", "sum", values(b.scalar("one", 1), b.scalar("three", 3)))
			zeros := b.node("ConstantOfShape", "small", values(b.node("Unsqueeze", "shape", values(sum, b.vec("axis", 0)))))
			b.output(b.node("Concat", "out", values(y, b.node("Reshape", "row", values(zeros, b.vec("one_row", 1, -1)))), graph.Int("axis", 0)), 3, 4)
		}},
		{name: "fold-constants-too-large", pass: "fold-constants", opset: 13, tol: verify.Exact, build: func(b *builder) {
			zeros := b.node("ConstantOfShape", "zeros", values(b.vec("shape", 1, 256, 256)))
			b.output(b.node("Add", "y", values(b.input("x", 1, 1, 1), zeros)), 1, 256, 256)
		}},
		{name: "eliminate-noops", pass: "eliminate-noops", opset: 13, tol: verify.Exact, build: func(b *builder) {
			x := b.input("x", 2, 3, 4, 4)
			y := b.node("Identity", "identity", values(x))
			y = b.node("Dropout", "dropout", values(y))
			y = b.node("Cast", "cast", values(y), graph.Int("to", int64(graph.Float32)))
			y = b.node("Reshape", "reshape", values(y, b.vec("shape", 2, 3, 4, 4)))
			y = b.node("Expand", "expand", values(y, b.vec("ones", 1, 1, 1, 1)))
			y = b.node("Transpose", "transpose", values(y), graph.Ints("perm", 0, 1, 2, 3))
			y = b.node("Slice", "slice", values(y, b.vec("from", 0), b.vec("to", 100), b.vec("axis", 1)))
			y = b.node("Slice", "reversed", values(y, b.vec("last", -1), b.vec("first", -100), b.vec("axes", 1), b.vec("steps", -1)))
			y = b.node("Pad", "pad", values(y, b.vec("pads", 0, 0, 0, 0, 0, 0, 0, 0)))
			y = b.node("Concat", "concat", values(y), graph.Int("axis", 1))
			b.output(b.node("Relu", "relu", values(y)), 2, 3, 4, 4)
			b.output(b.node("Identity", "echo", values(x)), 2, 3, 4, 4)
		}},
		{name: "common-subexpressions", pass: "common-subexpressions", opset: 13, tol: verify.Exact, build: func(b *builder) {
			x := b.input("x", 1, 4)
			from, to, axis := b.vec("from", 0), b.vec("to", 2), b.vec("axis", 1)
			lo := b.node("Slice", "lo", values(x, from, to, axis))
			again := b.node("Slice", "again", values(x, from, to, axis))
			soft := b.node("Softmax", "soft", values(x), graph.Int("axis", 1))
			other := b.node("Softmax", "other", values(x), graph.Int("axis", 0))
			b.output(b.node("Add", "twice", values(lo, again)), 1, 2)
			b.output(b.node("Add", "sum", values(soft, other)), 1, 4)
		}},
		{name: "dead-code", pass: "dead-code", opset: 13, tol: verify.Exact, build: func(b *builder) {
			x := b.input("x", 1, 2)
			b.input("unread", 1)
			b.node("Relu", "chain2", values(b.node("Add", "chain1", values(x, b.weight("dead", 2)))))
			b.m.Functions = []*graph.Function{{Name: "uncalled", Domain: "local", Opsets: []graph.Opset{{Version: 13}}, Body: graph.NewGraph("uncalled")}}
			b.output(b.node("Relu", "y", values(x)), 1, 2)
		}},
		{name: "dedupe-initializers", pass: "dedupe-initializers", opset: 13, tol: verify.Exact, build: func(b *builder) {
			x := b.input("x", 1, 2)
			y := b.node("Add", "a", values(x, b.weight("w1", 2)))
			y = b.node("Add", "b", values(y, b.weight("w2", 2)))
			y = b.node("Add", "c", values(y, b.g.AddInitializer("w3", graph.Float32s([]int64{2}, 0.1, 0.25))))
			b.output(b.node("Add", "d", values(y, b.weight("other_shape", 1, 2))), 1, 2)
		}},
		{name: "normalize-affine", pass: "normalize-affine", opset: 13, tol: verify.Tolerance{Name: "rounding", Rel: 1e-6, Abs: 1e-6}, build: func(b *builder) {
			// Frozen BN; Caffe's normalisation and scale; a difference and a quotient; one value for all channels.
			x := b.input("x", 1, 2, 4, 4)
			y := b.node("Conv", "c1", values(x, b.g.AddInitializer("w1", ramp(3, 2, 1, 1))))
			y = b.node("Mul", "scaled", values(b.g.AddInitializer("s1", ramp(1, 3, 1, 1)), y))
			y = b.node("Add", "moved", values(y, b.g.AddInitializer("b1", ramp(3, 1, 1))))
			y = b.node("Conv", "c2", values(y, b.g.AddInitializer("w2", ramp(3, 3, 1, 1))))
			one := b.g.AddInitializer("one", graph.Float32s([]int64{3}, 1, 1, 1))
			zero := b.g.AddInitializer("zero", graph.Float32s([]int64{3}, 0, 0, 0))
			y = b.node("BatchNormalization", "n2", values(y, one, zero, b.g.AddInitializer("mean", ramp(3)), b.g.AddInitializer("var", graph.Float32s([]int64{3}, 1, 2, 3))))
			y = b.node("Mul", "again", values(y, b.g.AddInitializer("s2", ramp(3, 1, 1))))
			y = b.node("Sub", "minus", values(y, b.g.AddInitializer("b2", ramp(1, 3, 1, 1))))
			y = b.node("Conv", "c3", values(y, b.g.AddInitializer("w3", ramp(2, 3, 1, 1))))
			y = b.node("Div", "half", values(y, b.g.AddInitializer("two", graph.Float32s(nil, 2))))
			b.output(y, 1, 2, 4, 4)
		}},
		{name: "normalize-affine-other", pass: "normalize-affine", opset: 13, tol: verify.Exact, build: func(b *builder) {
			// Sums by pixel, by column, of a result read twice, from a constant, and before a convolution stay.
			x := b.node("Sub", "centred", values(b.input("x", 1, 2, 3, 3), b.g.AddInitializer("m", ramp(1, 2, 1, 1))))
			y := b.node("Conv", "c1", values(x, b.g.AddInitializer("w1", ramp(2, 2, 1, 1))))
			y = b.node("Add", "map", values(y, b.g.AddInitializer("pixels", ramp(3, 3))))
			z := b.node("Conv", "c2", values(y, b.g.AddInitializer("w2", ramp(3, 2, 1, 1))))
			z = b.node("Add", "columns", values(z, b.g.AddInitializer("three", ramp(3))))
			u := b.node("Conv", "c3", values(y, b.g.AddInitializer("w3", ramp(3, 2, 1, 1))))
			v := b.node("Mul", "twice", values(u, b.g.AddInitializer("s", ramp(3, 1, 1))))
			w := b.node("Conv", "c4", values(y, b.g.AddInitializer("w4", ramp(3, 2, 1, 1))))
			w = b.node("Sub", "from", values(b.g.AddInitializer("c", ramp(3, 1, 1)), w))
			b.output(b.node("Sum", "all", values(z, u, v, w)), 1, 3, 3, 3)
		}},
		{name: "fold-batchnorm", pass: "fold-batchnorm", opset: 13, tol: verify.Reordered, build: func(b *builder) {
			// Two convolutions of one input share their weight, as a residual path might.
			x, w := b.input("x", 1, 2, 3, 3), b.weight("w", 2, 2, 1, 1)
			main := b.norm("bn1", b.node("Conv", "conv1", values(x, w, b.weight("bias", 2))), 2)
			side := b.norm("bn2", b.node("Conv", "conv2", values(x, w)), 2)
			b.output(b.node("Add", "sum", values(main, side)), 1, 2, 3, 3)
		}},
		{name: "fold-batchnorm-refused", pass: "fold-batchnorm", opset: 13, tol: verify.Exact, build: func(b *builder) {
			x := b.input("x", 1, 2, 3, 3)
			y := b.node("Conv", "conv", values(x, b.weight("w", 2, 2, 1, 1)))
			b.output(b.norm("bn", y, 2), 1, 2, 3, 3)
			b.output(b.node("Relu", "relu", values(y)), 1, 2, 3, 3)
			z := b.node("Conv", "runtime", values(x, b.input("kernel", 2, 2, 1, 1)))
			b.output(b.norm("bn3", z, 2), 1, 2, 3, 3)
		}},
	}
}
