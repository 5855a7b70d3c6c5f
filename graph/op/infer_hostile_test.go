package op_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// hostileTime is far more than a bounded inference takes, also on a busy
// machine, and far less than an unbounded one.
const hostileTime = 30 * time.Second

// TestInferHostile holds inference to its bounds on models that ask for more.
func TestInferHostile(t *testing.T) {
	vector := func() (*graph.Model, *graph.Value) {
		m := graph.NewModel("hostile", 10, 17)
		return m, m.Graph.AddInput("x", graph.TensorType(graph.Float32, graph.Shape{graph.Sym("a"), graph.Sym("b"), graph.Sym("c")}))
	}
	for _, c := range []struct {
		name  string
		model func() *graph.Model
	}{
		{"functions that double themselves", func() *graph.Model {
			m, x := vector()
			const levels = 60
			for i := range levels {
				body := graph.NewGraph("")
				v := body.AddInput("v", graph.Type{})
				for k := range 2 {
					v = body.AddNode(fmt.Sprintf("F%d", i+1), "local", "", []*graph.Value{v}, []string{fmt.Sprintf("v%d", k)}).Output(0)
				}
				body.AddOutput(v)
				m.Functions = append(m.Functions, &graph.Function{Name: fmt.Sprintf("F%d", i), Domain: "local", Body: body,
					Opsets: []graph.Opset{{Version: 17}, {Domain: "local", Version: 1}}})
			}
			m.Graph.AddOutput(m.Graph.AddNode("F0", "local", "", []*graph.Value{x}, []string{"y"}).Output(0))
			return m
		}},
		{"function that calls itself", func() *graph.Model {
			m, x := vector()
			body := graph.NewGraph("")
			v := body.AddInput("v", graph.Type{})
			body.AddOutput(body.AddNode("F", "local", "", []*graph.Value{v}, []string{"w"}).Output(0))
			m.Functions = []*graph.Function{{Name: "F", Domain: "local", Body: body, Opsets: []graph.Opset{{Version: 17}}}}
			m.Graph.AddOutput(m.Graph.AddNode("F", "local", "", []*graph.Value{x}, []string{"y"}).Output(0))
			return m
		}},
		{"symbols that grow without end", func() *graph.Model {
			m, x := vector()
			g := m.Graph
			v := g.NewNode("Shape", "s", []*graph.Value{x}, 1).Output(0)
			for range 2000 {
				sum := g.NewNode("Add", "", []*graph.Value{v, v}, 1).Output(0)
				v = g.NewNode("Mul", "", []*graph.Value{sum, v}, 1).Output(0)
			}
			g.AddOutput(g.NewNode("ConstantOfShape", "y", []*graph.Value{v}, 1).Output(0))
			return m
		}},
		{"long vectors of symbols", func() *graph.Model {
			m, x := vector()
			g := m.Graph
			s := g.NewNode("Shape", "s", []*graph.Value{x}, 1).Output(0)
			v := g.NewNode("Tile", "t", []*graph.Value{s, g.NewInitializer("n", graph.Vec(300))}, 1).Output(0)
			for range 20000 {
				v = g.NewNode("Add", "", []*graph.Value{v, v}, 1).Output(0)
			}
			g.AddOutput(v)
			return m
		}},
		{"loops inside loops whose shapes change", func() *graph.Model {
			m, x := vector()
			var fill func(g *graph.Graph, v *graph.Value, depth int) *graph.Value
			fill = func(g *graph.Graph, v *graph.Value, depth int) *graph.Value {
				if depth == 0 {
					return g.NewNode("Concat", "", []*graph.Value{v, v}, 1, graph.Int("axis", 0)).Output(0)
				}
				b := graph.NewGraph("body")
				b.AddInput("i", graph.Type{})
				cond := b.AddInput("cond", graph.Type{})
				inner := b.AddInput(fmt.Sprintf("carried%d", depth), graph.Type{})
				b.AddOutput(b.NewNode("Identity", fmt.Sprintf("go%d", depth), []*graph.Value{cond}, 1).Output(0))
				b.AddOutput(fill(b, inner, depth-1))
				return g.NewNode("Loop", fmt.Sprintf("loop%d", depth), []*graph.Value{nil, nil, v}, 1, graph.Subgraph("body", b)).Output(0)
			}
			m.Graph.AddOutput(fill(m.Graph, x, 30))
			return m
		}},
		{"large constants folded over and over", func() *graph.Model {
			m, _ := vector()
			g := m.Graph
			v := g.NewInitializer("v", zeros(graph.Int64, 1000))
			for range 50000 {
				v = g.NewNode("Add", "", []*graph.Value{v, v}, 1).Output(0)
			}
			g.AddOutput(v)
			return m
		}},
	} {
		m := c.model()
		start := time.Now()
		r := op.Infer(m)
		took := time.Since(start)
		if took > hostileTime {
			t.Errorf("%s: took %s", c.name, took)
		}
		t.Logf("%s: %s, %d nodes not inferred", c.name, took.Round(time.Millisecond), len(r.Failed))
	}
}

// TestInferUndefinedType: a type that an attribute makes up is no type.
func TestInferUndefinedType(t *testing.T) {
	m := graph.NewModel("hostile", 10, 17)
	x := m.Graph.AddInput("x", graph.TensorType(graph.Float32, graph.ShapeOf(2)))
	y := m.Graph.AddNode("Cast", "", "cast", []*graph.Value{x}, []string{"y"}, graph.Int("to", 41)).Output(0)
	y.Type = graph.TensorType(graph.Float16, graph.ShapeOf(2)) // as declared
	m.Graph.AddOutput(y)
	if r := op.Infer(m); r.OK() || y.Type.Elem != graph.Float16 {
		t.Errorf("y is %s, report %q", y.Type, r)
	}
	if err := graph.Check(m); err != nil {
		t.Errorf("inference broke the model: %v", err)
	}
}
