package verify

import (
	"fmt"
	"math"
	"slices"

	"github.com/afc-project/afc/graph"
)

// Tolerance is how far a value may lie from the wanted one. An element passes
// when |got − want| ≤ Abs + Rel·|want| + Scale·max|want|, the maximum taken
// over the output. Scale suits outputs with zero crossings, such as logits,
// where an element's own size says nothing about its rounding error.
type Tolerance struct {
	Name            string
	Abs, Rel, Scale float64

	// Stat, where it is set, is the figure of the errors (ErrorStats) that must be
	// within Abs, or of the relative errors within Rel, in place of every element.
	Stat     string
	Rounding float64 // what float32 rounds of the output, where Scale goes by it
}

func (t Tolerance) String() string {
	if t.Stat != "" {
		return fmt.Sprintf("%s abs %.1e or rel %.1e", t.Stat, t.Abs, t.Rel)
	}
	s := ""
	for _, p := range []struct {
		name string
		v    float64
	}{{"abs", t.Abs}, {"rel", t.Rel}, {"of max", t.Scale}} {
		if p.v == 0 {
			continue
		}
		if s != "" {
			s += " + "
		}
		if p.name == "of max" {
			s += fmt.Sprintf("%.1e of max", p.v)
		} else {
			s += fmt.Sprintf("%s %.1e", p.name, p.v)
		}
	}
	if s == "" {
		return "equal"
	}
	if t.Rounding > 0 {
		s += fmt.Sprintf(", float32 rounds %.1e", t.Rounding)
	}
	return s
}

// The named tolerances, in parts of the output's largest magnitude.
var (
	// Exact: the same operators on the same machine.
	Exact = Tolerance{Name: "exact"}
	// Reordered: the same arithmetic summed in another order or fused.
	Reordered = Tolerance{Name: "reordered", Scale: 1e-5}
	// Folded: constants folded into weights, batch norm folded, other kernels.
	Folded = Tolerance{Name: "folded", Scale: 1e-4}
	// Device: another provider's kernels, float32 with its own approximations.
	Device = Tolerance{Name: "device", Scale: 1e-3}
	// Interpreted: float32 and folded batch norm against float64.
	Interpreted = Tolerance{Name: "interpreted", Scale: 2e-5}
	// Half: float32 against a network that rounds every layer to half precision.
	Half = Tolerance{Name: "half", Scale: 2e-2}
)

// tol widens a tolerance to what a file that does not compute in float32 may
// lose by rounding.
func (p *prover) tol(t Tolerance) Tolerance {
	if p.s != nil && p.s.Rounding > t.Scale {
		t = Tolerance{Name: t.Name, Scale: p.s.Rounding}
	}
	return t
}

// tieMargin is the navigation margin, in parts of the largest one, under which
// rounding may flip a frame: such a flip is not a numeric fault.
func (p *prover) tieMargin() float64 { return max(1e-5, p.s.Rounding) }

// atLeast widens a tolerance to one unit in the last place of outputs of half
// precision: what is equal before that rounding may fall on either side of it.
func (t Tolerance) atLeast(d graph.DataType) Tolerance {
	switch d {
	case graph.Float16:
		t.Scale = max(t.Scale, 0x1p-10)
	case graph.BFloat16:
		t.Scale = max(t.Scale, 0x1p-7)
	}
	return t
}

// Difference is how two tensors of the same shape differ. NaNs in the same
// place, and infinities of the same sign, are equal.
type Difference struct {
	Check  string  `json:"check,omitempty"` // of the report, that compared
	Output string  `json:"output"`
	Dims   []int64 `json:"dims"`
	MaxAbs float64 `json:"max_abs"` // worst |got − want| where both are finite
	MaxRel float64 `json:"max_rel"` // worst |got − want| / |want|, want ≠ 0
	Mean   float64 `json:"mean_abs"`
	Peak   float64 `json:"peak"`   // max |want|, finite elements
	Cosine float64 `json:"cosine"` // of the two as vectors, finite elements; 1 if both are zero
	// Needed is the Scale with which a Tolerance of nothing else would pass,
	// Limit the Scale of the tolerance it was compared with.
	Needed float64 `json:"needed"`
	Limit  float64 `json:"limit"`
	// NeededAbs is the Abs which, beside the tolerance's Rel, would pass.
	NeededAbs float64 `json:"needed_abs"`
	// NeededRel is the Rel which, beside the tolerance's Abs, would pass; -1
	// where none would, as zero is wanted.
	NeededRel float64 `json:"needed_rel"`
	// Index is where the largest excess lies, Got and Want what stands there.
	Index []int64 `json:"index"`
	Got   float64 `json:"-"`
	Want  float64 `json:"-"`
	// Bad counts elements beyond the tolerance, NonFinite those among them
	// where one side is NaN or infinite and the other is not the same.
	Bad       int64 `json:"bad"`
	NonFinite int64 `json:"non_finite"`
	Count     int64 `json:"count"`
	// Statistics are those of both outputs and of the errors; absent where they
	// were not taken.
	Statistics *Statistics `json:"statistics,omitempty"`
}

// OK reports whether every element passed.
func (d Difference) OK() bool { return d.Bad == 0 }

// Where names the worst element and what stands there, "" if all are equal.
func (d Difference) Where() string {
	if d.MaxAbs == 0 && d.NonFinite == 0 {
		return ""
	}
	return fmt.Sprintf("%s%v: got %.6g, want %.6g", d.Output, d.Index, d.Got, d.Want)
}

// Figure is the error in parts of the output's largest magnitude, or the count
// of NaNs and infinities.
func (d Difference) Figure() string {
	if d.NonFinite > 0 {
		return fmt.Sprintf("%d NaN or infinite", d.NonFinite)
	}
	if d.MaxAbs == 0 {
		return "equal"
	}
	if d.Peak == 0 {
		return fmt.Sprintf("%.1e where all is zero", d.MaxAbs)
	}
	return fmt.Sprintf("%.1e of max", d.Needed)
}

// CompareFully is Compare with statistics.
func CompareFully(output string, got, want *graph.Tensor, tol Tolerance) (Difference, error) {
	d, err := Compare(output, got, want, tol)
	if err != nil {
		return d, err
	}
	g, err := float64s(got)
	if err != nil {
		return d, err
	}
	w, err := float64s(want)
	if err != nil {
		return d, err
	}
	d.Statistics = statisticsOf(g, w)
	if tol.Stat != "" {
		within := d.Statistics.Abs.of(tol.Stat) <= tol.Abs || d.Statistics.Rel.of(tol.Stat) <= tol.Rel
		switch {
		case within:
			d.Bad = d.NonFinite
		case d.Bad == 0:
			d.Bad = 1
		}
	}
	return d, nil
}

// Compare compares an output with what it should be. Shapes or element types
// that differ are an error. Types other than floats are compared as integers.
func Compare(output string, got, want *graph.Tensor, tol Tolerance) (Difference, error) {
	d := Difference{Output: output, Dims: want.Dims}
	if got.DType != want.DType || !slices.Equal(got.Dims, want.Dims) {
		return d, fmt.Errorf("output %q is %s%v, want %s%v", output, got.DType, got.Dims, want.DType, want.Dims)
	}
	g, err := float64s(got)
	if err != nil {
		return d, err
	}
	w, err := float64s(want)
	if err != nil {
		return d, err
	}
	d.compare(g, w, tol)
	return d, nil
}

func (d *Difference) compare(got, want []float64, tol Tolerance) {
	d.Count, d.Limit = int64(len(want)), tol.Scale
	for _, w := range want {
		if a := math.Abs(w); !math.IsInf(a, 0) && a > d.Peak {
			d.Peak = a
		}
	}
	worst, at := -1.0, 0
	var sum, dot, gg, ww float64
	for i, w := range want {
		g := got[i]
		if !finite(g) || !finite(w) {
			if g == w || math.IsNaN(g) && math.IsNaN(w) {
				continue
			}
			d.Bad++
			d.NonFinite++
			if worst < math.MaxFloat64 {
				worst, at = math.MaxFloat64, i
			}
			continue
		}
		e := math.Abs(g - w)
		sum += e
		dot, gg, ww = dot+g*w, gg+g*g, ww+w*w
		d.MaxAbs = max(d.MaxAbs, e)
		if w != 0 {
			d.MaxRel = max(d.MaxRel, e/math.Abs(w))
		}
		excess := e - tol.Rel*math.Abs(w)
		d.NeededAbs = max(d.NeededAbs, excess)
		if over := e - tol.Abs; over > 0 && d.NeededRel >= 0 {
			if d.NeededRel = max(d.NeededRel, over/math.Abs(w)); math.IsInf(d.NeededRel, 0) {
				d.NeededRel = -1
			}
		}
		if excess > tol.Abs+tol.Scale*d.Peak {
			d.Bad++
		}
		if excess > worst {
			worst, at = excess, i
		}
	}
	if d.Count == 0 {
		d.Cosine = 1
		return
	}
	d.Mean = sum / float64(d.Count)
	switch {
	case d.Peak > 0:
		d.Needed = d.MaxAbs / d.Peak
	case d.MaxAbs > 0:
		d.Needed = math.MaxFloat64 // zeros wanted: no scale to measure by
	}
	d.Cosine = cosine(dot, gg, ww)
	d.Index, d.Got, d.Want = unflatten(at, d.Dims), got[at], want[at]
}

func cosine(dot, aa, bb float64) float64 {
	switch {
	case aa == 0 && bb == 0:
		return 1
	case aa == 0 || bb == 0:
		return 0
	}
	return dot / math.Sqrt(aa) / math.Sqrt(bb)
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// unflatten turns an element's row-major number into its index.
func unflatten(i int, dims []int64) []int64 {
	index := make([]int64, len(dims))
	for k := len(dims) - 1; k >= 0; k-- {
		index[k] = int64(i) % dims[k]
		i /= int(dims[k])
	}
	return index
}

// float64s returns a tensor's elements, floats (at float32's precision) or
// integers; 8-bit floats as their codes, which are equal or not.
func float64s(t *graph.Tensor) ([]float64, error) {
	if t.DType.IsFloat() {
		f, err := t.Float32s()
		if err != nil {
			return nil, err
		}
		return widen(f), nil
	}
	if t.DType >= graph.Float8E4M3FN && t.DType.Size() == 1 {
		codes, err := t.Bytes()
		if err != nil {
			return nil, err
		}
		return widen(codes), nil
	}
	n, err := t.Int64s()
	if err != nil {
		return nil, err
	}
	return widen(n), nil
}

func widen[T float32 | int64 | byte](x []T) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}
