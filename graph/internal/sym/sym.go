package sym

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/afc-project/afc/graph"
)

// Expr is an integer that is known up to symbols: a polynomial with integer
// coefficients over atoms. An atom is a dimension's symbol, or the floor of an
// expression divided by a number, written "floor(E/n)". Its text form is
// canonical: two expressions are the same exactly if their texts are, and
// parse reads them back, so that a Dim's Param carries one. A nil *Expr
// is wholly unknown.
type Expr struct {
	c     int64  // constant term
	terms []term // by atoms; coefficients not 0
}

// term is a coefficient times a product of atoms.
type term struct {
	coef  int64
	atoms []string // sorted, repeated for powers
}

// maxExprText bounds the length of expressions; longer ones are forgotten.
const maxExprText = 120

// Const is the expression of a number.
func Const(v int64) *Expr { return &Expr{c: v} }

// Const returns the value of an expression without symbols.
func (e *Expr) Const() (int64, bool) {
	if e == nil || len(e.terms) > 0 {
		return 0, false
	}
	return e.c, true
}

// Symbol is the expression of a dimension's symbol, nil for "".
func Symbol(s string) *Expr {
	if s == "" || s == "?" {
		return nil
	}
	if e := parse(s); e != nil && e.String() == s {
		if len(e.terms) == 0 {
			return nil // exporters write "-1" for unknown
		}
		return e
	}
	if !balanced(s) || len(s) > maxExprText {
		return nil // has no text form that could be told from others
	}
	return &Expr{terms: []term{{1, []string{s}}}}
}

// balanced reports whether parentheses match, so that the text may stand in
// parentheses itself.
func balanced(s string) bool {
	depth := 0
	for _, r := range s {
		switch r {
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return false
			}
		}
	}
	return depth == 0
}

func simpleName(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r != '.' && r != ':' && (r < '0' || r > '9')) {
			return false
		}
	}
	return s != ""
}

func isFloor(atom string) bool {
	return strings.HasPrefix(atom, "floor(") && strings.HasSuffix(atom, ")") && balanced(atom[6:len(atom)-1])
}

func (e *Expr) isAtom() bool {
	return len(e.terms) == 1 && e.c == 0 && e.terms[0].coef == 1 && len(e.terms[0].atoms) == 1
}

// String writes terms in order of their atoms, the constant last.
func (e *Expr) String() string {
	if e == nil {
		return "?"
	}
	if e.isAtom() {
		return e.terms[0].atoms[0] // also a symbol that is no simple name
	}
	var b strings.Builder
	for i, t := range e.terms {
		switch {
		case t.coef < 0:
			b.WriteByte('-')
		case i > 0:
			b.WriteByte('+')
		}
		if t.coef != 1 && t.coef != -1 {
			b.WriteString(strings.TrimPrefix(strconv.FormatInt(t.coef, 10), "-"))
			b.WriteByte('*')
		}
		for j, a := range t.atoms {
			if j > 0 {
				b.WriteByte('*')
			}
			if simpleName(a) || isFloor(a) {
				b.WriteString(a)
			} else {
				b.WriteString("(" + a + ")")
			}
		}
	}
	switch {
	case len(e.terms) == 0:
		b.WriteString(strconv.FormatInt(e.c, 10))
	case e.c != 0:
		fmt.Fprintf(&b, "%+d", e.c)
	}
	return b.String()
}

// parse reads what String writes, nil if s is nothing of the kind.
func parse(s string) *Expr {
	e := &Expr{}
	for rest := s; rest != ""; {
		var sign int64 = 1
		switch {
		case rest[0] == '-':
			sign, rest = -1, rest[1:]
		case rest[0] == '+' && len(rest) < len(s):
			rest = rest[1:]
		case len(rest) < len(s):
			return nil
		}
		t := Const(sign)
		for {
			f, tail := parseFactor(rest)
			if t = t.Mul(f); t == nil {
				return nil
			}
			rest = tail
			if rest == "" || rest[0] != '*' {
				break
			}
			rest = rest[1:]
		}
		if e = e.Add(t); e == nil {
			return nil
		}
	}
	if s == "" {
		return nil
	}
	return e
}

func parseFactor(s string) (f *Expr, rest string) {
	end := strings.IndexAny(s, "*+-(")
	if end < 0 {
		end = len(s)
	}
	word := s[:end]
	if end < len(s) && s[end] == '(' && (word == "" || word == "floor") {
		depth := 0
		for i := end; i < len(s); i++ {
			switch s[i] {
			case '(':
				depth++
			case ')':
				depth--
			}
			if depth == 0 {
				atom := s[:i+1]
				if word == "" {
					atom = s[1:i]
				}
				return &Expr{terms: []term{{1, []string{atom}}}}, s[i+1:]
			}
		}
		return nil, s
	}
	if v, err := strconv.ParseInt(word, 10, 64); err == nil {
		return Const(v), s[end:]
	}
	if simpleName(word) {
		return &Expr{terms: []term{{1, []string{word}}}}, s[end:]
	}
	return nil, s
}

func addChecked(a, b int64) (int64, bool) {
	s := a + b
	return s, (s > a) == (b > 0)
}

func mulChecked(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	p := a * b
	return p, p/b == a && !(a == -1 && b == math.MinInt64) && !(b == -1 && a == math.MinInt64)
}

// norm sorts and merges terms, and forgets what grew too long.
func (e *Expr) norm() *Expr {
	slices.SortFunc(e.terms, func(a, b term) int { return slices.Compare(a.atoms, b.atoms) })
	out := e.terms[:0]
	for _, t := range e.terms {
		if k := len(out) - 1; k >= 0 && slices.Equal(out[k].atoms, t.atoms) {
			sum, ok := addChecked(out[k].coef, t.coef)
			if !ok {
				return nil
			}
			out[k].coef = sum
		} else {
			out = append(out, t)
		}
	}
	e.terms = slices.DeleteFunc(out, func(t term) bool { return t.coef == 0 })
	if len(e.terms) > 16 || len(e.terms) > 0 && len(e.String()) > maxExprText {
		return nil
	}
	return e
}

// Add returns the sum.
func (e *Expr) Add(f *Expr) *Expr {
	if e == nil || f == nil {
		return nil
	}
	c, ok := addChecked(e.c, f.c)
	if !ok {
		return nil
	}
	return (&Expr{c, slices.Concat(e.terms, f.terms)}).norm()
}

// Neg returns the negative.
func (e *Expr) Neg() *Expr { return e.Mul(Const(-1)) }

// Sub returns the difference.
func (e *Expr) Sub(f *Expr) *Expr { return e.Add(f.Neg()) }

// Plus adds a number.
func (e *Expr) Plus(v int64) *Expr { return e.Add(Const(v)) }

// Mul returns the product.
func (e *Expr) Mul(f *Expr) *Expr {
	if e == nil || f == nil {
		return nil
	}
	out := &Expr{}
	ft := append([]term{{f.c, nil}}, f.terms...)
	for _, a := range append([]term{{e.c, nil}}, e.terms...) {
		for _, b := range ft {
			coef, ok := mulChecked(a.coef, b.coef)
			if !ok {
				return nil
			}
			if coef == 0 {
				continue
			}
			atoms := slices.Concat(a.atoms, b.atoms)
			if len(atoms) == 0 {
				if out.c, ok = addChecked(out.c, coef); !ok {
					return nil
				}
				continue
			}
			slices.Sort(atoms)
			out.terms = append(out.terms, term{coef, atoms})
		}
	}
	return out.norm()
}

// Equal reports whether the two are known to be the same number.
func (e *Expr) Equal(f *Expr) bool {
	if e == nil || f == nil || e.c != f.c || len(e.terms) != len(f.terms) {
		return false
	}
	for i, t := range e.terms {
		if t.coef != f.terms[i].coef || !slices.Equal(t.atoms, f.terms[i].atoms) {
			return false
		}
	}
	return true
}

// AtLeast reports whether the expression is known to be v or more, given that
// symbols are sizes, never negative.
func (e *Expr) AtLeast(v int64) bool {
	if e == nil || e.c < v {
		return false
	}
	for _, t := range e.terms {
		if t.coef < 0 {
			return false
		}
		for _, a := range t.atoms {
			// The floor of an expression that subtracts may be negative.
			if isFloor(a) && strings.Contains(a, "-") {
				return false
			}
		}
	}
	return true
}

// Over divides by a single-term expression without remainder, nil if it does
// not go.
func (e *Expr) Over(f *Expr) *Expr {
	if e == nil || f == nil {
		return nil
	}
	var d term
	switch {
	case len(f.terms) == 0:
		d = term{f.c, nil}
	case len(f.terms) == 1 && f.c == 0:
		d = f.terms[0]
	default:
		if e.Equal(f) {
			return Const(1)
		}
		return nil
	}
	if d.coef == 0 || e.c%d.coef != 0 || e.c != 0 && len(d.atoms) > 0 {
		return nil
	}
	out := &Expr{c: e.c / d.coef}
	for _, t := range e.terms {
		if t.coef%d.coef != 0 {
			return nil
		}
		atoms := slices.Clone(t.atoms)
		for _, a := range d.atoms {
			k := slices.Index(atoms, a)
			if k < 0 {
				return nil
			}
			atoms = slices.Delete(atoms, k, k+1)
		}
		if len(atoms) == 0 {
			out.c += t.coef / d.coef
		} else {
			out.terms = append(out.terms, term{t.coef / d.coef, atoms})
		}
	}
	return out.norm()
}

// FloorDiv divides by a positive number and rounds down: what divides evenly
// comes out, the rest stays in a floor atom.
func (e *Expr) FloorDiv(q int64) *Expr {
	if e == nil || q <= 0 {
		return nil
	}
	out, rest := &Expr{}, &Expr{}
	out.c = floorQuo(e.c, q)
	rest.c = e.c - out.c*q
	for _, t := range e.terms {
		if t.coef%q == 0 {
			out.terms = append(out.terms, term{t.coef / q, t.atoms})
		} else {
			rest.terms = append(rest.terms, t)
		}
	}
	if len(rest.terms) == 0 {
		return out.norm()
	}
	// ⌊(g·E + c)/(g·q)⌋ = ⌊(E + ⌊c/g⌋)/q⌋
	g := q
	for _, t := range rest.terms {
		g = gcd(g, t.coef)
	}
	if g > 1 {
		for i := range rest.terms {
			rest.terms[i].coef /= g
		}
		return out.norm().Add((&Expr{floorQuo(rest.c, g), rest.terms}).FloorDiv(q / g))
	}
	// ⌊(⌊E/p⌋ + c)/q⌋ = ⌊(E + c·p)/(p·q)⌋, which keeps the sizes behind a chain
	// of strides short.
	if t := rest.terms[0]; len(rest.terms) == 1 && t.coef == 1 && len(t.atoms) == 1 && isFloor(t.atoms[0]) {
		if e, p, ok := floorParts(t.atoms[0]); ok {
			pq, okQ := mulChecked(p, q)
			pc, okC := mulChecked(p, rest.c)
			if okQ && okC {
				return out.norm().Add(e.Plus(pc).FloorDiv(pq))
			}
		}
	}
	inner := rest.String()
	if rest.isAtom() && !simpleName(inner) && !isFloor(inner) {
		inner = "(" + inner + ")"
	}
	out.terms = append(out.terms, term{1, []string{fmt.Sprintf("floor((%s)/%d)", inner, q)}})
	return out.norm()
}

// gcd is the greatest common divisor of a positive number and another.
func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return max(a, -a)
}

// floorQuo divides by q > 0, rounding down.
func floorQuo(a, q int64) int64 {
	d := a / q
	if a%q < 0 {
		d--
	}
	return d
}

// Of is the expression of a dimension, nil if it is unknown.
func Of(d graph.Dim) *Expr {
	if d.Known() {
		return Const(d.Size)
	}
	return Symbol(d.Param)
}

// Dim is the dimension of that size; a negative number is no size and gives an
// unknown dimension.
func (e *Expr) Dim() graph.Dim {
	if e == nil {
		return graph.Sym("")
	}
	if v, ok := e.Const(); ok {
		if v < 0 {
			return graph.Sym("")
		}
		return graph.D(v)
	}
	return graph.Sym(e.String())
}

// Product multiplies dimensions. A known 0 makes the product 0.
func Product(dims []graph.Dim) *Expr {
	p, n := Const(1), uint64(1)
	for _, d := range dims {
		if d.Size == 0 {
			return Const(0)
		}
		if d.Known() {
			hi, lo := bits.Mul64(n, uint64(d.Size))
			if hi != 0 || lo > math.MaxInt64 {
				return nil
			}
			n = lo
		}
	}
	for _, d := range dims {
		p = p.Mul(Of(d))
	}
	return p
}

// SameDim reports whether two dimensions are known to be equal.
func SameDim(a, b graph.Dim) bool {
	if a.Known() || b.Known() {
		return a.Size == b.Size
	}
	return a.Param != "" && a.Param == b.Param
}

// Value computes an expression under sizes for its symbols. The error names
// the first symbol that has none.
func (e *Expr) Value(sizes map[string]int64) (int64, error) {
	if e == nil {
		return 0, errors.New("a size is not known")
	}
	sum := e.c
	for _, t := range e.terms {
		product := t.coef
		for _, a := range t.atoms {
			n, given := sizes[a]
			var err error
			if isFloor(a) && !given {
				n, err = floorValue(a, sizes)
			} else if !given {
				err = fmt.Errorf("size %q is not known", a)
			}
			if err != nil {
				return 0, err
			}
			var ok bool
			if product, ok = mulChecked(product, n); !ok {
				return 0, fmt.Errorf("%s overflows", e)
			}
		}
		var ok bool
		if sum, ok = addChecked(sum, product); !ok {
			return 0, fmt.Errorf("%s overflows", e)
		}
	}
	return sum, nil
}

// floorParts takes an atom "floor((E)/q)" apart.
func floorParts(atom string) (e *Expr, q int64, ok bool) {
	inner := strings.TrimSuffix(strings.TrimPrefix(atom, "floor("), ")")
	slash := strings.LastIndexByte(inner, '/')
	if slash < 2 || inner[0] != '(' || inner[slash-1] != ')' {
		return nil, 0, false
	}
	q, err := strconv.ParseInt(inner[slash+1:], 10, 64)
	e = parse(inner[1 : slash-1])
	return e, q, err == nil && q > 0 && e != nil
}

// floorValue computes an atom "floor((E)/q)".
func floorValue(atom string, sizes map[string]int64) (int64, error) {
	e, q, ok := floorParts(atom)
	if !ok {
		return 0, fmt.Errorf("size %q is not known", atom)
	}
	n, err := e.Value(sizes)
	if err != nil {
		return 0, err
	}
	return floorQuo(n, q), nil
}
