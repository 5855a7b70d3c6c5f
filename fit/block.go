package fit

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// target is what a convolution shall answer at the positions of a sample.
type target struct {
	sample *sample
	y      *matrix
}

// blockFit is the work on one residual block.
type blockFit struct {
	blk     *afblock.Block
	in      feed      // what it reads
	mask    *feed     // of a focal block
	targets []*target // of its convolutions; the last: the sum with the residual path
	ridge   float64
	wide    float64 // ridge of convolutions wider than 1×1 and of the last
	// joint fits the last convolution and the residual path's together.
	joint bool
}

func (b *blockFit) feeds() []feed {
	if b.mask != nil {
		return []feed{b.in, *b.mask}
	}
	return []feed{b.in}
}

// block fits a block's convolutions one after the other, each on what those
// before it now make, and returns the block's output.
func (e *engine) block(b *blockFit) (*stream, error) {
	last := len(b.blk.Convs()) - 1
	for i, c := range b.blk.Convs()[:last] {
		if err := e.inner(b, c, b.targets[i]); err != nil {
			return nil, err
		}
	}
	var err error
	if b.joint {
		err = e.lastJoint(b, b.targets[last])
	} else {
		err = e.last(b, b.targets[last])
	}
	if err != nil {
		return nil, err
	}
	return e.advance(b)
}

// inner fits a convolution with ReLU behind it.
func (e *engine) inner(b *blockFit, c *afblock.Conv, t *target) error {
	m, err := e.student()
	if err != nil {
		return err
	}
	x := newMatrix(t.sample.rows(), c.In()*c.Kernel()*c.Kernel())
	err = e.run.each(m, b.feeds(), []string{read(m, c)}, t.sample.clips, func(v []maps) error {
		t.sample.inputs(v[0], c.Window(), x)
		return nil
	})
	if err != nil {
		return err
	}
	r := b.ridge
	if c.Kernel() > 1 {
		r = b.wide
	}
	return e.conv(c, x, t.y, nil, r, true)
}

// conv regresses a convolution, group by group.
func (e *engine) conv(c *afblock.Conv, x, y, added *matrix, ridge float64, relu bool) error {
	perIn, perOut := x.cols/c.Groups, y.cols/c.Groups
	var parts []*solution
	for g := range c.Groups {
		s, err := e.regress(c.Key, x.columns(g*perIn, (g+1)*perIn), y.columns(g*perOut, (g+1)*perOut), added.columns(g*perOut, (g+1)*perOut), ridge, relu)
		if err != nil {
			return err
		}
		parts = append(parts, s)
	}
	setRows(c, parts, 0, perIn, true)
	e.dirty()
	e.note(c.Key, perIn, y, parts)
	return nil
}

// regress solves one regression; x is taken over.
func (e *engine) regress(key string, x, y, added *matrix, ridge float64, relu bool) (*solution, error) {
	s, err := newSystem(e.products, x, ridge*e.opt.ridge)
	if err == nil {
		var sol *solution
		if sol, err = s.solve(y, added, relu); err == nil {
			return sol, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", key, err)
}

// last fits the last convolution to what the residual path leaves.
func (e *engine) last(b *blockFit, t *target) error {
	m, err := e.student()
	if err != nil {
		return err
	}
	c := b.blk.Convs()[len(b.blk.Convs())-1]
	x := newMatrix(t.sample.rows(), c.In()*c.Kernel()*c.Kernel())
	rest := newMatrix(t.y.rows, t.y.cols)
	err = e.run.each(m, b.feeds(), []string{read(m, c), residual(m, b.blk)}, t.sample.clips, func(v []maps) error {
		t.sample.inputs(v[0], c.Window(), x)
		t.sample.values(v[1], nearest, rest)
		return nil
	})
	if err != nil {
		return err
	}
	return e.conv(c, x, t.y, rest, b.wide, b.blk.Act == afblock.ReLU)
}

// lastJoint fits the last convolution and that of the residual path together.
func (e *engine) lastJoint(b *blockFit, t *target) error {
	c, side := b.blk.Convs()[len(b.blk.Convs())-1], b.blk.Residual.Conv
	x, err := e.jointInputs(b, t.sample)
	if err != nil {
		return err
	}
	own := c.In() / c.Groups * c.Kernel() * c.Kernel()
	perOut := t.y.cols / c.Groups
	main, rest := x.columns(0, own*c.Groups), x.columns(own*c.Groups, x.cols)
	var parts []*solution
	for g := range c.Groups {
		s, err := e.regress(c.Key, beside(main.columns(g*own, (g+1)*own), rest), t.y.columns(g*perOut, (g+1)*perOut), nil, b.wide, b.blk.Act == afblock.ReLU)
		if err != nil {
			return err
		}
		parts = append(parts, s)
	}
	setRows(c, parts, 0, own, true)
	setRows(side, parts, own, own+rest.cols, false)
	e.dirty()
	e.note(c.Key, own+rest.cols, t.y, parts)
	return nil
}

// jointInputs returns what the last convolution reads beside what the residual
// path's convolution reads, or where it has none, what the residual path makes.
func (e *engine) jointInputs(b *blockFit, s *sample) (*matrix, error) {
	m, err := e.student()
	if err != nil {
		return nil, err
	}
	c, side := b.blk.Convs()[len(b.blk.Convs())-1], b.blk.Residual.Conv
	x := newMatrix(s.rows(), c.In()*c.Kernel()*c.Kernel())
	name, w, cols := residual(m, b.blk), afblock.Window{Kernel: 1, Stride: 1}, b.blk.In()
	if side != nil {
		name, w, cols = read(m, side), side.Window(), side.In()
	}
	rest := newMatrix(s.rows(), cols)
	err = e.run.each(m, b.feeds(), []string{read(m, c), name}, s.clips, func(v []maps) error {
		s.inputs(v[0], c.Window(), x)
		s.inputs(v[1], w, rest)
		return nil
	})
	return beside(x, rest), err
}

// advance runs a block on all clips.
func (e *engine) advance(b *blockFit) (*stream, error) {
	m, err := e.student()
	if err != nil {
		return nil, err
	}
	return e.keep(m, b.feeds(), end(b.blk))
}

// keep stores a value for all clips.
func (e *engine) keep(m *graph.Model, feeds []feed, name string) (*stream, error) {
	var out *stream
	err := e.run.each(m, feeds, []string{name}, e.run.all(), func(v []maps) (err error) {
		if out == nil {
			if out, err = newStream(e.run.clips*e.run.frames, v[0].c, v[0].at); err != nil {
				return err
			}
		}
		return e.store(out, v[0])
	})
	if err != nil {
		out.close()
		return nil, err
	}
	return out, nil
}

// store writes maps of clips to where they belong.
func (e *engine) store(to *stream, m maps) error {
	for i, c := range m.clips {
		if err := to.write(c*e.run.frames, m.clip(i)); err != nil {
			return err
		}
	}
	return nil
}

// idle fits a focal block that computes no frame: of all its answers F(0)
// remains, the last bias.
func (e *engine) idle(b *blockFit) (*stream, error) {
	last := len(b.blk.Convs()) - 1
	for _, c := range b.blk.Convs() {
		weights, bias, err := weights(c)
		if err != nil {
			return nil, err
		}
		clear(weights)
		clear(bias)
		setConv(c, weights, bias)
	}
	e.dirty()
	m, err := e.student()
	if err != nil {
		return nil, err
	}
	t, c := b.targets[last], b.blk.Convs()[last]
	rest := newMatrix(t.y.rows, t.y.cols)
	err = e.run.each(m, b.feeds(), []string{residual(m, b.blk)}, t.sample.clips, func(v []maps) error {
		t.sample.values(v[0], nearest, rest)
		return nil
	})
	if err != nil {
		return nil, err
	}
	lack := t.y.less(rest)
	sol := &solution{w: make([]float32, c.In()*c.Kernel()*c.Kernel()/c.Groups*c.Out()), b: lack.means()}
	sol.lost, sol.total = spread(newMatrix(lack.rows, lack.cols), nil, lack, false)
	setRows(c, []*solution{sol}, 0, len(sol.w)/c.Out(), true)
	e.dirty()
	for _, c := range b.blk.Convs() {
		e.note(c.Key, 0, t.y, []*solution{sol})
	}
	return e.advance(b)
}
