package graph_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/internal/onnxpb"
	"github.com/afc-project/afc/internal/testutil"
)

func weights(name string, dims ...int64) *onnxpb.TensorProto {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return &onnxpb.TensorProto{Name: &name, DataType: proto.Int32(1), Dims: dims, RawData: make([]byte, 4*n)}
}

func intsAttr(name string, v ...int64) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_INTS.Enum(), Ints: v}
}

func intAttr(name string, v int64) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_INT.Enum(), I: &v}
}

// convModel is x → Conv(x, w, b) → y, with the changes of a test case.
func convModel(change func(*onnxpb.ModelProto)) *onnxpb.ModelProto {
	conv := nodeProto("Conv", "x w b", "y", intAttr("group", 2), intsAttr("kernel_shape", 3, 3))
	conv.Name = proto.String("layer1.conv")
	m := modelOf(&onnxpb.GraphProto{
		Name: proto.String("g"), Node: []*onnxpb.NodeProto{conv},
		Initializer: []*onnxpb.TensorProto{weights("w", 4, 2, 3, 3), weights("b", 4)},
		Input:       []*onnxpb.ValueInfoProto{valueInfo("x", tensorType(graph.Float32, 1, 4, 8, 8))},
		Output:      []*onnxpb.ValueInfoProto{valueInfo("y", tensorType(graph.Float32, 1, 4, 6, 6))},
	})
	if change != nil {
		change(m)
	}
	return m
}

func TestCheck(t *testing.T) {
	type model = onnxpb.ModelProto
	branch := func(name, out string) *onnxpb.AttributeProto {
		return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_GRAPH.Enum(), G: g2("x", out)}
	}
	for _, c := range []struct {
		name   string
		change func(*model)
		want   []string // nil: valid
	}{
		{"valid", nil, nil},
		{"old IR without opset", func(m *model) { m.IrVersion, m.OpsetImport = proto.Int64(2), nil }, nil},
		{"operator of an unknown domain", func(m *model) {
			m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: proto.String("com.example"), Version: proto.Int64(1)})
			m.Graph.Node[0].Domain = proto.String("com.example")
		}, nil},
		{"ai.onnx spelled out", func(m *model) { m.OpsetImport[0].Domain = proto.String("ai.onnx") }, nil},

		{"IR version", func(m *model) { m.IrVersion = proto.Int64(99) }, []string{"IR version 99"}},
		{"no opset", func(m *model) { m.OpsetImport = nil }, []string{"imports no operator set"}},
		{"opset 0", func(m *model) { m.OpsetImport[0].Version = proto.Int64(0) }, []string{"opset 0"}},
		{"opset of the future", func(m *model) { m.OpsetImport[0].Version = proto.Int64(999) }, []string{"opset 999", "newer"}},
		{"two opsets", func(m *model) {
			m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: proto.String("ai.onnx"), Version: proto.Int64(12)})
		}, []string{"opsets 13 and 12"}},
		{"domain not imported", func(m *model) { m.Graph.Node[0].Domain = proto.String("com.example") },
			[]string{`"layer1.conv"`, `"com.example"`, "not among the opsets"}},
		{"unknown operator", func(m *model) { m.Graph.Node[0].OpType = proto.String("Convolve") }, []string{"Convolve", "not in opset 13"}},
		{"operator of a later opset", func(m *model) { m.Graph.Node[0] = nodeProto("Gelu", "x", "y") }, []string{"Gelu", "came with opset 20", "13"}},
		{"operator of an earlier opset", func(m *model) { m.Graph.Node[0] = nodeProto("Upsample", "x w", "y") }, []string{"Upsample", "not in opset 13"}},
		{"no operator", func(m *model) { m.Graph.Node[0].OpType = nil }, []string{"no operator type"}},
		{"too few inputs", func(m *model) { m.Graph.Node[0].Input = []string{"x"} }, []string{`"layer1.conv"`, "1 inputs", "2 to 3"}},
		{"too many inputs", func(m *model) { m.Graph.Node[0].Input = []string{"x", "w", "b", "x"} }, []string{"4 inputs", "2 to 3"}},
		{"too many outputs", func(m *model) { m.Graph.Node[0].Output = []string{"y", "z"} }, []string{"2 outputs", "gives 1"}},
		{"attribute type", func(m *model) { m.Graph.Node[0].Attribute[0] = intsAttr("group", 2) }, []string{`"group"`, "INTS", "as INT"}},
		{"attribute unknown", func(m *model) { m.Graph.Node[0].Attribute[0] = intAttr("groups", 2) }, []string{`"groups"`, "not one of Conv"}},
		{"attribute twice", func(m *model) {
			m.Graph.Node[0].Attribute = append(m.Graph.Node[0].Attribute, intAttr("group", 1))
		}, []string{`"group" twice`}},
		{"attribute missing", func(m *model) { m.Graph.Node[0] = nodeProto("Cast", "x", "y") }, []string{"Cast", `"to"`, "missing"}},
		{"attribute without value", func(m *model) {
			m.Graph.Node[0] = nodeProto("Constant", "", "y", &onnxpb.AttributeProto{Name: proto.String("value"), Type: onnxpb.AttributeProto_TENSOR.Enum()})
		}, []string{`"value"`, "without value"}},
		{"attribute of a function, outside one", func(m *model) {
			m.Graph.Node[0].Attribute[0] = &onnxpb.AttributeProto{Name: proto.String("group"), Type: onnxpb.AttributeProto_INT.Enum(), RefAttrName: proto.String("g")}
		}, []string{`"g" of a function`}},
		{"function twice", func(m *model) {
			f := &onnxpb.FunctionProto{Name: proto.String("F"), Domain: proto.String("d")}
			m.Functions = []*onnxpb.FunctionProto{f, f}
		}, []string{"function F", "twice"}},
		{"attribute the function does not have", func(m *model) {
			m.Functions = []*onnxpb.FunctionProto{{Name: proto.String("F"), Domain: proto.String("d"), Output: []string{"o"}, OpsetImport: m.OpsetImport,
				Node: []*onnxpb.NodeProto{nodeProto("Constant", "", "o", &onnxpb.AttributeProto{
					Name: proto.String("value_int"), Type: onnxpb.AttributeProto_INT.Enum(), RefAttrName: proto.String("n"),
				})}}}
		}, []string{`"n"`, "function F does not have"}},
		{"functions that call each other", func(m *model) {
			m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: proto.String("d"), Version: proto.Int64(1)})
			call := func(name, other string) *onnxpb.FunctionProto {
				n := nodeProto(other, "i", "o")
				n.Domain = proto.String("d")
				return &onnxpb.FunctionProto{Name: &name, Domain: n.Domain, Input: []string{"i"}, Output: []string{"o"}, OpsetImport: m.OpsetImport, Node: []*onnxpb.NodeProto{n}}
			}
			m.Functions = []*onnxpb.FunctionProto{call("E", "F"), call("F", "G"), call("G", "F")}
		}, []string{"function F", "calls itself"}},
		{"input without type", func(m *model) { m.Graph.Input[0].Type = nil }, []string{`"x"`, "no type"}},
		{"element type", func(m *model) { m.Graph.Input[0].Type = tensorType(77) }, []string{`"x"`, "type 77"}},
		{"initializer type", func(m *model) { m.Graph.Initializer[1].DataType = proto.Int32(77) }, []string{`"b"`, "type 77"}},
		{"initializer is not what is declared", func(m *model) {
			m.Graph.Input = append(m.Graph.Input, valueInfo("w", tensorType(graph.Float32, 4, 2, 1, 1)))
		}, []string{`"w"`, "declared as float32[4,2,1,1]", "float32[4,2,3,3]"}},
		{"name of an outer value", func(m *model) {
			m.Graph.Node[0] = nodeProto("If", "x", "y", branch("then_branch", "b"), branch("else_branch", "c"))
		}, []string{`"b"`, "graph around"}},

		// pytorch/pytorch#166797: two convolutions of one parent share a bias.
		{"wrong bias", func(m *model) { m.Graph.Initializer[1] = weights("b", 2) },
			[]string{`"layer1.conv"`, `bias "b" is [2]`, "expected [4]", `"w" [4,2,3,3]`, "pytorch#166797"}},
		{"wrong bias in a Constant node", func(m *model) {
			m.Graph.Initializer = m.Graph.Initializer[:1]
			c := nodeProto("Constant", "", "b", &onnxpb.AttributeProto{Name: proto.String("value"), Type: onnxpb.AttributeProto_TENSOR.Enum(), T: weights("", 8)})
			m.Graph.Node = append([]*onnxpb.NodeProto{c}, m.Graph.Node...)
		}, []string{`bias "b" is [8]`}},
		{"bias of rank 2", func(m *model) { m.Graph.Initializer[1].Dims = []int64{4, 1} }, []string{`bias "b" is [4,1]`}},
		{"groups", func(m *model) { m.Graph.Node[0].Attribute[0] = intAttr("group", 3) }, []string{`"w" [4,2,3,3]`, "3 groups"}},
		{"kernel", func(m *model) { m.Graph.Node[0].Attribute[1] = intsAttr("kernel_shape", 1, 1) }, []string{"kernel_shape is [1 1]", "[4,2,3,3]"}},
		{"batch normalisation", func(m *model) {
			m.Graph.Node[0] = nodeProto("BatchNormalization", "x s b mean var", "y")
			m.Graph.Initializer = []*onnxpb.TensorProto{weights("s", 4), weights("b", 4), weights("mean", 4), weights("var", 5)}
		}, []string{`variance "var" is [5]`, "expected [4]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := graph.Decode(wire(t, convModel(c.change)))
			if err != nil {
				t.Fatal(err)
			}
			m.Path = "model.onnx"
			err = graph.Check(m)
			if c.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused(t, err, append(c.want, "model.onnx: ")...)
		})
	}
}

// TestNodeNames: nodes get names that no other node of their graph has; Check
// sees those that a file has twice, but lets a subgraph repeat them, as ONNX
// Runtime does.
func TestNodeNames(t *testing.T) {
	m := graph.NewModel("names", 8, 17)
	g := m.Graph
	x := g.AddInput("x", graph.TensorType(graph.Float32, nil))
	name := func(n *graph.Node) string { return n.Name }
	first := g.NewNode("Relu", "/Shape", []*graph.Value{x}, 1)
	copied := g.CopyNode(first, map[*graph.Value]*graph.Value{x: x})
	third := g.AddNode("Relu", "", "/Shape", []*graph.Value{x}, []string{"y"})
	if a, b, c := name(first), name(copied), name(third); a != "/Shape" || b == a || c == a || c == b {
		t.Errorf("three nodes are named %q, %q, %q", a, b, c)
	}
	third.SetName(name(copied))
	if name(third) == name(copied) {
		t.Errorf("renamed, two nodes are named %q", name(third))
	}
	g.RemoveNode(first)
	if third.SetName("/Shape"); name(third) != "/Shape" {
		t.Errorf("the name of a node that is gone is still taken: %q", name(third))
	}
	yes := g.NewInitializer("yes", graph.MustTensor(graph.Bool, nil, []byte{1}))
	branch := func(attr string) *graph.Attribute {
		b := graph.NewGraph(attr)
		b.AddOutput(b.NewNode("Relu", "/Shape", []*graph.Value{x}, 1).Output(0))
		return graph.Subgraph(attr, b)
	}
	choice := g.NewNode("If", "if", []*graph.Value{yes}, 1, branch("then_branch"), branch("else_branch")).Output(0)
	choice.Type = graph.TensorType(graph.Float32, nil)
	g.AddOutput(choice)
	data, err := graph.EncodeBytes(m)
	if err != nil {
		t.Fatal(err)
	}
	again, err := graph.Decode(data)
	if err == nil {
		err = graph.Check(again)
	}
	if err != nil {
		t.Fatal(err)
	}
	again.Graph.Value("y").Producer().Name = name(copied)
	if err := graph.Check(again); err == nil || !strings.Contains(err.Error(), "has the name of another node, the Relu that makes") {
		t.Errorf("two nodes of one name: %v", err)
	}
}

// TestCheckFindsBrokenRewrites: what a pass may get wrong through the methods
// of the IR.
func TestCheckFindsBrokenRewrites(t *testing.T) {
	build := func() (*graph.Graph, *graph.Model) {
		m, err := graph.Decode(wire(t, convModel(func(m *onnxpb.ModelProto) {
			m.Graph.Node = append(m.Graph.Node, nodeProto("Relu", "y", "z"))
		})))
		if err != nil {
			t.Fatal(err)
		}
		return m.Graph, m
	}
	for _, c := range []struct {
		name   string
		damage func(g *graph.Graph)
		want   []string
	}{
		{"moved behind its reader", func(g *graph.Graph) {
			g.MoveAfter(g.Value("y").Producer(), g.Value("z").Producer())
		}, []string{`"y"`, "before"}},
		{"value of another graph", func(g *graph.Graph) {
			other := graph.NewGraph("other").AddInput("x", graph.Type{})
			g.Value("z").Producer().SetInput(0, other)
		}, []string{`"x"`, "not in this graph"}},
		{"value of a branch, outside", func(g *graph.Graph) {
			sub := graph.NewGraph("sub")
			inner := sub.NewNode("Abs", "inner", []*graph.Value{g.Value("x")}, 1).Output(0)
			sub.AddOutput(inner)
			g.NewNode("If", "if", []*graph.Value{g.Value("x")}, 1, graph.Subgraph("then_branch", sub), graph.Subgraph("else_branch", graph.NewGraph("else")))
			g.Value("z").Producer().SetInput(0, inner)
		}, []string{`"inner"`, "not in this graph"}},
		{"reader outside the model", func(g *graph.Graph) {
			graph.NewGraph("other").NewNode("Abs", "stray", []*graph.Value{g.Value("x")}, 1)
		}, []string{`"x"`, "internal: lists 2 uses, has 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, m := build()
			if err := graph.Check(m); err != nil {
				t.Fatal(err)
			}
			c.damage(g)
			refused(t, graph.Check(m), c.want...)
		})
	}
}

// TestText shows a model with something in every field.
func TestText(t *testing.T) {
	m, err := graph.Decode(wire(t, everything()))
	if err != nil {
		t.Fatal(err)
	}
	testutil.Golden(t, "text/everything.txt", graph.Text(m))
}
