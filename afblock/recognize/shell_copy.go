package recognize

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// copier copies parts of a source's graph into another one.
type copier struct {
	g       *graph.Graph
	vals    map[*graph.Value]*graph.Value // source values that have a copy or a stand-in
	plan    *plan                         // what changes on the way
	changed map[*graph.Value]*graph.Value // constants that the plan made, by what they were
}

func newCopier(g *graph.Graph, p *plan) *copier {
	if p == nil {
		p = &plan{}
	}
	return &copier{g, map[*graph.Value]*graph.Value{}, p, map[*graph.Value]*graph.Value{}}
}

// region copies what the targets need beyond the values already copied.
func (c *copier) region(src *graph.Graph, targets ...*graph.Value) error {
	needed := map[*graph.Node]bool{}
	work := slices.Clone(targets)
	for len(work) > 0 {
		v := work[len(work)-1]
		work = work[:len(work)-1]
		if v == nil || c.vals[v] != nil || v.Producer() == nil || needed[v.Producer()] {
			continue
		}
		needed[v.Producer()] = true
		work = append(work, c.reads(v.Producer())...)
	}
	for n := range src.Nodes() {
		if !needed[n] {
			continue
		}
		for _, v := range c.reads(n) {
			if err := c.constant(v); err != nil {
				return fmt.Errorf("%s: %w", n, err)
			}
		}
		if n.Is("Dropout") { // inference, whatever mode it was exported in
			c.vals[n.Output(0)] = c.vals[n.Input(0)]
			if n.Output(1) == nil || n.Output(1).NumUses() == 0 {
				continue
			}
			return fmt.Errorf("%s: its mask is read", n)
		}
		k := c.g.CopyNode(n, c.vals)
		for i, v := range n.Inputs() {
			if t := c.plan.inputs[use{n, i}]; t != nil {
				k.SetInput(i, c.instead(v, t))
			}
		}
		for _, a := range c.plan.attrs[n] {
			k.SetAttr(a)
		}
	}
	for _, v := range targets {
		if err := c.constant(v); err != nil {
			return err
		}
	}
	return nil
}

// constant sees to it that v has a copy; what no node makes is a constant.
func (c *copier) constant(v *graph.Value) error {
	if v == nil || c.vals[v] != nil {
		return nil
	}
	t := v.Initializer()
	if t == nil {
		return fmt.Errorf("%q is an input that the part copied does not have", v.Name())
	}
	c.vals[v] = c.g.NewInitializer(v.Name(), t)
	return nil
}

// instead returns the constant t, which stands in the copy for the constant v:
// one for all readers that want the same.
func (c *copier) instead(v *graph.Value, t *graph.Tensor) *graph.Value {
	if k := c.changed[v]; k != nil && sameElements(k.Initializer(), t) {
		return k
	}
	c.changed[v] = c.g.NewInitializer(v.Name(), t)
	return c.changed[v]
}

// sameElements reports whether two small constants are equal.
func sameElements(a, b *graph.Tensor) bool {
	x, err1 := a.Bytes()
	y, err2 := b.Bytes()
	return err1 == nil && err2 == nil && a.DType == b.DType && slices.Equal(a.Dims, b.Dims) && slices.Equal(x, y)
}

// reads lists what the copy of a node will read of the source.
func (c *copier) reads(n *graph.Node) []*graph.Value {
	return slices.DeleteFunc(slices.Collect(n.Reads()), func(v *graph.Value) bool {
		for i, in := range n.Inputs() { // elsewhere than where the plan puts another constant
			if in == v && c.plan.inputs[use{n, i}] == nil {
				return false
			}
		}
		return slices.Contains(n.Inputs(), v)
	})
}

// checkOpset refuses a source whose nodes the opsets from 13 on read otherwise.
func (s *Shell) checkOpset() error {
	if v := s.model.Opset(""); v < 13 {
		return fmt.Errorf("source speaks opset %d: raise it to 13 before lowering", v)
	}
	return nil
}

// Prefix copies the inputs and what lies before the stem.
func (s *Shell) Prefix(g *graph.Graph, net *afblock.Network) (*graph.Value, error) {
	if err := s.checkOpset(); err != nil {
		return nil, err
	}
	p, err := s.prefixPlan(net.Frames)
	if err != nil {
		return nil, err
	}
	g.Name, g.Doc = s.model.Graph.Name, s.model.Graph.Doc
	in, err := s.copyPrefix(g, net.Frames, p)
	if err != nil {
		return nil, err
	}
	in.Type = graph.TensorType(s.in.Type.Elem, s.frameShape(net))
	return in, nil
}

// frameShape is the shape of what the stem reads.
func (s *Shell) frameShape(net *afblock.Network) graph.Shape {
	rows, h, w := graph.Sym("frames"), graph.Sym("height"), graph.Sym("width")
	if s.clipInput().Type.Shape[0].Known() {
		rows = graph.D(s.inDims[0] / int64(s.frames) * int64(net.Frames))
	}
	if net.Size[0] > 0 {
		h, w = graph.D(int64(net.Size[0])), graph.D(int64(net.Size[1]))
	}
	return graph.Shape{rows, graph.D(s.inDims[1]), h, w}
}

// clipInput returns the input that is fed frames.
func (s *Shell) clipInput() *graph.Value {
	return s.model.DataInputs()[0]
}

// copyPrefix copies the input, for clips of t frames, and what lies between it
// and the stem.
func (s *Shell) copyPrefix(g *graph.Graph, t int, p *plan) (*graph.Value, error) {
	clip := s.clipInput()
	typ := clip.Type
	var err error
	if typ.Shape, err = s.inputShape(t); err != nil {
		return nil, err
	}
	c := newCopier(g, p)
	v := g.AddInput(clip.Name(), typ)
	v.Doc = clip.Doc
	c.vals[clip] = v
	if err := c.region(s.model.Graph, s.in); err != nil {
		return nil, err
	}
	return c.vals[s.in], nil
}

// inputShape is the shape of the model's input for clips of t frames.
func (s *Shell) inputShape(t int) (graph.Shape, error) {
	shape := slices.Clone(s.clipInput().Type.Shape)
	i := s.layout.Axis("T")
	switch {
	case i > 0 && s.segments > 0 && !shape[i].Known(): // open, but a network's T is one
		width := int64(1)
		if s.layout.Axes()[i] == "TC" {
			width = s.inDims[1]
		}
		shape[i] = graph.D(int64(s.segments/s.frames*t) * width)
		return shape, nil
	case t == s.frames:
		return shape, nil
	case i < 0:
		return nil, fmt.Errorf("input %q of shape %s: afc cannot tell its frame axis, so it cannot change the number of frames from %d to %d",
			s.clipInput().Name(), shape, s.frames, t)
	}
	if shape[i].Known() {
		if shape[i].Size%int64(s.frames) != 0 {
			return nil, fmt.Errorf("input %q: axis %d of size %d is no multiple of %d frames", s.clipInput().Name(), i, shape[i].Size, s.frames)
		}
		shape[i].Size = shape[i].Size / int64(s.frames) * int64(t)
	}
	return shape, nil
}

// Suffix copies what lies behind the trunk and makes the output.
func (s *Shell) Suffix(g *graph.Graph, trunkOut *graph.Value, net *afblock.Network) error {
	if err := s.checkOpset(); err != nil {
		return err
	}
	out := s.answer
	p, err := s.suffixPlan(net)
	var logits *graph.Value
	if err == nil {
		logits, err = s.copySuffix(g, trunkOut, &net.Head, p)
	} else if s.standardHead(net) {
		logits, err = afblock.StandardSuffix(g, trunkOut, net, out.Name())
	}
	if err != nil {
		return err
	}
	if logits.Name() != out.Name() {
		if taken := g.Value(out.Name()); taken != nil {
			taken.Rename(g.NewName(out.Name() + "_inner"))
		}
		logits.Rename(out.Name())
	}
	logits.Doc, logits.Type = out.Doc, s.outputType(net)
	g.AddOutput(logits)
	return nil
}

// outputType is the output's type with the network's T and classes.
func (s *Shell) outputType(net *afblock.Network) graph.Type {
	typ := s.answer.Type
	typ.Shape = slices.Clone(typ.Shape)
	if n := len(typ.Shape); n > 0 && typ.Shape[n-1].Known() {
		typ.Shape[n-1] = graph.D(net.Head.FC.Weight.Dims[0])
	}
	if net.Frames == s.frames || net.Head.Consensus != afblock.PerFrame {
		return typ
	}
	for i, d := range typ.Shape[:max(len(typ.Shape)-1, 0)] {
		if d.Known() && d.Size%int64(s.frames) == 0 {
			typ.Shape[i] = graph.D(d.Size / int64(s.frames) * int64(net.Frames))
		}
	}
	return typ
}

// copySuffix copies what lies behind the trunk, around the linear layer.
func (s *Shell) copySuffix(g *graph.Graph, trunkOut *graph.Value, head *afblock.Head, p *plan) (*graph.Value, error) {
	src, out := s.model.Graph, s.answer
	c := newCopier(g, p)
	c.vals[s.out] = trunkOut
	if v := g.Value(s.clipInput().Name()); v != nil && v.IsInput() {
		c.vals[s.clipInput()] = v
	}
	if err := c.region(src, s.fc.Input(0)); err != nil {
		return nil, err
	}
	c.vals[s.scores] = s.copyLinear(g, c.vals[s.fc.Input(0)], head)
	if err := c.region(src, out); err != nil {
		return nil, err
	}
	return c.vals[out], nil
}

// copyLinear writes the linear layer in the source's form, with the head's
// weights [classes, C].
func (s *Shell) copyLinear(g *graph.Graph, x *graph.Value, head *afblock.Head) *graph.Value {
	if s.fc.Is("Gemm") {
		return head.Gemm(g, x)
	}
	w := afblock.HeadInitializer(g, head.FC.Key+".weight", head.FC.Weight)
	if s.fc.Is("Conv") {
		shape := slices.Concat(head.FC.Weight.Dims, s.kernel)
		w = g.NewNode("Reshape", "afc.fc_kernel", []*graph.Value{w, g.NewInitializer("afc.fc_kernel_shape", graph.Vec(shape...))}, 1).Output(0)
		in := []*graph.Value{x, w}
		if head.FC.Bias != nil {
			in = append(in, afblock.HeadInitializer(g, head.FC.Key+".bias", head.FC.Bias))
		}
		return g.NewNode("Conv", s.fc.Name, in, 1).Output(0)
	}
	w = g.NewNode("Transpose", "afc.fc_transposed", []*graph.Value{w}, 1, graph.Ints("perm", 1, 0)).Output(0)
	y := g.NewNode("MatMul", s.fc.Name, []*graph.Value{x, w}, 1).Output(0)
	if head.FC.Bias != nil {
		y = g.NewNode("Add", "", []*graph.Value{y, afblock.HeadInitializer(g, head.FC.Key+".bias", head.FC.Bias)}, 1).Output(0)
	}
	return y
}

// standardHead reports whether the standard suffix answers in the shape of
// the source's: [N, classes] from one clip, or [N·T, classes].
func (s *Shell) standardHead(net *afblock.Network) bool {
	return !s.tail && len(s.answer.Type.Shape) == 2 && (s.averaged == 1 || s.averaged == s.frames)
}
