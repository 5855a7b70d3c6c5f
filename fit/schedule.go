package fit

import (
	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
)

// computes says which frames a block computes by its schedule; nil: all.
func (e *engine) computes(b *afblock.Block) func(frame int) bool {
	if b.Schedule == nil {
		return nil
	}
	on := b.Schedule.Select(e.run.frames)
	return func(frame int) bool { return on[frame%e.run.frames] }
}

// stretched fits the last of the blocks with a schedule that begin a stage, and
// then the size of each channel of their stream, as the mix of a module does for
// its focal branch: what half of the frames tell is too little to trust in full.
func (e *engine) stretched(blocks []*afblock.Block, src *afblock.Block, in feed, wide float64) (*stream, error) {
	b := blocks[len(blocks)-1]
	at := sizes(b, in.stream.at)
	t := e.draw(at[len(at)-1], nil, b.Key+".stretch")
	out, err := e.whole(b, src, in, wide, e.tap(src, len(src.Convs())-1, t, nearest))
	if err != nil {
		return nil, err
	}
	out.close()
	m, err := e.student()
	if err != nil {
		return nil, err
	}
	f := newMatrix(t.y.rows, t.y.cols)
	err = e.run.each(m, []feed{in}, []string{names.Sum(b.Key)}, t.sample.clips, func(v []maps) error {
		t.sample.values(v[0], nearest, f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	scale, shift := slopes(f, t.y)
	if err := scaleStream(blocks, scale); err != nil {
		return nil, err
	}
	if err := addBias(b.Convs()[len(b.Convs())-1], shift); err != nil {
		return nil, err
	}
	if len(blocks) > 1 {
		if err := rescale(in.stream, scale); err != nil {
			return nil, err
		}
	}
	e.dirty()
	return e.advance(&blockFit{blk: b, in: in})
}

// slopes regresses each column of y onto the same of x: y ≈ scale·x + shift, the
// scale between minShare and maxShare.
func slopes(x, y *matrix) (scale, shift []float32) {
	mx, my := x.means(), y.means()
	scale, shift = make([]float32, x.cols), make([]float32, x.cols)
	for c := range scale {
		var xy, xx float64
		for i := range x.rows {
			dx, dy := float64(x.row(i)[c])-mx[c], float64(y.row(i)[c])-my[c]
			xy, xx = xy+dx*dy, xx+dx*dx
		}
		s := min(max(xy/max(xx, 1e-6), minShare), maxShare)
		scale[c], shift[c] = float32(s), float32(my[c]-s*mx[c])
	}
	return scale, shift
}
