package verify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/afblock/compiled/seal"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify"
)

// mutator breaks a correct model. Whatever it looks for must be there.
type mutator struct {
	t      *testing.T
	g      *graph.Graph
	needed bool // what is looked for must be there
}

// graphs lists a graph and those inside its nodes.
func graphs(g *graph.Graph) []*graph.Graph {
	all := []*graph.Graph{g}
	for n := range g.Nodes() {
		for _, sub := range n.Subgraphs() {
			all = append(all, graphs(sub)...)
		}
	}
	return all
}

// node finds a node by name. What is not there a mutation cannot break: in the
// lowering gather, which has all that they look for, that is a fault of the test.
func (m mutator) node(name string) *graph.Node {
	m.t.Helper()
	for _, g := range graphs(m.g) {
		for n := range g.Nodes() {
			if n.Name == name {
				return n
			}
		}
	}
	m.missing("node", name)
	return nil
}

func (m mutator) value(name string) *graph.Value {
	m.t.Helper()
	for _, g := range graphs(m.g) {
		if v := g.Value(name); v != nil {
			return v
		}
	}
	m.missing("value", name)
	return nil
}

func (m mutator) missing(kind, name string) {
	m.t.Helper()
	if m.needed {
		m.t.Fatalf("no %s %q: the mutation no longer fits what codegen writes", kind, name)
	}
	m.t.Skipf("no %s %q in this lowering", kind, name)
}

// before inserts a node in front of at and returns its output.
func (m mutator) before(at *graph.Node, op string, in []*graph.Value, attrs ...*graph.Attribute) *graph.Value {
	g := at.Graph()
	n := g.NewNode(op, g.NewName("mutant."+op), in, 1, attrs...)
	g.MoveBefore(n, at)
	return n.Output(0)
}

func (m mutator) ints(v ...int64) *graph.Value {
	return m.g.NewInitializer("mutant.ints", graph.Vec(v...))
}

// change rewrites the elements of a float initializer.
func (m mutator) change(name string, f func(x []float32, dims []int64)) {
	m.t.Helper()
	v := m.value(name)
	x, err := v.Initializer().Float32s()
	if err != nil {
		m.t.Fatal(err)
	}
	x = slices.Clone(x)
	f(x, v.Initializer().Dims)
	v.Graph().SetInitializer(v, graph.Float32s(v.Initializer().Dims, x...))
}

// swap exchanges an input of two nodes.
func (m mutator) swap(a *graph.Node, i int, b *graph.Node, k int) {
	x, y := a.Input(i), b.Input(k)
	a.SetInput(i, y)
	b.SetInput(k, x)
}

// choose makes what a block computes follow other choices: f is given the
// value chosen, bool [N·T], and an element of the graph to stand before; the
// choices that the model shows stay.
func (m mutator) choose(nav string, f func(chosen *graph.Value, at *graph.Node) *graph.Value) {
	m.t.Helper()
	chosen, mask := m.value(nav+".chosen"), m.g.Value(nav+".mask")
	at := chosen.Producer().Next()
	other := f(chosen, at)
	otherMask := m.before(at, "Cast", []*graph.Value{other}, graph.Int("to", int64(graph.Float32)))
	m.reroute(chosen, other)
	if mask != nil {
		m.reroute(mask, otherMask)
	}
}

// reroute makes those who compute with a choice read another, but not who makes
// or shows it.
func (m mutator) reroute(from, to *graph.Value) {
	for _, u := range slices.Clone(from.Uses()) {
		n := u.Node
		if strings.Contains(n.Name, ".list_gen.") || strings.HasPrefix(n.Name, "mutant") || strings.HasPrefix(n.Name, "afc.masks.rows") || n.Name == "masks" {
			continue
		}
		n.SetInput(u.Index, to)
	}
}

// mutations break an AFNet in the lowering gather, with shift. Check is the
// row that must fail, where what its message must name.
var mutations = []struct {
	name, check, where string
	corrupt            func(m mutator)
}{
	{"F(0) dropped", "interpreter", "layer1.refine_module.0", func(m mutator) {
		m.change("afc.layer1.refine_module.0.zero", func(x []float32, _ []int64) { clear(x) })
	}},
	{"F(0) without border", "interpreter", "layer2.refine_module.1", func(m mutator) {
		m.change("afc.layer2.refine_module.1.zero", func(x []float32, dims []int64) {
			if len(dims) != 4 || len(x) != int(dims[1]*dims[2]*dims[3]) {
				m.t.Skip("F(0) is spelled otherwise in this lowering")
			}
			h, w := int(dims[2]), int(dims[3])
			for c := range int(dims[1]) {
				inner := x[c*h*w+h/2*w+w/2]
				for i := range h * w {
					x[c*h*w+i] = inner
				}
			}
		})
	}},
	{"selection before the shift", "interpreter", "layer1.refine_module.0", func(m mutator) {
		split := m.node("layer1.refine_module.0.shift.split")
		mask := m.before(split, "Reshape", []*graph.Value{m.value("layer1.list_gen.0.mask"), m.ints(-1, 1, 1, 1)})
		split.SetInput(0, m.before(split, "Mul", []*graph.Value{split.Input(0), mask}))
	}},
	{"shift left out", "interpreter", "layer1.refine_module.1", func(m mutator) {
		m.node("layer1.refine_module.1.gather").SetInput(0, m.value("layer1.refine_module.0.relu"))
	}},
	{"shift in the other direction", "interpreter", "layer1.fusion.0", func(m mutator) {
		n := m.node("layer1.fusion.0.shift")
		m.swap(n, 0, n, 1)
	}},
	{"residual path shifted too", "interpreter", "layer1.refine_module.0", func(m mutator) {
		m.node("layer1.refine_module.0.downsample.0").SetInput(0, m.value("layer1.refine_module.0.shift"))
	}},
	{"choice of another block", "interpreter", "layer2.refine_module.1", func(m mutator) {
		if m.g.Value("dropped") != nil {
			m.t.Skip("a budget may hide it")
		}
		m.choose("layer2.list_gen.1", func(chosen *graph.Value, at *graph.Node) *graph.Value { return m.value("layer1.list_gen.0.chosen") })
	}},
	{"mask off by one frame", "interpreter", "layer1.refine_module.1", func(m mutator) {
		m.choose("layer1.list_gen.1", func(chosen *graph.Value, at *graph.Node) *graph.Value {
			tail := m.before(at, "Slice", []*graph.Value{chosen, m.ints(1), m.ints(1 << 30)})
			head := m.before(at, "Slice", []*graph.Value{chosen, m.ints(0), m.ints(1)})
			return m.before(at, "Concat", []*graph.Value{tail, head}, graph.Int("axis", 0))
		})
	}},
	{"mask inverted", "interpreter", "layer2.refine_module.0", func(m mutator) {
		m.choose("layer2.list_gen.0", func(chosen *graph.Value, at *graph.Node) *graph.Value {
			return m.before(at, "Not", []*graph.Value{chosen})
		})
	}},
	{"answers put in the wrong rows", "interpreter", "layer1.refine_module.0", func(m mutator) {
		m.node("layer1.refine_module.0.last_or").SetInput(1, m.g.NewInitializer("mutant.two", graph.Float32s(nil, 2)))
	}},
	{"tie selects", "tie", "layer1 focal 1, clip 0, frame 0", func(m mutator) {
		m.node("layer1.list_gen.0.chosen").OpType = "GreaterOrEqual"
	}},
	{"drop and keep exchanged", "interpreter", "layer2.refine_module.1", func(m mutator) {
		n := m.node("layer2.list_gen.1.chosen")
		m.swap(n, 0, n, 1)
	}},
	{"ReLU behind the focal branch's last block", "interpreter", "layer1.att_gen", func(m mutator) {
		sum := m.value("layer1.refine_module.1.add")
		at := m.node("layer1.att_gen.sum")
		if at.Graph() != sum.Graph() || len(sum.Uses()) != 2 {
			m.t.Skip("what leaves the block is another value in this lowering")
		}
		relu := m.before(at, "Relu", []*graph.Value{sum})
		for _, u := range slices.Clone(sum.Uses()) {
			if u.Node.Output(0) != relu {
				u.Node.SetInput(u.Index, relu)
			}
		}
	}},
	{"ReLU behind the mix left out", "interpreter", "layer1.att_gen", func(m mutator) {
		m.node("layer1.att_gen.relu").OpType = "Identity"
	}},
	{"gate inverted", "interpreter", "layer2.att_gen", func(m mutator) {
		m.swap(m.node("layer2.att_gen.ample"), 0, m.node("layer2.att_gen.focal"), 0)
	}},
	{"gate of another function", "interpreter", "layer1.att_gen", func(m mutator) {
		m.node("layer1.att_gen.gate").OpType = "HardSigmoid"
	}},
	{"another upsampling", "interpreter", "layer1.att_gen", func(m mutator) {
		m.node("layer1.upsample").SetAttr(graph.Str("nearest_mode", "ceil"))
	}},
	{"average pool without its padding", "interpreter", "layer1.base_module.0", func(m mutator) {
		m.node("layer1.base_module.0.downsample.pool").SetAttr(graph.Int("count_include_pad", 0))
	}},
	{"another epsilon", "interpreter", "layer2.refine_module.0", func(m mutator) {
		m.node("layer2.refine_module.0.bn2").SetAttr(graph.Float("epsilon", 1e-3))
	}},
	{"one weight changed by 1 %", "seal", "layer2.base_module.1", func(m mutator) {
		m.change("layer2.base_module.1.conv2.weight", func(x []float32, _ []int64) { x[5] *= 1.01 })
	}},
	{"clips leak into each other", "batch", "logits", func(m mutator) {
		m.leak()
	}},
	{"noise added", "repeat", "logits", func(m mutator) {
		out := m.g.Outputs()[0]
		noise := m.g.NewNode("RandomNormalLike", "mutant", []*graph.Value{out}, 1).Output(0)
		m.replaceOutput(m.g.NewNode("Add", "mutant.sum", []*graph.Value{out, noise}, 1).Output(0))
	}},
	{"the output masks says the opposite", "interpreter", "layer1 focal 1, clip", func(m mutator) {
		m.mask(func(v *graph.Value, at *graph.Node) *graph.Value {
			return m.after(at, "Sub", []*graph.Value{m.g.NewInitializer("mutant.one", graph.Float32s(nil, 1)), v})
		})
	}},
	{"the output masks in another order", "interpreter", "layer1 focal ", func(m mutator) {
		n := m.node("masks")
		m.swap(n, 0, n, 1)
	}},
	{"the output masks of another type", "interpreter", "masks", func(m mutator) {
		m.mask(func(v *graph.Value, at *graph.Node) *graph.Value {
			return m.after(at, "Cast", []*graph.Value{v}, graph.Int("to", int64(graph.Int64)))
		})
		out := m.g.Outputs()[1]
		out.Type = graph.TensorType(graph.Int64, out.Type.Shape)
	}},
	{"the output dropped is always 0", "interpreter", "dropped", func(m mutator) {
		n := m.node("dropped")
		v := n.Output(0)
		zero := m.after(n, "Sub", []*graph.Value{v, v})
		zero.Type = v.Type
		m.g.SetOutput(2, zero)
		v.Rename("dropped.mutated")
		zero.Rename("dropped")
	}},
	{"the wrong frames beyond the budget", "interpreter", "layer1.refine_module.0", func(m mutator) {
		m.node("layer1.refine_module.0.top").SetAttr(graph.Int("largest", 0))
	}},
	{"one frame alone computed wrongly", "one", "layer2.refine_module.1", func(m mutator) {
		m.node("layer2.refine_module.1.nonzero") // the number of frames varies
		conv := m.node("layer2.refine_module.1.conv1")
		x := conv.Input(0)
		rows := m.before(conv, "Gather", []*graph.Value{m.before(conv, "Shape", []*graph.Value{x}), m.ints(0)})
		alone := m.before(conv, "Equal", []*graph.Value{rows, m.ints(1)})
		half, whole := m.g.NewInitializer("mutant.half", graph.Float32s(nil, 0.5)), m.g.NewInitializer("mutant.whole", graph.Float32s(nil, 1))
		conv.SetInput(0, m.before(conv, "Mul", []*graph.Value{x, m.before(conv, "Where", []*graph.Value{alone, half, whole})}))
	}},
	{"F(0) of another block", "interpreter", "layer2.refine_module.1", func(m mutator) {
		m.node("layer2.refine_module.1.zero_rows").SetInput(0, m.value("afc.layer2.refine_module.0.zero"))
	}},
	{"the fusion block's stride in another convolution", "interpreter", "layer1.fusion.0", func(m mutator) {
		m.node("layer1.fusion.0.conv2").SetAttr(graph.Ints("strides", 1, 1))
		m.node("layer1.fusion.0.conv1").SetAttr(graph.Ints("strides", 2, 2))
	}},
	{"an unused initializer", "load", "mutant", func(m mutator) { m.ints(1) }},
}

// after inserts a node behind at and returns its output.
func (m mutator) after(at *graph.Node, op string, in []*graph.Value, attrs ...*graph.Attribute) *graph.Value {
	g := at.Graph()
	n := g.NewNode(op, g.NewName("mutant."+op), in, 1, attrs...)
	g.MoveAfter(n, at)
	return n.Output(0)
}

// mask makes the output "masks" another value, made of what it was.
func (m mutator) mask(f func(v *graph.Value, at *graph.Node) *graph.Value) {
	n := m.node("masks")
	v := n.Output(0)
	other := f(v, n)
	other.Type = v.Type
	m.g.SetOutput(1, other)
	v.Rename("masks.mutated")
	other.Rename("masks")
}

// ofTopK names the mutations of what only topk has.
var ofTopK = map[string]bool{"the output dropped is always 0": true, "the wrong frames beyond the budget": true}

// leak adds the mean of the batch to every answer.
func (m mutator) leak() {
	out := m.g.Outputs()[0]
	mean := m.g.NewNode("ReduceMean", "mutant", []*graph.Value{out}, 1, graph.Ints("axes", 0)).Output(0)
	m.replaceOutput(m.g.NewNode("Add", "mutant.sum", []*graph.Value{out, mean}, 1).Output(0))
}

// replaceOutput makes v the model's first output, under its name.
func (m mutator) replaceOutput(v *graph.Value) {
	out := m.g.Outputs()[0]
	name := out.Name()
	v.Type = out.Type
	m.g.SetOutput(0, v)
	out.Rename(name + ".mutated")
	v.Rename(name)
}

// TestMutations holds the verifier to its purpose: it fails every broken model,
// in every lowering, and says where it is broken. On maps of 64×64 every step of
// codegen applies, on maps of 33×33 sizes do not divide.
func TestMutations(t *testing.T) {
	only := []string{"seal", "load", "interpreter", "one", "tie", "repeat", "batch"}
	for _, size := range []int{33, 64} {
		net := sizedNetwork(t, 8, size)
		for _, lowering := range codegen.Lowerings {
			if testing.Short() && (lowering != codegen.Gather || size != 33) {
				continue
			}
			correct := lowered(t, net, lowering, 2)
			if err := seal.Write(correct.Model); err != nil {
				t.Fatal(err)
			}
			if r := proveMutant(t, correct, only); r.Failed() {
				r.WriteText(t.Output())
				t.Fatalf("the correct model fails in %s at %d", lowering, size)
			}
			applied := 0
			for _, mutation := range mutations {
				t.Run(fmt.Sprintf("%s/%d/%s", lowering, size, mutation.name), func(t *testing.T) {
					s := *correct
					s.Model = correct.Model.Clone()
					mutation.corrupt(mutator{t, s.Model.Graph, lowering == codegen.Gather && size == 33 && !ofTopK[mutation.name]})
					applied++
					r := proveMutant(t, &s, []string{mutation.check})
					c := row(t, r, mutation.check)
					// Choices are named in the paper's words, layers by their keys.
					named := strings.Contains(c.Where, mutation.where) || strings.Contains(c.Where, names.InWords(mutation.where))
					if c.Status != verify.Fail || !named {
						t.Errorf("%s is %s: %q does not name %q", c.Name, c.Status, c.Where, mutation.where)
						r.WriteText(t.Output())
					}
				})
			}
			if least := len(mutations) / 2; applied < least {
				t.Errorf("%d of %d mutations fit lowering %s, want %d or more", applied, len(mutations), lowering, least)
			}
		}
	}
	t.Run("every frame computed", func(t *testing.T) {
		net := network(t, 8)
		s := lowered(t, net, codegen.Gather)
		s.Model = lowered(t, net, codegen.Mask).Model
		c := row(t, proveMutant(t, s, []string{"skipping"}), "skipping")
		if c.Status != verify.Fail || !strings.Contains(c.Where, "layer1.refine_module.0.conv1.weight") {
			t.Errorf("skipping is %s: %s", c.Status, c.Where)
		}
	})
}

func proveMutant(t *testing.T, s *verify.Subject, only []string) *verify.Report {
	t.Helper()
	r, err := verify.Verify(t.Context(), s, verify.Options{Only: only, Videos: clips.Random{Count: 3, Seed: 1}, Threads: 1, Batch: 3})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
