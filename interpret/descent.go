package interpret

import (
	"fmt"
	"math"
	"slices"
)

// Origin says where an AFNet's weights come from.
type Origin int

const (
	// Transplanted: every layer is the source's, cut to its place.
	Transplanted Origin = iota
	// Adapted: the stem is the source's; the other layers were fitted or tuned.
	Adapted
	// Trained: nothing but the shapes need be the source's.
	Trained
)

// DescendsFrom says in what an AFNet is not what becomes of a source (a plain
// network): depth, classes, strides, shift, head and, as far as their origin
// says so, weights. It states anew what the rewrite promises: focal, fusion and
// plain blocks are the source's blocks, focal convolutions cut to the diagonal
// of their groups; ample blocks are its leading channels. The reason is "" where
// all holds; checked counts the layers whose weights were compared.
// Unit is the unit roundoff of the type that the AFNet's weights were rounded
// to, 0 if they were not.
func (n *Network) DescendsFrom(src *Network, origin Origin, unit float64) (reason string, checked int) {
	d := &descent{origin: origin, slack: max(1e-6, 8*unit)}
	d.network(n, src)
	return d.reason, d.checked
}

// descent compares; its first reason is the answer.
type descent struct {
	origin  Origin
	slack   float64 // of weights, in parts of the largest
	reason  string
	checked int
}

func (d *descent) want(ok bool, format string, args ...any) {
	if !ok && d.reason == "" {
		d.reason = fmt.Sprintf(format, args...)
	}
}

func (d *descent) network(n, src *Network) {
	d.want(n.channels == src.channels, "frames have %d channels, the source's %d", n.channels, src.channels)
	d.want(n.Classes == src.Classes, "it knows %d classes, the source %d", n.Classes, src.Classes)
	d.want(n.head.mean == src.head.mean && n.head.softmax == src.head.softmax, "its head puts frames together in another way than the source's")
	d.want(n.pool == src.pool, "its first pool is not the source's")
	d.want(len(n.stages) == len(src.stages), "it has %d stages, the source %d", len(n.stages), len(src.stages))
	d.want(n.stride() == src.stride(), "it halves maps by %d in all, the source by %d", n.stride(), src.stride())
	if d.reason != "" {
		return
	}
	d.conv(&n.stem, &src.stem, cut{out: src.stem.out, in: src.stem.in, groups: 1}, d.origin != Trained)
	for i := range n.stages {
		d.stage(&n.stages[i], &src.stages[i])
	}
	if d.origin == Transplanted {
		d.want(d.near(n.head.weight, src.head.weight) && d.near(n.head.bias, src.head.bias), "its linear layer is not the source's")
	}
}

// stride is how far the trunk shrinks maps.
func (n *Network) stride() int {
	total := n.stem.stride * n.pool.stride
	for _, s := range n.stages {
		blocks := s.blocks
		if s.af != nil {
			blocks = append(slices.Clone(s.af.focal), s.af.fusion)
		}
		for _, b := range blocks {
			for _, c := range b.convs {
				total *= c.stride
			}
		}
	}
	return total
}

func (d *descent) stage(s, src *stage) {
	blocks := s.blocks
	if s.af != nil {
		blocks = append(slices.Clone(s.af.focal), s.af.fusion)
	}
	d.want(len(blocks) == len(src.blocks), "%s has %d blocks, the source's %d", s.name, len(blocks), len(src.blocks))
	if d.reason != "" {
		return
	}
	for i := range blocks {
		d.block(&blocks[i], &src.blocks[i])
	}
	if s.af != nil {
		for i := range s.af.ample {
			d.ample(&s.af.ample[i], &src.blocks[i])
		}
	}
}

func (d *descent) block(b, src *block) {
	d.want(len(b.convs) == len(src.convs), "%s has %d convolutions, the source's %s %d", b.key, len(b.convs), src.key, len(src.convs))
	d.want(b.fold == src.fold && b.pastFirst == src.pastFirst && b.shiftResidual == src.shiftResidual, "%s shifts %d channels each way, the source's %s %d", b.key, b.fold, src.key, src.fold)
	d.want((b.residual == nil) == (src.residual == nil), "%s has another residual path than the source's %s", b.key, src.key)
	if d.reason != "" {
		return
	}
	for i := range b.convs {
		c, from := &b.convs[i], &src.convs[i]
		d.conv(c, from, cut{out: from.out, in: from.in, groups: c.groups}, d.origin == Transplanted)
	}
	if b.residual != nil {
		d.conv(b.residual, src.residual, cut{out: src.residual.out, in: src.residual.in, groups: 1}, d.origin == Transplanted)
	}
}

func (d *descent) ample(b, src *block) {
	d.want(len(b.convs) == len(src.convs), "%s has %d convolutions, the source's %s %d", b.key, len(b.convs), src.key, len(src.convs))
	if d.reason != "" {
		return
	}
	for i := range b.convs {
		c := &b.convs[i]
		d.conv(c, &src.convs[i], cut{out: c.out, in: c.in, groups: 1}, d.origin == Transplanted)
	}
	fold := src.fold * b.convs[0].in / src.convs[0].in
	d.want(b.fold == fold && b.pastFirst == src.pastFirst, "%s shifts %d channels each way, of the source's %s it should be %d", b.key, b.fold, src.key, fold)
	if b.residual != nil && src.residual != nil {
		d.conv(b.residual, src.residual, cut{out: b.residual.out, in: b.residual.in, groups: 1}, d.origin == Transplanted)
	}
}

// cut is what is kept of a convolution: its leading channels, and of them what
// lies on the diagonal of groups.
type cut struct{ out, in, groups int }

// conv compares a convolution with the source's, cut.
func (d *descent) conv(c, src *conv, k cut, weights bool) {
	d.want(c.out == k.out && c.in == k.in && c.kernel == src.kernel && c.out <= src.out && c.in <= src.in,
		"%s is a convolution %d→%d of %d×%d, the source's %s %d→%d of %d×%d",
		c.key, c.in, c.out, c.kernel, c.kernel, src.key, src.in, src.out, src.kernel, src.kernel)
	if d.reason != "" || !weights {
		return
	}
	perOut, perIn := k.out/k.groups, k.in/k.groups
	want := make([]float64, 0, len(c.weight))
	for o := range k.out {
		first := o / perOut * perIn
		row := src.weight[o*src.in*src.window:]
		want = append(want, row[first*src.window:(first+perIn)*src.window]...)
	}
	d.want(d.near(c.weight, want) && d.near(c.scale, src.scale[:k.out]) && d.near(c.offset, src.offset[:k.out]),
		"%s has other weights than the source's %s gives it", c.key, src.key)
	d.checked++
}

// near allows for batch norm folded into one side's float32 weights, and for
// weights, scales and offsets of a few roundings each.
func (d *descent) near(a, b []float64) bool {
	if len(a) != len(b) {
		return false
	}
	peak := 0.0
	for _, x := range b {
		peak = max(peak, math.Abs(x))
	}
	for i := range a {
		if math.Abs(a[i]-b[i]) > d.slack*peak {
			return false
		}
	}
	return true
}
