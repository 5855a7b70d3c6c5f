package fit

import (
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
)

// engine carries a fit through the network, from stem to head.
type engine struct {
	opt      Options
	run      *runner
	products *products
	teacher  *afblock.Network
	net      *afblock.Network
	source   *graph.Model // the teacher, lowered
	model    *graph.Model // the net, lowered as it now is; nil: changed since
	masks    [][]float32  // by focal block, one number a frame of all clips

	ahead     *stream // what the source's next block reads
	aheadName string

	layers []Layer
	total  int

	states *checkpoints // nil: nothing is kept
}

// student returns the network lowered, as it now is.
func (e *engine) student() (*graph.Model, error) {
	if e.model == nil {
		m, err := lowered(e.net)
		if err != nil {
			return nil, err
		}
		e.model = m
	}
	return e.model, nil
}

// dirty says that the network was changed.
func (e *engine) dirty() { e.model = nil }

// note records what was fitted.
func (e *engine) note(key string, inputs int, y *matrix, parts []*solution) {
	var lost, total []float64
	outputs := 0
	for _, s := range parts {
		lost, total, outputs = append(lost, s.lost...), append(total, s.total...), outputs+len(s.b)
	}
	l := Layer{Name: key, Inputs: inputs, Outputs: outputs, Rows: y.rows, Residual: relative(lost, total)}
	e.layers = append(e.layers, l)
	if e.opt.Progress != nil {
		e.opt.Progress(len(e.layers), e.total, l)
	}
}

// fit goes through the stages that no state has.
func (e *engine) fit() error {
	at, err := e.resume()
	if err != nil {
		return err
	}
	block := 0
	for i, s := range e.net.Stages {
		first := block
		if s.AF != nil {
			block += len(s.AF.Focal)
		}
		if i < at.stages {
			continue
		}
		if s.AF != nil {
			at.stream, at.name, err = e.module(i, at.stream, at.name, first)
		} else {
			at.stream, at.name, err = e.plain(i, at.stream, at.name)
		}
		if err != nil {
			return err
		}
		at.stages = i + 1
		if err := e.keepState(at); err != nil {
			return err
		}
	}
	err = e.head(at.stream)
	at.stream.close()
	return err
}

// plain fits the blocks of a stage without branches.
func (e *engine) plain(i int, h *stream, name string) (*stream, string, error) {
	blocks, src := e.net.Stages[i].Blocks, e.teacher.Stages[i].Blocks
	scheduled := slices.IndexFunc(blocks, func(b *afblock.Block) bool { return b.Schedule == nil }) // that many of the first
	wide := wideRidge
	if scheduled > 0 {
		wide = ridge
	}
	for n, b := range blocks {
		in := feed{name: name, stream: h}
		var err error
		if n == scheduled-1 && blocks[0].Residual.Conv != nil {
			h, err = e.stretched(blocks[:scheduled], src[n], in, wide)
		} else {
			h, err = e.whole(b, src[n], in, wide)
		}
		in.stream.close()
		if err != nil {
			return nil, "", err
		}
		name = end(b)
	}
	return h, name, nil
}

// whole fits a block outside the branches of a module, the fusion block among
// them, and fills more taps of the source's.
func (e *engine) whole(b, src *afblock.Block, in feed, wide float64, more ...*tap) (*stream, error) {
	fit := &blockFit{blk: b, in: in, ridge: ridge, wide: wide, joint: e.beside(afblock.PartPlain, b, nil) > 0}
	taps := more
	counts := e.computes(b)
	for i, at := range sizes(b, in.stream.at) {
		t := e.draw(at, counts, b.Convs()[i].Key)
		fit.targets = append(fit.targets, t)
		taps = append(taps, e.tap(src, i, t, e.coarser(i < len(b.Convs())-1)))
	}
	if err := e.pass(src, taps); err != nil {
		return nil, err
	}
	return e.block(fit)
}

// coarser is how a convolution sees a map of the source that is finer than its
// own: where the source's next convolution looks, or, for any selection, what
// is there on average, behind ReLU where one follows.
func (e *engine) coarser(relu bool) view {
	switch {
	case e.opt.For != Any:
		return nearest
	case relu:
		return pooledReLU
	}
	return pooled
}

// tap takes rows of a value of the source as a target.
type tap struct {
	name string
	*target
	view view
}

// draw samples positions of a map for a target.
func (e *engine) draw(at afblock.Size, counts func(int) bool, salt string) *target {
	return &target{sample: draw(e.opt.Rows, e.run.clips, e.run.frames, at, counts, e.opt.Seed, salt)}
}

// tap looks at what a source block's i-th convolution makes, or, of the last,
// at the block's sum.
func (e *engine) tap(src *afblock.Block, i int, t *target, v view) *tap {
	name := output(src.Convs()[i])
	if i == len(src.Convs())-1 {
		name = names.Sum(src.Key)
	}
	return &tap{name, t, v}
}

// pass runs the source's next block on all clips, fills the taps and keeps the
// block's output for the next.
func (e *engine) pass(src *afblock.Block, taps []*tap) error {
	names := []string{end(src)}
	for _, t := range taps {
		if !slices.Contains(names, t.name) {
			names = append(names, t.name)
		}
	}
	var next *stream
	err := e.run.each(e.source, []feed{{name: e.aheadName, stream: e.ahead}}, names, e.run.all(), func(v []maps) (err error) {
		if next == nil {
			if next, err = newStream(e.run.clips*e.run.frames, v[0].c, v[0].at); err != nil {
				return err
			}
		}
		for _, t := range taps {
			m := v[slices.Index(names, t.name)]
			if t.y == nil {
				t.y = newMatrix(t.sample.rows(), m.c)
			}
			t.sample.values(m, t.view, t.y)
		}
		return e.store(next, v[0])
	})
	if err != nil {
		next.close()
		return err
	}
	e.ahead.close()
	e.ahead, e.aheadName = next, end(src)
	return nil
}
