package verify_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify"
)

// mutator breaks a correct model. Whatever it looks for must be there.
type mutator struct {
	t *testing.T
	g *graph.Graph
}

func (m mutator) node(name string) *graph.Node {
	m.t.Helper()
	for n := range m.g.Nodes() {
		if n.Name == name {
			return n
		}
	}
	m.t.Fatalf("no node %q: the mutation no longer fits what codegen writes", name)
	return nil
}

func (m mutator) value(name string) *graph.Value {
	m.t.Helper()
	v := m.g.Value(name)
	if v == nil {
		m.t.Fatalf("no value %q: the mutation no longer fits what codegen writes", name)
	}
	return v
}

// before inserts a node in front of at and returns its output.
func (m mutator) before(at *graph.Node, op string, in []*graph.Value, attrs ...*graph.Attribute) *graph.Value {
	n := m.g.NewNode(op, m.g.NewName("mutant."+op), in, 1, attrs...)
	m.g.MoveBefore(n, at)
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
	m.g.SetInitializer(v, graph.Float32s(v.Initializer().Dims, x...))
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
	{"F(0) dropped", "reference", "layer1.refine_module.0", func(m mutator) {
		m.change("afc.layer1.refine_module.0.zero", func(x []float32, _ []int64) { clear(x) })
	}},
	{"F(0) without border", "reference", "layer2.refine_module.1", func(m mutator) {
		m.change("afc.layer2.refine_module.1.zero", func(x []float32, dims []int64) {
			h, w := int(dims[2]), int(dims[3])
			for c := range int(dims[1]) {
				inner := x[c*h*w+h/2*w+w/2]
				for i := range h * w {
					x[c*h*w+i] = inner
				}
			}
		})
	}},
	{"selection before the shift", "reference", "layer1.refine_module.0", func(m mutator) {
		split := m.node("layer1.refine_module.0.shift.split")
		mask := m.before(split, "Reshape", []*graph.Value{m.value("layer1.list_gen.0.mask"), m.ints(-1, 1, 1, 1)})
		split.SetInput(0, m.before(split, "Mul", []*graph.Value{split.Input(0), mask}))
	}},
	{"shift left out", "reference", "layer1.refine_module.1", func(m mutator) {
		m.node("layer1.refine_module.1.gather").SetInput(0, m.value("layer1.refine_module.0.relu"))
	}},
	{"shift in the other direction", "reference", "layer1.fusion.0", func(m mutator) {
		n := m.node("layer1.fusion.0.shift")
		m.swap(n, 0, n, 1)
	}},
	{"residual path shifted too", "reference", "layer1.refine_module.0.downsample", func(m mutator) {
		m.node("layer1.refine_module.0.downsample.0").SetInput(0, m.value("layer1.refine_module.0.shift"))
	}},
	{"choice of another block", "reference", "layer1.refine_module.1", func(m mutator) {
		m.choose("layer1.list_gen.1", func(chosen *graph.Value, at *graph.Node) *graph.Value { return m.value("layer1.list_gen.0.chosen") })
	}},
	{"mask off by one frame", "reference", "layer1.refine_module.1", func(m mutator) {
		m.choose("layer1.list_gen.1", func(chosen *graph.Value, at *graph.Node) *graph.Value {
			tail := m.before(at, "Slice", []*graph.Value{chosen, m.ints(1), m.ints(1 << 30)})
			head := m.before(at, "Slice", []*graph.Value{chosen, m.ints(0), m.ints(1)})
			return m.before(at, "Concat", []*graph.Value{tail, head}, graph.Int("axis", 0))
		})
	}},
	{"mask inverted", "reference", "layer2.refine_module.0", func(m mutator) {
		m.choose("layer2.list_gen.0", func(chosen *graph.Value, at *graph.Node) *graph.Value {
			return m.before(at, "Not", []*graph.Value{chosen})
		})
	}},
	{"answers put in the wrong rows", "reference", "layer1.refine_module.0", func(m mutator) {
		m.node("layer1.refine_module.0.last_or").SetInput(1, m.g.NewInitializer("mutant.two", graph.Float32s(nil, 2)))
	}},
	{"tie selects", "tie", "layer1.refine_module.0, clip 0, frame 0", func(m mutator) {
		m.node("layer1.list_gen.0.chosen").OpType = "GreaterOrEqual"
	}},
	{"drop and keep exchanged", "masks", "layer2.refine_module.1", func(m mutator) {
		n := m.node("layer2.list_gen.1.chosen")
		m.swap(n, 0, n, 1)
	}},
	{"ReLU behind the focal branch's last block", "reference", "layer1.att_gen", func(m mutator) {
		sum := m.value("layer1.refine_module.1.add")
		at := m.node("layer1.att_gen.sum")
		relu := m.before(at, "Relu", []*graph.Value{sum})
		for _, u := range slices.Clone(sum.Uses()) {
			if u.Node.Output(0) != relu {
				u.Node.SetInput(u.Index, relu)
			}
		}
	}},
	{"ReLU behind the mix left out", "reference", "layer1.fusion.0", func(m mutator) {
		m.node("layer1.att_gen.relu").OpType = "Identity"
	}},
	{"gate inverted", "reference", "layer2.att_gen.ample", func(m mutator) {
		m.swap(m.node("layer2.att_gen.ample"), 0, m.node("layer2.att_gen.focal"), 0)
	}},
	{"gate of another function", "reference", "layer1.att_gen", func(m mutator) {
		m.node("layer1.att_gen.gate").OpType = "HardSigmoid"
	}},
	{"another upsampling", "reference", "layer1.upsample", func(m mutator) {
		m.node("layer1.upsample").SetAttr(graph.Str("nearest_mode", "ceil"))
	}},
	{"average pool without its padding", "reference", "layer1.base_module.0.downsample.pool", func(m mutator) {
		m.node("layer1.base_module.0.downsample.pool").SetAttr(graph.Int("count_include_pad", 0))
	}},
	{"another epsilon", "reference", "layer2.refine_module.0", func(m mutator) {
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
	{"an unused initializer", "load", "mutant", func(m mutator) { m.ints(1) }},
}

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

// TestMutations holds the verifier to its purpose: it fails every broken model
// and says where it is broken.
func TestMutations(t *testing.T) {
	net := network(t, 8)
	correct := lowered(t, net, codegen.Gather)
	if err := verify.Seal(correct.Model); err != nil {
		t.Fatal(err)
	}
	only := []string{"seal", "load", "reference", "masks", "tie", "repeat", "batch", "skipping"}
	run := func(t *testing.T, s *verify.Subject) *verify.Report {
		r, err := verify.Verify(t.Context(), s, verify.Options{Only: only, Videos: clips.Random{Count: 3, Seed: 1}, Threads: 1, Batch: 3})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := run(t, correct); r.Failed() {
		r.WriteText(t.Output())
		t.Fatal("the correct model fails")
	}
	for _, mutation := range mutations {
		t.Run(mutation.name, func(t *testing.T) {
			s := *correct
			s.Model = correct.Model.Clone()
			mutation.corrupt(mutator{t, s.Model.Graph})
			r := run(t, &s)
			c := row(t, r, mutation.check)
			if c.Status != verify.Fail || !strings.Contains(c.Where, mutation.where) {
				t.Errorf("%s is %s: %q does not name %q", c.Name, c.Status, c.Where, mutation.where)
			}
			if t.Failed() || testing.Verbose() {
				r.WriteText(t.Output())
			}
		})
	}
	t.Run("every frame computed", func(t *testing.T) {
		s := *correct
		s.Model = lowered(t, net, codegen.Mask).Model
		c := row(t, run(t, &s), "skipping")
		if c.Status != verify.Fail || !strings.Contains(c.Where, "layer1.refine_module.0.conv1.weight") {
			t.Errorf("skipping is %s: %s", c.Status, c.Where)
		}
	})
}
