package schema

import (
	_ "embed"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed schemas.txt
var text string

// Op is one version of an operator.
type Op struct {
	Since                                        int64 // the opset that brought this version
	MinInputs, MaxInputs, MinOutputs, MaxOutputs int
	Deprecated                                   bool // no longer an operator since then
	Attributes                                   []Attribute
}

// Attribute is an attribute that an operator has.
type Attribute struct {
	Name     string
	Type     string // of AttributeProto.AttributeType: "INT", "FLOATS", …
	Required bool
}

// Attribute returns the attribute of that name, nil if there is none.
func (o *Op) Attribute(name string) *Attribute {
	for i := range o.Attributes {
		if o.Attributes[i].Name == name {
			return &o.Attributes[i]
		}
	}
	return nil
}

type opName struct{ domain, name string }

type table struct {
	ops    map[opName][]*Op // oldest first
	newest map[string]int64
}

// Lookup returns the operator as an opset of its domain has it, nil if it has
// not. The domain of ai.onnx is "".
func Lookup(domain, name string, opset int64) *Op {
	var op *Op
	for _, o := range load().ops[opName{domain, name}] {
		if o.Since <= opset {
			op = o
		}
	}
	if op == nil || op.Deprecated {
		return nil
	}
	return op
}

// First returns the opset that brought the operator, 0 if none did.
func First(domain, name string) int64 {
	if ops := load().ops[opName{domain, name}]; len(ops) > 0 {
		return ops[0].Since
	}
	return 0
}

// Newest returns the newest opset of a domain, 0 if the domain is not ONNX's.
func Newest(domain string) int64 { return load().newest[domain] }

var load = sync.OnceValue(func() *table {
	t := &table{ops: map[opName][]*Op{}, newest: map[string]int64{}}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) == 3 && f[0] == "opset":
			t.newest[domain(f[1])] = int64(number(f[2]))
		case len(f) >= 5 && f[0] != "#":
			op := &Op{Since: int64(number(f[2]))}
			op.MinInputs, op.MaxInputs = span(f[3])
			op.MinOutputs, op.MaxOutputs = span(f[4])
			for _, a := range f[5:] {
				if a == "deprecated" {
					op.Deprecated = true
					continue
				}
				a, required := strings.CutSuffix(a, "!")
				name, typ, _ := strings.Cut(a, ":")
				op.Attributes = append(op.Attributes, Attribute{name, typ, required})
			}
			key := opName{domain(f[0]), f[1]}
			t.ops[key] = append(t.ops[key], op)
		}
	}
	for _, ops := range t.ops {
		if !slices.IsSortedFunc(ops, func(a, b *Op) int { return int(a.Since - b.Since) }) {
			panic("BUG: schemas.txt is not sorted")
		}
	}
	return t
})

func domain(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

func span(s string) (lo, hi int) {
	a, b, _ := strings.Cut(s, "-")
	if b == "*" {
		return number(a), math.MaxInt
	}
	return number(a), number(b)
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(fmt.Sprintf("BUG: schemas.txt: %v", err))
	}
	return n
}
