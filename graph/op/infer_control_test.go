package op_test

import (
	"strings"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

func checkType(t *testing.T, v *graph.Value, want string) {
	t.Helper()
	if got := v.Type.String(); got != want {
		t.Errorf("%s is %s, want %s", v, got, want)
	}
}

// TestInferFunction follows a body once for each call, with the call's shapes
// and attributes.
func TestInferFunction(t *testing.T) {
	m := graph.NewModel("functions", 10, 17)
	body := graph.NewGraph("")
	v := body.AddInput("v", graph.Type{})
	turn := body.NewNode("Transpose", "turn", []*graph.Value{v}, 1, &graph.Attribute{Name: "perm", Type: graph.AttrInts, RefName: "order"})
	rows := body.NewNode("Shape", "rows", []*graph.Value{turn.Output(0)}, 1, graph.Int("end", 1))
	body.AddOutput(turn.Output(0))
	body.AddOutput(rows.Output(0))
	m.Functions = []*graph.Function{{Name: "Turn", Domain: "local", Body: body, Opsets: []graph.Opset{{Version: 17}},
		AttributeDefaults: []*graph.Attribute{graph.Ints("order", 1, 0)}}}
	call := func(name string, x *graph.Value, attrs ...*graph.Attribute) *graph.Node {
		return m.Graph.AddNode("Turn", "local", name, []*graph.Value{x}, []string{name, name + "_rows"}, attrs...)
	}
	a := call("a", m.Graph.AddInput("x", graph.TensorType(graph.Float32, graph.Shape{graph.D(3), graph.Sym("n")})))
	b := call("b", m.Graph.AddInput("y", graph.TensorType(graph.Uint8, graph.ShapeOf(3, 4, 5))), graph.Ints("order", 2, 0, 1))
	fill := m.Graph.NewNode("ConstantOfShape", "fill", []*graph.Value{b.Output(1)}, 1).Output(0)
	if r := op.Infer(m); !r.OK() {
		t.Fatal(r)
	}
	checkType(t, a.Output(0), "float32[n,3]")
	checkType(t, b.Output(0), "uint8[5,3,4]")
	checkType(t, fill, "float32[5]")
	checkType(t, turn.Output(0), "undefined[…]")
}

// TestInferLoop: what a loop carries keeps the dimensions that no round
// changes, and outputs of a counted loop are as many as its rounds.
func TestInferLoop(t *testing.T) {
	m := graph.NewModel("loop", 10, 17)
	g := m.Graph
	body := graph.NewGraph("body")
	body.AddInput("i", graph.Type{})
	cond := body.AddInput("go_on", graph.Type{})
	grown := body.AddInput("grown", graph.Type{})
	body.AddOutput(body.NewNode("Identity", "still", []*graph.Value{cond}, 1).Output(0))
	longer := body.NewNode("Concat", "longer", []*graph.Value{grown, grown}, 1, graph.Int("axis", 0)).Output(0)
	row := body.NewNode("ReduceSum", "row", []*graph.Value{grown, body.NewInitializer("axes", graph.Vec(0))}, 1, graph.Int("keepdims", 0)).Output(0)
	body.AddOutput(longer)
	body.AddOutput(row)
	x := g.AddInput("x", graph.TensorType(graph.Float32, graph.Shape{graph.D(2), graph.Sym("n")}))
	loop := g.NewNode("Loop", "loop", []*graph.Value{g.NewInitializer("rounds", graph.Int64s(nil, 6)), nil, x}, 2, graph.Subgraph("body", body))
	if r := op.Infer(m); !r.OK() {
		t.Fatal(r)
	}
	checkType(t, grown, "float32[?,n]")
	checkType(t, loop.Output(0), "float32[?,n]")
	checkType(t, loop.Output(1), "float32[6,n]")
}

// TestInferIf: a branch that is never taken need not make sense; of branches
// that both may be taken, what they have in common holds.
func TestInferIf(t *testing.T) {
	m := graph.NewModel("if", 10, 17)
	g := m.Graph
	x := g.AddInput("x", graph.TensorType(graph.Float32, graph.ShapeOf(2, 3)))
	y := g.AddInput("y", graph.TensorType(graph.Float32, graph.ShapeOf(5, 3)))
	branch := func(name, op string, in ...*graph.Value) *graph.Attribute {
		b := graph.NewGraph(name)
		b.AddOutput(b.NewNode(op, name, in, 1).Output(0))
		return graph.Subgraph(name, b)
	}
	open := g.NewNode("If", "open", []*graph.Value{g.AddInput("c", graph.TensorType(graph.Bool, graph.ShapeOf()))}, 1,
		branch("then_branch", "Relu", x), branch("else_branch", "Relu", y))
	fixed := g.NewNode("If", "fixed", []*graph.Value{g.NewInitializer("no", zeros(graph.Bool))}, 1,
		branch("then_branch", "Add", x, y), branch("else_branch", "Relu", y))
	if r := op.Infer(m); !r.OK() {
		t.Fatal(r)
	}
	checkType(t, open.Output(0), "float32[?,3]")
	checkType(t, fixed.Output(0), "float32[5,3]")
}

// TestInferDeclared: a declared type fills in for what is not known, and never
// overrides what is.
func TestInferDeclared(t *testing.T) {
	m := graph.NewModel("declared", 10, 17)
	g := m.Graph
	x := g.AddInput("x", graph.TensorType(graph.Float32, graph.Shape{graph.Sym("n"), graph.D(3)}))
	custom := g.AddNode("Custom", "vendor", "custom", []*graph.Value{x}, []string{"y"})
	y := custom.Output(0)
	y.Type = graph.TensorType(graph.Float32, graph.ShapeOf(2, 3))
	turned := g.NewNode("Transpose", "turned", []*graph.Value{y}, 1).Output(0)
	hits := g.NewNode("NonZero", "hits", []*graph.Value{x}, 1).Output(0)
	relu := g.NewNode("Relu", "relu", []*graph.Value{x}, 1).Output(0)
	relu.Type = graph.TensorType(graph.Float32, graph.ShapeOf(4, 3))
	wrong := g.NewNode("Neg", "wrong", []*graph.Value{x}, 1).Output(0)
	wrong.Type = graph.TensorType(graph.Float32, graph.ShapeOf(2, 7))
	r := op.Infer(m)
	if got := r.Failure(custom); len(r.Failed) != 1 || !strings.Contains(got, "does not know this operator") {
		t.Errorf("report is %s", r)
	}
	if len(r.Conflicts) != 1 || r.Conflicts[0].Value != wrong {
		t.Errorf("conflicts: %s", r)
	}
	checkType(t, turned, "float32[3,2]")
	checkType(t, hits, "int64[2,dyn_1]")
	checkType(t, relu, "float32[n,3]")
	checkType(t, wrong, "float32[n,3]")
}
