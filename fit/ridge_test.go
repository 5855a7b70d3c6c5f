package fit

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/afc-project/afc/verify/ort"
)

// testProducts returns products on ONNX Runtime, or skips the test.
func testProducts(t *testing.T) *products {
	t.Helper()
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	p, err := newProducts(t.Context(), ort.SessionOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

// problem makes rows of inputs that are mixtures of each other, off centre, and
// answers that a linear map gives with noise.
func problem(rows, in, out int, noise float64) (x, y *matrix) {
	rng := rand.New(rand.NewPCG(7, 11))
	mix, w := mat.NewDense(in, in, nil), mat.NewDense(in, out, nil)
	for _, m := range []*mat.Dense{mix, w} {
		for i := range m.RawMatrix().Data {
			m.RawMatrix().Data[i] = rng.NormFloat64()
		}
	}
	a := mat.NewDense(rows, in, nil)
	for i := range a.RawMatrix().Data {
		a.RawMatrix().Data[i] = rng.NormFloat64()
	}
	var mixed, b mat.Dense
	mixed.Mul(a, mix)
	b.Mul(&mixed, w)
	x, y = newMatrix(rows, in), newMatrix(rows, out)
	for i := range x.v {
		x.v[i] = float32(mixed.RawMatrix().Data[i] + 3)
	}
	for i := range y.v {
		y.v[i] = float32(b.RawMatrix().Data[i] + noise*rng.NormFloat64() - 2)
	}
	return x, y
}

// TestRidge holds the regression to least squares by QR over the same rows, the
// ridge as rows of their own: another way to the same minimum.
func TestRidge(t *testing.T) {
	p := testProducts(t)
	for _, tt := range []struct {
		name          string
		rows, in, out int
		ridge         float64
	}{
		{"one output", 200, 5, 1, 1e-3},
		{"more rows than a product takes", 2*chunk + 17, 12, 7, 1e-2},
		{"barely more rows than unknowns", 41, 40, 3, 1e-3},
		{"a heavy ridge", 500, 9, 4, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x, y := problem(tt.rows, tt.in, tt.out, 0.5)
			want := leastSquares(t, x, y, tt.ridge)
			s, err := newSystem(p, &matrix{x.rows, x.cols, append([]float32(nil), x.v...)}, tt.ridge)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.solve(y, nil, false)
			if err != nil {
				t.Fatal(err)
			}
			largest := mat.Max(want)
			for k := range tt.out {
				for i := range tt.in {
					if d := math.Abs(float64(got.w[i*tt.out+k]) - want.At(i, k)); d > 2e-4*largest {
						t.Fatalf("weight %d of output %d: got %g, want %g", i, k, got.w[i*tt.out+k], want.At(i, k))
					}
				}
				if d := math.Abs(got.b[k] - want.At(tt.in, k)); d > 2e-3*largest {
					t.Fatalf("bias of output %d: got %g, want %g", k, got.b[k], want.At(tt.in, k))
				}
			}
			for i := range y.v {
				row, k := i/tt.out, i%tt.out
				sum := got.b[k]
				for j := range tt.in {
					sum += float64(x.row(row)[j]) * float64(got.w[j*tt.out+k])
				}
				if math.Abs(sum-float64(got.fit.v[i])) > 1e-3 {
					t.Fatalf("row %d, output %d: the fit says %g, its weights %g", row, k, got.fit.v[i], sum)
				}
			}
		})
	}
}

// leastSquares solves by QR: rows of centred inputs, √ridge on each unknown
// below them, and the bias from the means. The last row of the answer is it.
func leastSquares(t *testing.T, x, y *matrix, ridge float64) *mat.Dense {
	t.Helper()
	mx, my := x.means(), y.means()
	var diagonal float64
	for i := range x.rows {
		for c, v := range x.row(i) {
			diagonal += (float64(v) - mx[c]) * (float64(v) - mx[c])
		}
	}
	a, b := mat.NewDense(x.rows+x.cols, x.cols, nil), mat.NewDense(x.rows+x.cols, y.cols, nil)
	for i := range x.rows {
		for c, v := range x.row(i) {
			a.Set(i, c, float64(v)-mx[c])
		}
		for c, v := range y.row(i) {
			b.Set(i, c, float64(v)-my[c])
		}
	}
	for c := range x.cols {
		a.Set(x.rows+c, c, math.Sqrt(ridge*diagonal/float64(x.cols)))
	}
	var qr mat.QR
	qr.Factorize(a)
	var w mat.Dense
	if err := qr.SolveTo(&w, false, b); err != nil {
		t.Fatal(err)
	}
	out := mat.NewDense(x.cols+1, y.cols, nil)
	out.Copy(&w)
	for k := range y.cols {
		bias := my[k]
		for c := range x.cols {
			bias -= mx[c] * w.At(c, k)
		}
		out.Set(x.cols, k, bias)
	}
	return out
}

// TestRidgeMindsReLU: where targets below zero are anything, weights that
// explain the rest are found only by looking through ReLU, also where something
// is added first.
func TestRidgeMindsReLU(t *testing.T) {
	p := testProducts(t)
	x, truth := problem(4000, 6, 5, 0)
	added := newMatrix(truth.rows, truth.cols)
	rng := rand.New(rand.NewPCG(3, 1))
	for i := range added.v {
		added.v[i] = float32(rng.NormFloat64())
	}
	for _, added := range []*matrix{nil, added} {
		y := truth.less(nil)
		for i := range y.v {
			if added != nil {
				y.v[i] += added.v[i]
			}
			if y.v[i] <= 0 {
				y.v[i] = -8 * rng.Float32()
			}
		}
		var residual [2]float64
		for i, relu := range []bool{false, true} {
			s, err := newSystem(p, &matrix{x.rows, x.cols, append([]float32(nil), x.v...)}, 1e-6)
			if err != nil {
				t.Fatal(err)
			}
			sol, err := s.solve(y, added, relu)
			if err != nil {
				t.Fatal(err)
			}
			residual[i] = relative(spread(sol.fit, added, y, true))
		}
		if residual[1] > residual[0]/4 {
			t.Errorf("added %v: residual behind ReLU %.4g when it is minded, %.4g when not", added != nil, residual[1], residual[0])
		}
	}
}

func TestRidgeRefuses(t *testing.T) {
	p := testProducts(t)
	x, _ := problem(50, 3, 1, 0)
	for i := range x.v {
		x.v[i] = 4
	}
	if _, err := newSystem(p, x, 1e-3); err != errConstant {
		t.Errorf("constant inputs: %v", err)
	}
	x.v[5] = float32(math.NaN())
	if _, err := newSystem(p, x, 1e-3); err != errNotFinite {
		t.Errorf("inputs of NaN: %v", err)
	}
}

// TestPivots: of variables that others tell, one each is picked; of a covariance
// that rounding alone fills up, as many as are asked for.
func TestPivots(t *testing.T) {
	p := testProducts(t)
	x, _ := problem(500, 3, 1, 0)
	doubled := newMatrix(x.rows, 6) // each column twice
	for i := range x.rows {
		for c := range 6 {
			doubled.row(i)[c] = x.row(i)[c/2]
		}
	}
	doubled.centre(nil)
	e := &engine{products: p}
	for i, v := range doubled.v {
		doubled.v[i] = v + 100 // above ReLU
	}
	got, err := e.subset("a", doubled, 3)
	if err != nil || len(got) != 3 || got[0]/2 == got[1]/2 || got[1]/2 == got[2]/2 {
		t.Errorf("columns %v, %v", got, err)
	}
	if got, err = e.subset("a", doubled, 6); err != nil || len(got) != 6 {
		t.Errorf("all columns: %v, %v", got, err)
	}
	doubled.v[7] = float32(math.NaN())
	if _, err := e.subset("a", doubled, 3); !errors.Is(err, errNotFinite) {
		t.Errorf("columns of NaN: %v", err)
	}
}
