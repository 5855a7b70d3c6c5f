package fit

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// system is a ridge regression onto fixed inputs, ready for any targets: inputs
// centred, their Gram matrix with the ridge on its diagonal factored once.
type system struct {
	p    *products
	x    *matrix   // centred
	mean []float64 // of the inputs
	chol blas64.Triangular
}

// newSystem takes x over. The ridge is in parts of the diagonal's mean.
func newSystem(p *products, x *matrix, ridge float64) (*system, error) {
	s := &system{p: p, x: x, mean: x.centre(nil)}
	g, err := p.summed(p.gram, x)
	if err != nil {
		return nil, err
	}
	n := x.cols
	var trace float64
	for i := range n {
		trace += g[i*n+i]
	}
	if math.IsNaN(trace) || math.IsInf(trace, 0) {
		return nil, errNotFinite
	}
	if trace == 0 {
		return nil, errConstant
	}
	for i := range n {
		g[i*n+i] += ridge * trace / float64(n)
	}
	chol, ok := lapack64.Potrf(blas64.Symmetric{N: n, Stride: n, Data: g, Uplo: blas.Upper})
	if !ok {
		return nil, fmt.Errorf("BUG: a Gram matrix with a ridge is not positive definite")
	}
	s.chol = chol
	return s, nil
}

// centre takes the columns' means off, or those given, and returns them.
func (m *matrix) centre(mean []float64) []float64 {
	if mean == nil {
		mean = make([]float64, m.cols)
		for i := range m.rows {
			for c, v := range m.row(i) {
				mean[c] += float64(v)
			}
		}
		for c := range mean {
			mean[c] /= float64(m.rows)
		}
	}
	for i := range m.rows {
		row := m.row(i)
		for c := range row {
			row[c] -= float32(mean[c])
		}
	}
	return mean
}

// solution is what a regression found: y ≈ x·w + b.
type solution struct {
	w []float32 // [inputs][outputs]
	b []float64
	// fit is x·w + b on the rows of the regression.
	fit *matrix
	// lost and total are the squared error, by output, and the targets' spread
	// about their mean; of what ReLU leaves where the regression minds that.
	lost, total []float64
}

// reluRounds is how often a regression that minds ReLU solves anew.
const reluRounds = 4

// solve regresses y less what is added to the answer, if anything is, onto the
// inputs. With relu, what matters is ReLU of the sum: where y is not positive,
// any sum that is not positive is right, so that the target becomes min(sum, 0),
// again and again.
func (s *system) solve(y, added *matrix, relu bool) (*solution, error) {
	target := y.less(added)
	b := target.means()
	sol := &solution{fit: newMatrix(y.rows, y.cols)}
	rounds := 1
	if relu {
		rounds += reluRounds
	}
	for round := range rounds {
		if round > 0 {
			for i, t := range y.v {
				rest := float32(0)
				if added != nil {
					rest = added.v[i]
				}
				if t <= 0 {
					t = min(sol.fit.v[i]+rest, 0)
				}
				target.v[i] = t - rest
			}
			b = target.means()
		}
		target.centre(b)
		if err := s.weights(sol, target); err != nil {
			return nil, err
		}
		for i := range y.rows {
			for c := range y.cols {
				sol.fit.v[i*y.cols+c] += float32(b[c])
			}
		}
	}
	sol.b = b
	for c := range sol.b {
		for k, m := range s.mean {
			sol.b[c] -= m * float64(sol.w[k*y.cols+c])
		}
	}
	if relu {
		sol.lost, sol.total = spread(sol.fit, added, y, true)
	} else {
		sol.lost, sol.total = spread(sol.fit, nil, y.less(added), false)
	}
	return sol, nil
}

// less returns m − other; nil is zero.
func (m *matrix) less(other *matrix) *matrix {
	out := newMatrix(m.rows, m.cols)
	copy(out.v, m.v)
	if other != nil {
		for i, v := range other.v {
			out.v[i] -= v
		}
	}
	return out
}

// weights solves for centred targets.
func (s *system) weights(sol *solution, target *matrix) error {
	n, k := s.x.cols, target.cols
	rhs, err := s.p.summed(s.p.cross, s.x, target)
	if err != nil {
		return err
	}
	lapack64.Potrs(s.chol, blas64.General{Rows: n, Cols: k, Stride: k, Data: rhs})
	sol.w = make([]float32, len(rhs))
	for i, v := range rhs {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return errNotFinite
		}
		sol.w[i] = float32(v)
	}
	return s.p.times(sol.fit, s.x, sol.w)
}

// means returns the columns' means.
func (m *matrix) means() []float64 {
	mean := make([]float64, m.cols)
	for i := range m.rows {
		for c, v := range m.row(i) {
			mean[c] += float64(v)
		}
	}
	for c := range mean {
		mean[c] /= float64(m.rows)
	}
	return mean
}

// spread returns by column the squared differences of got, with what is added to
// it if anything is, and want, and of want and its mean; relu looks at what ReLU
// leaves of both.
func spread(got, added, want *matrix, relu bool) (lost, total []float64) {
	lost, total = make([]float64, want.cols), make([]float64, want.cols)
	sum := make([]float64, want.cols)
	for i := range want.rows {
		for c, w := range want.row(i) {
			g := got.v[i*want.cols+c]
			if added != nil {
				g += added.v[i*want.cols+c]
			}
			if relu {
				g, w = max(g, 0), max(w, 0)
			}
			d := float64(g) - float64(w)
			lost[c] += d * d
			sum[c] += float64(w)
			total[c] += float64(w) * float64(w)
		}
	}
	for c := range total {
		total[c] = max(total[c]-sum[c]*sum[c]/float64(want.rows), 0)
	}
	return lost, total
}

// relative is the part of the spread that was lost.
func relative(lost, total []float64) float64 {
	var l, t float64
	for c := range lost {
		l, t = l+lost[c], t+total[c]
	}
	if t == 0 {
		return 0
	}
	return l / t
}
