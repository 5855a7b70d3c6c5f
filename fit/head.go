package fit

import (
	"fmt"

	"github.com/afc-project/afc/graph"
)

// head regresses the source's scores of each frame onto the averages of the
// maps that the net now ends in. Where frames are fewer than the averages, the
// ridge holds the weights to the source's: what is regressed is the difference.
func (e *engine) head(h *stream) error {
	src, dst := &e.teacher.Head.FC, &e.net.Head.FC
	theirs, err := averages(e.ahead)
	if err != nil {
		return err
	}
	ours, err := averages(h)
	if err != nil {
		return err
	}
	w, err := vector(src.Weight)
	if err != nil {
		return err
	}
	bias, err := vector(src.Bias)
	if err != nil {
		return err
	}
	classes := int(src.Weight.Dims[0])
	want, err := e.linear(theirs, w, classes)
	if err != nil {
		return err
	}
	now, err := e.linear(ours, w, classes)
	if err != nil {
		return err
	}
	rest := newMatrix(want.rows, want.cols)
	for i := range rest.v {
		rest.v[i] = want.v[i] - now.v[i]
	}
	s, err := newSystem(e.products, ours, wideRidge*e.opt.ridge)
	if err != nil {
		return fmt.Errorf("%s: %w", dst.Key, err)
	}
	sol, err := s.solve(rest, nil, false)
	if err != nil {
		return fmt.Errorf("%s: %w", dst.Key, err)
	}
	for i := range sol.fit.v {
		sol.fit.v[i] += now.v[i]
	}
	sol.lost, sol.total = spread(sol.fit, nil, want, false)
	b := make([]float32, classes)
	copy(b, bias)
	for k := range classes {
		b[k] += float32(sol.b[k])
		for i := range ours.cols {
			w[k*ours.cols+i] += sol.w[i*classes+k]
		}
	}
	dst.Weight, dst.Bias = graph.Float32s(src.Weight.Dims, w...), graph.Float32s([]int64{int64(classes)}, b...)
	e.dirty()
	e.note(dst.Key, ours.cols, want, []*solution{sol})
	return nil
}

// linear multiplies rows by a weight [outputs, inputs].
func (e *engine) linear(x *matrix, w []float32, outputs int) (*matrix, error) {
	t := make([]float32, len(w))
	for k := range outputs {
		for i := range x.cols {
			t[i*outputs+k] = w[k*x.cols+i]
		}
	}
	out := newMatrix(x.rows, outputs)
	return out, e.products.times(out, x, t)
}

// averages returns the average of each frame's maps.
func averages(s *stream) (*matrix, error) {
	out := newMatrix(s.frames, s.c)
	area := s.at[0] * s.at[1]
	v := make([]float32, s.perFrame())
	for f := range s.frames {
		if err := s.read(f, v); err != nil {
			return nil, err
		}
		for c := range s.c {
			var sum float64
			for _, x := range v[c*area : (c+1)*area] {
				sum += float64(x)
			}
			out.row(f)[c] = float32(sum / float64(area))
		}
	}
	return out, nil
}
