package op_test

import (
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// shapeMaker builds shape arithmetic on an input of shape [n,12,h].
type shapeMaker struct {
	g *graph.Graph
	x *graph.Value
}

func (s shapeMaker) op(name string, in ...*graph.Value) *graph.Value {
	return s.g.NewNode(name, "", in, 1).Output(0)
}

func (s shapeMaker) with(name string, attrs []*graph.Attribute, in ...*graph.Value) *graph.Value {
	return s.g.NewNode(name, "", in, 1, attrs...).Output(0)
}

// vec is a constant list, num a constant number.
func (s shapeMaker) vec(v ...int64) *graph.Value { return s.g.NewInitializer("vec", graph.Vec(v...)) }
func (s shapeMaker) num(v int64) *graph.Value    { return s.g.NewInitializer("num", graph.Int64s(nil, v)) }

// shape is Shape(x), dim one element of it as a list.
func (s shapeMaker) shape() *graph.Value { return s.op("Shape", s.x) }
func (s shapeMaker) dim(i int64) *graph.Value {
	return s.op("Gather", s.shape(), s.vec(i))
}

// fill is a tensor whose shape is a list.
func (s shapeMaker) fill(list *graph.Value) *graph.Value { return s.op("ConstantOfShape", list) }

// TestInferShapeArithmetic: sizes with symbols go through the arithmetic that
// exporters write, and come out wherever the operators' definitions fix them.
func TestInferShapeArithmetic(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(s shapeMaker) *graph.Value
		want string
	}{
		{"Mul and Div", func(s shapeMaker) *graph.Value {
			return s.fill(s.op("Div", s.op("Mul", s.shape(), s.vec(8)), s.vec(4, 3, 16)))
		}, "float32[2*n,32,floor((h)/2)]"},
		{"Add, Sub and Neg", func(s shapeMaker) *graph.Value {
			return s.fill(s.op("Sub", s.op("Add", s.dim(0), s.vec(5)), s.op("Neg", s.dim(2))))
		}, "float32[h+n+5]"},
		{"Mod", func(s shapeMaker) *graph.Value {
			return s.fill(s.op("Mod", s.op("Add", s.op("Mul", s.dim(0), s.vec(8)), s.vec(3)), s.vec(8)))
		}, "float32[3]"},
		{"Max and Min", func(s shapeMaker) *graph.Value {
			more := s.op("Add", s.dim(0), s.vec(3))
			return s.fill(s.with("Concat", []*graph.Attribute{graph.Int("axis", 0)}, s.op("Max", s.dim(0), more), s.op("Max", more, s.dim(0)), s.op("Min", s.dim(0), more), s.op("Min", more, s.dim(0)), s.op("Max", s.dim(0), s.dim(2))))
		}, "float32[n+3,n+3,n,n,?]"},
		{"reductions", func(s shapeMaker) *graph.Value {
			one := []*graph.Attribute{graph.Int("keepdims", 1)}
			return s.fill(s.with("Concat", []*graph.Attribute{graph.Int("axis", 0)}, s.with("ReduceProd", one, s.shape()), s.with("ReduceSum", one, s.shape()), s.op("Unsqueeze", s.op("Size", s.x), s.vec(0))))
		}, "float32[12*h*n,h+n+12,12*h*n]"},
		{"Expand as TorchScript writes it", func(s shapeMaker) *graph.Value {
			ones := s.with("ConstantOfShape", []*graph.Attribute{graph.TensorAttr("value", graph.Vec(1))}, s.vec(3))
			target := s.op("Where", s.op("Equal", s.shape(), s.op("Mul", ones, s.vec(-1))), ones, s.shape())
			return s.op("Expand", s.fill(s.vec(1)), target)
		}, "float32[n,12,h]"},
		{"comparisons", func(s shapeMaker) *graph.Value {
			more := s.op("Add", s.dim(0), s.vec(1))
			pick := func(test *graph.Value) *graph.Value { return s.op("Where", test, s.vec(1), s.vec(2)) }
			axis := []*graph.Attribute{graph.Int("axis", 0)}
			return s.fill(s.with("Concat", axis, pick(s.op("Less", s.dim(0), more)), pick(s.op("Greater", s.dim(0), more)),
				pick(s.op("LessOrEqual", s.dim(0), s.dim(0))), pick(s.op("GreaterOrEqual", s.dim(0), more)),
				pick(s.op("Not", s.op("Equal", s.dim(0), more))), pick(s.op("Less", s.dim(0), s.dim(2)))))
		}, "float32[1,2,1,2,1,?]"},
		{"Gather, Slice, Cast and Concat", func(s shapeMaker) *graph.Value {
			tail := s.op("Slice", s.shape(), s.vec(1), s.vec(1<<62))
			cast := s.with("Cast", []*graph.Attribute{graph.Int("to", int64(graph.Int64))}, s.with("Cast", []*graph.Attribute{graph.Int("to", int64(graph.Int32))}, s.dim(0)))
			return s.fill(s.with("Concat", []*graph.Attribute{graph.Int("axis", 0)}, tail, cast, s.vec(7)))
		}, "float32[12,h,n,7]"},
		{"Split, Squeeze and Reshape of a shape", func(s shapeMaker) *graph.Value {
			parts := s.g.NewNode("Split", "", []*graph.Value{s.shape(), s.vec(2, 1)}, 2)
			return s.fill(s.op("Reshape", s.op("Unsqueeze", s.op("Squeeze", parts.Output(1), s.vec(0)), s.vec(0, 1)), s.vec(-1)))
		}, "float32[h]"},
		{"Slice from the front and the back", func(s shapeMaker) *graph.Value {
			return s.op("Slice", s.x, s.vec(0, 2, 0), s.vec(1<<62, 1<<62, 1<<62), s.vec(0, 1, 2), s.vec(1, 3, 2))
		}, "float32[n,4,floor((h+1)/2)]"},
		{"Slice to a symbol", func(s shapeMaker) *graph.Value {
			long := s.with("Concat", []*graph.Attribute{graph.Int("axis", 2)}, s.x, s.x)
			return s.op("Slice", long, s.dim(2), s.vec(1<<62), s.vec(2))
		}, "float32[n,12,h]"},
		{"Slice that may be empty", func(s shapeMaker) *graph.Value { return s.op("Slice", s.x, s.vec(1), s.vec(-1), s.vec(2)) }, "float32[n,12,?]"},
		{"reversed", func(s shapeMaker) *graph.Value {
			return s.op("Slice", s.x, s.vec(-1), s.vec(-1<<62), s.vec(2), s.vec(-1))
		}, "float32[n,12,h]"},
		{"Range", func(s shapeMaker) *graph.Value {
			end := s.op("Squeeze", s.dim(0), s.vec(0))
			return s.op("Range", s.num(0), end, s.num(2))
		}, "int64[floor((n+1)/2)]"},
		{"Range down", func(s shapeMaker) *graph.Value {
			return s.op("Range", s.op("Squeeze", s.dim(0), s.vec(0)), s.num(0), s.num(-1))
		}, "int64[dyn_1]"},
		{"Reshape", func(s shapeMaker) *graph.Value { return s.op("Reshape", s.x, s.vec(-1, 4, 0)) }, "float32[3*n,4,h]"},
		{"Reshape to what is not known", func(s shapeMaker) *graph.Value {
			return s.op("Reshape", s.x, s.g.AddInput("target", graph.TensorType(graph.Int64, graph.ShapeOf(2))))
		}, "float32[?,?]"},
		{"Flatten", func(s shapeMaker) *graph.Value {
			return s.with("Flatten", []*graph.Attribute{graph.Int("axis", 2)}, s.x)
		}, "float32[12*n,h]"},
		{"Tile and Pad", func(s shapeMaker) *graph.Value {
			return s.op("Pad", s.op("Tile", s.x, s.vec(2, 1, 1)), s.vec(0, 0, 1, 0, 0, 2))
		}, "float32[2*n,12,h+3]"},
		{"even Split", func(s shapeMaker) *graph.Value {
			long := s.with("Concat", []*graph.Attribute{graph.Int("axis", 0)}, s.x, s.x)
			return s.g.NewNode("Split", "", []*graph.Value{long}, 2).Output(1)
		}, "float32[n,12,h]"},
		{"Resize", func(s shapeMaker) *graph.Value {
			return s.op("Resize", s.x, nil, s.g.NewInitializer("scales", graph.Float32s([]int64{3}, 1, 1.5, 2)))
		}, "float32[n,18,2*h]"},
		{"broadcasting", func(s shapeMaker) *graph.Value {
			return s.op("Add", s.x, s.fill(s.op("Gather", s.shape(), s.vec(0, 1, 0))))
		}, "float32[n,12,?]"},
	} {
		m := graph.NewModel("arithmetic", 8, 17)
		x := m.Graph.AddInput("x", graph.TensorType(graph.Float32, graph.Shape{graph.Sym("n"), graph.D(12), graph.Sym("h")}))
		v := c.make(shapeMaker{m.Graph, x})
		if r := op.Infer(m); !r.OK() {
			t.Errorf("%s: %s", c.name, r)
		}
		if got := v.Type.String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
