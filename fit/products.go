package fit

import (
	"context"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

// products multiplies matrices on ONNX Runtime, whose kernels are several times
// faster than any in Go: of chunks of rows, so that memory stays small; their sums
// are carried in float64.
type products struct {
	ctx   context.Context
	gram  *ort.Session // X → Xᵀ·X
	cross *ort.Session // X, Y → Xᵀ·Y
	apply *ort.Session // X, W → X·W
}

// chunk is how many rows are multiplied at once, and so summed in float32.
const chunk = 8192

func newProducts(ctx context.Context, opt ort.SessionOptions) (*products, error) {
	p := &products{ctx: ctx}
	opt.NoArena = true // matrices of every size come by, and four sessions would keep the largest
	var err error
	load := func(inputs int, transposed bool) *ort.Session {
		if err != nil {
			return nil
		}
		m := graph.NewModel("product", 8, 13)
		g := m.Graph
		shape := func() graph.Type {
			return graph.TensorType(graph.Float32, graph.Shape{graph.Sym("a"), graph.Sym("b")})
		}
		x := g.AddInput("x", shape())
		left, right := x, x
		if inputs == 2 {
			t := graph.TensorType(graph.Float32, graph.Shape{graph.Sym("c"), graph.Sym("d")})
			right = g.AddInput("y", t)
		}
		if transposed {
			left = g.NewNode("Transpose", "left", []*graph.Value{x}, 1, graph.Ints("perm", 1, 0)).Output(0)
		}
		z := g.NewNode("MatMul", "product", []*graph.Value{left, right}, 1).Output(0)
		z.Type = graph.TensorType(graph.Float32, graph.Shape{graph.Sym("e"), graph.Sym("f")})
		g.AddOutput(z)
		var s *ort.Session
		s, err = ort.NewSession(m, opt)
		return s
	}
	p.gram = load(1, true)
	p.cross = load(2, true)
	p.apply = load(2, false)
	return p, err
}

func (p *products) close() {
	for _, s := range []*ort.Session{p.gram, p.cross, p.apply} {
		if s != nil {
			s.Close()
		}
	}
}

// summed adds up the products of chunks of rows.
func (p *products) summed(s *ort.Session, parts ...*matrix) ([]float64, error) {
	var sum []float64
	for from := 0; from < parts[0].rows; from += chunk {
		to := min(from+chunk, parts[0].rows)
		var in []*graph.Tensor
		for _, m := range parts {
			in = append(in, tensorOf(m.v[from*m.cols:to*m.cols], to-from, m.cols))
		}
		out, err := s.Run(p.ctx, in...)
		if err != nil {
			return nil, err
		}
		v, err := valuesOf(out[0])
		if err != nil {
			return nil, err
		}
		if sum == nil {
			sum = make([]float64, len(v))
		}
		for i, x := range v {
			sum[i] += float64(x)
		}
	}
	return sum, nil
}

// times makes out of x·w, w [x.cols][out.cols].
func (p *products) times(out, x *matrix, w []float32) error {
	for from := 0; from < x.rows; from += chunk {
		to := min(from+chunk, x.rows)
		part, err := p.apply.Run(p.ctx, tensorOf(x.v[from*x.cols:to*x.cols], to-from, x.cols), tensorOf(w, x.cols, out.cols))
		if err != nil {
			return err
		}
		v, err := valuesOf(part[0])
		if err != nil {
			return err
		}
		copy(out.v[from*out.cols:], v)
	}
	return nil
}
