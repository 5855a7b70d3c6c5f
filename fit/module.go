package fit

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
)

// module fits an AF module: the blocks of both branches side by side, the mix of
// their ends, and the fusion block. It takes over what the module reads.
func (e *engine) module(i int, h *stream, name string, first int) (*stream, string, error) {
	stage := e.net.Stages[i]
	m, src := stage.AF, e.teacher.Stages[i].Blocks
	w := &moduleFit{
		engine: e, stage: stage, m: m, src: src,
		ample: feed{name: name, stream: h.share()}, focal: feed{name: name, stream: h},
	}
	defer func() { w.ample.stream.close(); w.focal.stream.close() }()
	if m.Ample[0].Residual.Conv != nil {
		if err := w.pickChannels(); err != nil {
			return nil, "", err
		}
	}
	for n := range m.Focal {
		if err := w.step(n, first+n); err != nil {
			return nil, "", err
		}
	}
	if err := w.mix(); err != nil {
		return nil, "", err
	}
	model, err := e.student()
	if err != nil {
		return nil, "", err
	}
	mixed, err := e.keep(model, []feed{w.ample, w.focal}, names.Relu(names.Gate(stage.Name)))
	if err != nil {
		return nil, "", err
	}
	defer mixed.close()
	out, err := e.whole(m.Fusion, src[len(src)-1], feed{name: names.Relu(names.Gate(stage.Name)), stream: mixed}, ridge)
	return out, end(m.Fusion), err
}

// moduleFit is the work on one AF module.
type moduleFit struct {
	*engine
	stage        *afblock.Stage
	m            *afblock.AFModule // of the stage
	src          []*afblock.Block
	ample, focal feed // what the branches' next blocks read

	// The ample branch's stream stands for the source's channels: for some of
	// them, or for a mix that was found with its first block.
	channels []int
	basis    *mat.Dense // [ample channels, source channels]

	mixTarget *target // the source's sum, where the branches are mixed
}

// pickChannels picks the channels of the source's stream that the ample branch's
// stands for.
func (w *moduleFit) pickChannels() error {
	last := w.src[len(w.src)-2]
	var t *target
	err := w.run.each(w.source, []feed{{name: w.aheadName, stream: w.ahead}}, []string{names.Sum(last.Key)}, w.run.all(), func(v []maps) error {
		if t == nil {
			t = w.draw(v[0].at, nil, "channels")
			t.y = newMatrix(t.sample.rows(), v[0].c)
		}
		t.sample.values(v[0], nearest, t.y)
		return nil
	})
	if err != nil {
		return err
	}
	end := w.m.Ample[len(w.m.Ample)-1]
	w.channels, err = w.subset(end.Key, t.y, end.Out())
	return err
}

// subset picks n columns whose ReLU tells most of the others': greedily, by
// pivoted Cholesky of the covariance. Key is of what they are for.
func (e *engine) subset(key string, z *matrix, n int) ([]int, error) {
	x := &matrix{z.rows, z.cols, append([]float32(nil), z.v...)}
	for i, v := range x.v {
		x.v[i] = max(v, 0)
	}
	x.centre(nil)
	g, err := e.products.summed(e.products.gram, x)
	if err != nil {
		return nil, err
	}
	for _, v := range g {
		if v-v != 0 {
			return nil, fmt.Errorf("%s: %w", key, errNotFinite)
		}
	}
	return pivots(g, z.cols, n), nil
}

// pivots picks n of the variables of a covariance [k, k], each time the one
// that, taken out, takes most of the others' with it. g is used up.
func pivots(g []float64, k, n int) []int {
	taken := make([]bool, k)
	var rounding float64 // what is smaller is nothing but that
	for c := range k {
		rounding = max(rounding, 1e-6*g[c*k+c])
	}
	for range min(n, k) {
		best, most := slices.Index(taken, false), math.Inf(-1) // where nothing is left to tell, any will do
		for c := range k {
			if taken[c] || g[c*k+c] <= rounding {
				continue
			}
			var gain float64
			for r := range k {
				gain += g[r*k+c] * g[r*k+c]
			}
			if gain /= g[c*k+c]; gain > most {
				best, most = c, gain
			}
		}
		taken[best] = true
		d := g[best*k+best]
		if d <= rounding {
			continue
		}
		column := make([]float64, k)
		for r := range k {
			column[r] = g[r*k+best]
		}
		for r := range k {
			for c := range k {
				g[r*k+c] -= column[r] * column[c] / d
			}
		}
	}
	var out []int
	for c, t := range taken {
		if t {
			out = append(out, c)
		}
	}
	return out
}

// step fits the n-th block of both branches.
func (w *moduleFit) step(n, block int) error {
	src, ample, focal := w.src[n], w.m.Ample[n], w.m.Focal[n]
	mask := feed{name: names.Mask(w.m.Navigation[n].Key), scalar: w.masks[block]}
	a := &blockFit{blk: ample, in: w.ample, ridge: ridge, wide: ridge}
	f := &blockFit{blk: focal, in: w.focal, mask: &mask, ridge: ridge, wide: ridge}
	selected := func(frame int) bool { return mask.scalar[frame] > 0 }
	if slices.Max(mask.scalar) == 0 {
		selected = nil
	}
	var taps []*tap
	fine, last := sizes(focal, w.focal.stream.at), len(focal.Convs())-1
	f.joint = w.beside(afblock.PartFocal, focal, w.stage) > 0
	for i, at := range fine {
		counts := selected
		if i == last && w.skippedCount() {
			counts = nil // skipped frames get this convolution's answer too
		}
		t := w.draw(at, counts, focal.Convs()[i].Key)
		f.targets = append(f.targets, t)
		taps = append(taps, w.tap(src, i, t, w.coarser(i < last)))
	}
	for i, at := range sizes(ample, w.ample.stream.at) {
		t, v := w.draw(at, nil, ample.Convs()[i].Key), mean
		if at == fine[i] {
			v = w.coarser(i < last)
		}
		a.targets = append(a.targets, t)
		taps = append(taps, w.tap(src, i, t, v))
	}
	if n == len(w.m.Focal)-1 {
		w.mixTarget = w.draw(fine[last], nil, focal.Key+".mix")
		taps = append(taps, w.tap(src, last, w.mixTarget, nearest))
	}
	if err := w.pass(src, taps); err != nil {
		return err
	}
	next, err := w.ampleBlock(a, n)
	if err != nil {
		return err
	}
	w.ample.stream.close()
	w.ample = feed{name: end(ample), stream: next}
	if slices.Max(mask.scalar) > 0 {
		next, err = w.block(f)
	} else {
		next, err = w.idle(f)
	}
	if err != nil {
		return err
	}
	w.focal.stream.close()
	w.focal = feed{name: end(focal), stream: next}
	return nil
}

// ampleBlock fits an ample block. Its inner channels stand for those of the
// source's that tell most of the others.
func (w *moduleFit) ampleBlock(b *blockFit, n int) (*stream, error) {
	last := len(b.blk.Convs()) - 1
	for i, c := range b.blk.Convs()[:last] {
		s, err := w.subset(c.Key, b.targets[i].y, c.Out())
		if err != nil {
			return nil, err
		}
		b.targets[i].y = b.targets[i].y.pick(s)
	}
	t := b.targets[last]
	switch {
	case w.channels != nil:
		t.y = t.y.pick(w.channels)
		b.joint = b.blk.Residual.Conv != nil
	case n > 0:
		t.y = project(t.y, w.basis)
	default:
		return w.firstAmple(b)
	}
	return w.block(b)
}

// firstAmple fits the ample branch's first block where its residual path is the
// module's input itself. Main and residual path are regressed onto all of the
// source's channels; what the residual path's part cannot be, for lack of a
// convolution, becomes the basis of the branch.
func (w *moduleFit) firstAmple(b *blockFit) (*stream, error) {
	last := len(b.blk.Convs()) - 1
	for i, c := range b.blk.Convs()[:last] {
		if err := w.inner(b, c, b.targets[i]); err != nil {
			return nil, err
		}
	}
	c, t := b.blk.Convs()[last], b.targets[last]
	x, err := w.jointInputs(b, t.sample)
	if err != nil {
		return nil, err
	}
	own := c.In() * c.Kernel() * c.Kernel()
	sol, err := w.regress(c.Key, x, t.y, nil, wideRidge, false)
	if err != nil {
		return nil, err
	}
	outs := len(sol.b)
	side := mat.NewDense(outs, c.Out(), nil) // of the residual path's channels to the source's
	main := mat.NewDense(outs, own, nil)
	for o := range outs {
		for i := range own {
			main.Set(o, i, float64(sol.w[i*outs+o]))
		}
		for i := range c.Out() {
			side.Set(o, i, float64(sol.w[(own+i)*outs+o]))
		}
	}
	if w.basis, err = pseudoInverse(side, basisCut); err != nil {
		return nil, fmt.Errorf("%s: %w", c.Key, err)
	}
	var weight mat.Dense
	weight.Mul(w.basis, main)
	var bias mat.VecDense
	bias.MulVec(w.basis, mat.NewVecDense(outs, sol.b))
	kernel, shift := make([]float32, c.Out()*own), make([]float32, c.Out())
	for k := range c.Out() {
		shift[k] = float32(bias.AtVec(k))
		for i := range own {
			kernel[k*own+i] = float32(weight.At(k, i))
		}
	}
	setConv(c, kernel, shift)
	w.dirty()
	w.note(c.Key, x.cols, t.y, []*solution{sol})
	return w.advance(b)
}

// basisCut is the part of the largest singular value below which a direction of
// the residual path counts for nothing.
const basisCut = 0.05

// pseudoInverse inverts the directions of a whose singular value is above cut
// times the largest.
func pseudoInverse(a *mat.Dense, cut float64) (*mat.Dense, error) {
	var svd mat.SVD
	if !svd.Factorize(a, mat.SVDThin) {
		return nil, errNotFinite
	}
	s := svd.Values(nil)
	var u, v mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	for i, x := range s {
		f := 0.0
		if x > cut*s[0] {
			f = 1 / x
		}
		for r := range v.RawMatrix().Rows {
			v.Set(r, i, v.At(r, i)*f)
		}
	}
	var out mat.Dense
	out.Mul(&v, u.T())
	return &out, nil
}

// project returns the rows of y times the transpose of basis.
func project(y *matrix, basis *mat.Dense) *matrix {
	rows, cols := basis.Dims()
	out := newMatrix(y.rows, rows)
	raw := basis.RawMatrix().Data
	for i := range y.rows {
		from, to := y.row(i), out.row(i)
		for k := range rows {
			var sum float64
			for c, b := range raw[k*cols : (k+1)*cols] {
				sum += b * float64(from[c])
			}
			to[k] = float32(sum)
		}
	}
	return out
}

// mix fits the base transform to what the focal branch lacks of the source, and
// for a fixed schedule the size of each of the focal branch's channels with it.
func (w *moduleFit) mix() error {
	t := w.mixTarget
	if w.m.Focal[len(w.m.Focal)-1].Act == afblock.ReLU { // of one block alone: its stream has nothing below zero either
		for i, v := range t.y.v {
			t.y.v[i] = max(v, 0)
		}
	}
	a := newMatrix(t.sample.rows(), w.ample.stream.c)
	f := newMatrix(t.sample.rows(), w.focal.stream.c)
	feeds := []feed{w.ample, w.focal}
	err := w.run.each(w.source, feeds, []string{w.ample.name, w.focal.name}, t.sample.clips, func(v []maps) error {
		t.sample.values(v[0], nearest, a)
		t.sample.values(v[1], nearest, f)
		return nil
	})
	if err != nil {
		return err
	}
	key := w.m.Transform.Key
	s, err := newSystem(w.products, a, ridge*w.opt.ridge)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	share, gate := constant(f.cols, 0.5), constant(f.cols, 0.5)
	if w.opt.For != Any {
		if share, err = w.shares(s, f, t.y); err != nil {
			return err
		}
		if gate, err = w.give(share); err != nil {
			return err
		}
	}
	want := newMatrix(f.rows, f.cols)
	for i := range f.rows {
		for c, y := range t.y.row(i) {
			want.row(i)[c] = (y - share[c]*f.row(i)[c]) / gate[c]
		}
	}
	sol, err := s.solve(want, nil, false)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	setRows(w.m.Transform, []*solution{sol}, 0, a.cols, true)
	w.dirty()
	for i := range f.rows { // of the mix, not of the transform alone
		for c := range f.cols {
			sol.fit.row(i)[c] = gate[c]*sol.fit.row(i)[c] + share[c]*f.row(i)[c]
		}
	}
	sol.lost, sol.total = spread(sol.fit, nil, t.y, true)
	w.note(key, a.cols, want, []*solution{sol})
	return nil
}

// shares regresses the target onto both branches at once, and returns each
// channel's factor of the focal branch.
func (w *moduleFit) shares(s *system, f, y *matrix) ([]float32, error) {
	var left [2]*matrix // of the focal branch and of the target, what ample cannot tell
	for i, m := range []*matrix{f, y} {
		sol, err := s.solve(m, nil, false)
		if err != nil {
			return nil, err
		}
		left[i] = m.less(sol.fit)
	}
	share := make([]float32, f.cols)
	for c := range share {
		var fy, ff float64
		for i := range f.rows {
			a, b := float64(left[0].row(i)[c]), float64(left[1].row(i)[c])
			fy, ff = fy+a*b, ff+a*a
		}
		share[c] = float32(min(max(fy/max(ff, 1e-6), minShare), maxShare))
	}
	return share, nil
}

// The focal branch's share of a channel is kept within minShare and maxShare. A
// gate leaves the ample branch minGate.
const minShare, maxShare, minGate = 0.05, 4, 0.01

// give makes the focal branch's shares so, and returns the ample branch's: the
// gate, a half each as its second layer is zero, stays, and the focal branch's
// stream is scaled. Where that would scale what the module reads, for want of a
// convolution on the first residual path, the gate gets biases.
func (w *moduleFit) give(share []float32) (gate []float32, err error) {
	if w.m.Focal[0].Residual.Conv != nil {
		scale := make([]float32, len(share))
		for c, s := range share {
			scale[c] = 2 * s
		}
		if err := scaleStream(w.m.Focal, scale); err != nil {
			return nil, err
		}
		w.dirty()
		return constant(len(share), 0.5), rescale(w.focal.stream, scale)
	}
	gate = make([]float32, len(share))
	for c, s := range share {
		share[c] = min(s, 1-minGate)
		gate[c] = 1 - share[c]
	}
	setGate(&w.m.Gate, gate)
	w.dirty()
	return gate, nil
}

// rescale scales a stream's channels.
func rescale(s *stream, scale []float32) error {
	area := s.at[0] * s.at[1]
	v := make([]float32, s.perFrame())
	for frame := range s.frames {
		if err := s.read(frame, v); err != nil {
			return err
		}
		for i := range v {
			v[i] *= scale[i/area]
		}
		if err := s.write(frame, v); err != nil {
			return err
		}
	}
	return nil
}

func constant(n int, v float32) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = v
	}
	return out
}
