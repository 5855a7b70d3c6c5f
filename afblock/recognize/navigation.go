package recognize

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/dataflow"
)

// navigation reads what makes a product's mask of a, backwards: the choice, the
// layer that makes its logits, and what that looks at.
func (r *recognizer) navigation(p *product, a *graph.Value) (*afblock.Navigation, error) {
	c, layer, err := r.choiceOf(p)
	if err != nil {
		return nil, err
	}
	nav := &afblock.Navigation{}
	if err := r.choosing(nav, layer, int64(len(p.at))); err != nil {
		return nil, err
	}
	if err := r.decides(c); err != nil {
		return nil, err
	}
	c.gumbel = r.isGumbel(c)
	if err := r.looking(nav, layer, a); err != nil {
		return nil, err
	}
	r.choices = append(r.choices, c)
	r.progress++
	return nav, nil
}

// choosing reads navigation's last layer: a 1×1 convolution over the two
// features of each of a clip's frames, each frame alone or all together.
func (r *recognizer) choosing(nav *afblock.Navigation, n *graph.Node, rows int64) error {
	d := r.Dims(n.Input(0))
	if !n.Is("Conv") || len(d) != 4 || d[1] < 2 || d[1]%2 != 0 || d[2] != 1 || d[3] != 1 || d[0]*d[1] != 2*rows {
		return r.refuse(n, fmt.Sprintf("navigation's last layer: a 1×1 convolution over the %d features of clips, two a frame", 2*rows),
			fmt.Sprintf("%s on %v", n.OpType, d), "")
	}
	c, err := r.groupedConv(n, "conv_gs", d[1])
	if err != nil {
		return err
	}
	frames := int(d[1] / 2)
	if c.Out() != 2*frames || c.Kernel() != 1 || c.Stride != 1 || c.Groups != 1 && c.Groups != frames {
		return r.refuse(n, fmt.Sprintf("two logits for each of %d frames, of that frame's features or of all", frames),
			fmt.Sprintf("a convolution %d → %d in %d groups", c.In(), c.Out(), c.Groups), "")
	}
	if c.Bias == nil {
		c.Bias = graph.Float32s([]int64{2 * int64(frames)}, make([]float32, 2*frames)...)
	}
	if r.shiftT != 0 && r.shiftT != frames {
		return r.refuse(n, fmt.Sprintf("navigation over clips of %d frames, as in the blocks before", r.shiftT), fmt.Sprintf("one over %d", frames), "")
	}
	r.shiftT, nav.Choice = frames, *c
	return nil
}

// looking reads what navigation's last layer looks at: the mean of each frame
// of a, a 1×1 convolution to two features, batch normalisation, ReLU.
func (r *recognizer) looking(nav *afblock.Navigation, choice *graph.Node, a *graph.Value) error {
	expected := func(what string) error {
		return r.refuse(choice, "a layer that reads "+what+", frame by frame", quote(choice.Input(0)), "")
	}
	relu := producer(r.straight(choice.Input(0)))
	if relu == nil || !isReLU(r, relu) {
		return expected("ReLU of two features a frame")
	}
	look := producer(r.straight(relu.Input(0)))
	var norm *graph.Node
	if look.Is("BatchNormalization") {
		norm = look
		look = producer(r.straight(norm.Input(0)))
	}
	if !look.Is("Conv") {
		return expected("a convolution's features")
	}
	c, err := r.conv(look, "conv_pool", r.channels(a))
	if err != nil {
		return err
	}
	if c.Out() != 2 || c.Kernel() != 1 || c.Stride != 1 {
		return r.refuse(look, "navigation's first layer: a 1×1 convolution to two features a frame", fmt.Sprintf("weights of shape %v", c.Weight.Dims), "")
	}
	if norm != nil {
		if c.BN, err = r.batchNorm(norm, "bn", c.Out()); err != nil {
			return err
		}
	}
	if of := r.meanOf(look.Input(0), r.Dims(a)); of == nil || !r.sameMap(of, a) {
		return r.refuse(look, "the mean of each frame of "+quote(a)+", what the ample branch beside it reads", quote(look.Input(0)), "")
	}
	nav.Look = *c
	return nil
}

// sameMap reports whether v is the map a, viewed or not.
func (r *recognizer) sameMap(v, a *graph.Value) bool {
	if v == a {
		return true
	}
	d := r.Dims(a)
	if len(d) != 4 || dataflow.Elements(r.Dims(v)) != dataflow.Elements(d) {
		return false
	}
	at := frameSamples(d, min(d[0], shiftRows))
	for i, c := range r.Trace(v, at) {
		if c.Base != a || c.At != at[i] {
			return false
		}
	}
	return true
}

// meanOf returns the value of which v holds the mean over the pixels of each
// frame and channel of maps of dimensions [B, C, H, W], viewed or not; nil if it
// is no such mean.
func (r *recognizer) meanOf(v *graph.Value, of []int64) *graph.Value {
	n := producer(r.straight(v))
	if n == nil {
		return nil
	}
	if n.Is("Div", "Mul") {
		if n = r.sumOverPixels(n); n == nil {
			return nil
		}
	}
	d, from := r.Dims(n.Input(0)), 0
	switch {
	case len(d) < 3 || len(of) != 4 || dataflow.Elements(d) != dataflow.Elements(of):
		return nil
	case n.Is("GlobalAveragePool"):
		from = 2
	case r.poolsAll(n):
		from = 2
	case n.Is("ReduceMean", "ReduceSum"):
		from = r.reducesFrom(n, len(d))
	}
	if from == 0 || dataflow.Elements(d[from:]) != of[2]*of[3] {
		return nil
	}
	return n.Input(0)
}

// reducesFrom returns the axis from which on a reduction takes all, 0 if it
// takes others.
func (r *recognizer) reducesFrom(n *graph.Node, rank int) int {
	axes := n.AttrInts("axes")
	if x, ok := r.Ints(n.Input(1)); axes == nil && ok {
		axes = x
	}
	var reduced []int64
	for _, a := range axes {
		if a < 0 {
			a += int64(rank)
		}
		reduced = append(reduced, a)
	}
	slices.Sort(reduced)
	for i, a := range reduced {
		if a != int64(rank-len(reduced)+i) {
			return 0
		}
	}
	if len(reduced) == 0 {
		return 0
	}
	return rank - len(reduced)
}

// sumOverPixels returns the sum that n divides by how many it sums, nil if n
// does not.
func (r *recognizer) sumOverPixels(n *graph.Node) *graph.Node {
	for i := range 2 {
		sum := producer(r.straight(n.Input(i)))
		by := r.Constant(n.Input(1 - i))
		if !sum.Is("ReduceSum") || by == nil || dataflow.Elements(by.Dims) != 1 || i == 1 && n.Is("Div") {
			continue
		}
		d := r.Dims(sum.Input(0))
		from := r.reducesFrom(sum, len(d))
		x, err := numbers(by)
		if from == 0 || err != nil {
			continue
		}
		want := float32(dataflow.Elements(d[from:]))
		if n.Is("Mul") {
			want = 1 / want
		}
		if x[0] == want {
			return sum
		}
	}
	return nil
}
