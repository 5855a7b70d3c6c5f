package graph

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// maxInline is the number of elements up to which Text shows a tensor's
// elements; larger ones show as a hash.
const maxInline = 8

// Text returns the model in a readable form, the same for equal models: a line
// for each node, elements of large tensors as a hash. It is for people and
// golden tests; there is no way back.
//
//	model ir=8 opset=13
//	graph main(x: float32[N,3]) -> (y: float32[N,1]) {
//	  w: float32[3,1] = [1, 2, 3]
//	  y: float32[N,1] = MatMul(x, w)  # fc
//	}
func Text(m *Model) string {
	p := &printer{}
	p.printf("model ir=%d", m.IRVersion)
	p.opsets(m.Opsets)
	for _, f := range []struct{ key, value string }{
		{"producer", strings.TrimSpace(m.ProducerName + " " + m.ProducerVersion)}, {"domain", m.Domain}, {"doc", m.Doc},
	} {
		if f.value != "" {
			p.printf(" %s=%q", f.key, f.value)
		}
	}
	p.line()
	for _, prop := range m.Metadata {
		p.printf("meta %s = %q", textName(prop.Key), prop.Value)
		p.line()
	}
	p.printf("graph ")
	p.graph(m.Graph)
	p.line()
	for _, f := range m.Functions {
		p.printf("function %s", textName(f.Domain+"."+f.Name))
		if f.Overload != "" {
			p.printf(":%s", textName(f.Overload))
		}
		p.opsets(f.Opsets)
		for _, a := range f.Attributes {
			p.printf(" %s", textName(a))
		}
		for _, a := range f.AttributeDefaults {
			p.printf(" ")
			p.attribute(a)
		}
		p.printf(" ")
		p.graph(f.Body)
		p.line()
	}
	return p.String()
}

// printer writes indented text.
type printer struct {
	strings.Builder
	indent int
}

func (p *printer) printf(format string, args ...any) { fmt.Fprintf(&p.Builder, format, args...) }

func (p *printer) line() { p.WriteByte('\n') }

func (p *printer) start() { p.WriteString(strings.Repeat("  ", p.indent)) }

func (p *printer) opsets(os []Opset) {
	for _, o := range os {
		if CanonicalDomain(o.Domain) == "" {
			p.printf(" opset=%d", o.Version)
		} else {
			p.printf(" %s=%d", textName(o.Domain), o.Version)
		}
	}
}

func (p *printer) graph(g *Graph) {
	p.printf("%s(", textName(g.Name))
	p.values(g.inputs)
	p.printf(") -> (")
	p.values(g.outputs)
	p.printf(") {")
	p.line()
	p.indent++
	for _, v := range g.inits {
		p.start()
		p.printf("%s: %s", textName(v.name), textTensor(v.init))
		p.line()
	}
	for _, v := range g.sparse {
		p.start()
		p.printf("%s: %s", textName(v.name), textSparse(v.sparse))
		p.line()
	}
	for n := range g.Nodes() {
		p.start()
		p.node(n)
		p.line()
	}
	p.indent--
	p.start()
	p.printf("}")
}

func (p *printer) values(vs []*Value) {
	for i, v := range vs {
		if i > 0 {
			p.printf(", ")
		}
		p.printf("%s", textValue(v))
		if v != nil && (v.Type.Elem != Undefined || v.Type.Shape != nil || v.Type.nonTensor) {
			p.printf(": %s", v.Type)
		}
	}
}

func (p *printer) node(n *Node) {
	if len(n.outputs) > 0 {
		p.values(n.outputs)
		p.printf(" = ")
	}
	if CanonicalDomain(n.Domain) != "" {
		p.printf("%s.", textName(n.Domain))
	}
	p.printf("%s", textName(n.OpType))
	if n.Overload != "" {
		p.printf(":%s", textName(n.Overload))
	}
	p.printf("(")
	for i, v := range n.inputs {
		if i > 0 {
			p.printf(", ")
		}
		p.printf("%s", textValue(v))
	}
	p.printf(")")
	if len(n.attrs) > 0 {
		p.printf(" {")
		for i, a := range n.attrs {
			if i > 0 {
				p.printf(", ")
			}
			p.attribute(a)
		}
		p.printf("}")
	}
	if n.Name != "" {
		p.printf("  # %s", textName(n.Name))
	}
}

func (p *printer) attribute(a *Attribute) {
	p.printf("%s=", textName(a.Name))
	if a.RefName != "" {
		p.printf("@%s", textName(a.RefName))
		return
	}
	switch a.Type {
	case AttrFloat:
		p.printf("%s", textFloat(float64(a.F)))
	case AttrInt:
		p.printf("%d", a.I)
	case AttrString:
		p.printf("%q", a.S)
	case AttrFloats:
		p.printf("[%s]", joinText(a.Floats, func(f float32) string { return textFloat(float64(f)) }))
	case AttrInts:
		p.printf("[%s]", joinText(a.Ints, func(i int64) string { return strconv.FormatInt(i, 10) }))
	case AttrStrings:
		p.printf("[%s]", joinText(a.Strings, func(s []byte) string { return strconv.Quote(string(s)) }))
	case AttrTensor:
		if a.Tensor != nil {
			p.printf("%s", textTensor(a.Tensor))
		}
	case AttrTensors:
		p.printf("[%s]", joinText(a.Tensors, textTensor))
	case AttrSparseTensor:
		p.printf("%s", joinText(a.SparseTensors, textSparse))
	case AttrSparseTensors:
		p.printf("[%s]", joinText(a.SparseTensors, textSparse))
	case AttrTypeProto, AttrTypeProtos:
		p.printf("types [%s]", joinText(a.TypeProtos, textHash))
	case AttrGraph, AttrGraphs:
		for i, g := range a.Subgraphs() {
			if i > 0 {
				p.printf(", ")
			}
			p.printf("graph ")
			p.graph(g)
		}
	default:
		p.printf("?")
	}
}

func textSparse(s *SparseTensor) string {
	return fmt.Sprintf("sparse%v of %s at %s", ShapeOf(s.Dims...), textTensor(s.Values), textTensor(s.Indices))
}

// textTensor shows type and dimensions, then the elements or their hash.
func textTensor(t *Tensor) string {
	head := t.DType.String() + t.Shape().String() + " = "
	if x := t.external; x != nil && x.file == nil {
		return fmt.Sprintf("%sexternal %q at %d", head, x.Location, x.Offset)
	}
	if n, err := t.NumElements(); err == nil && n <= maxInline {
		if s, ok := textElements(t); ok {
			return head + "[" + s + "]"
		}
	}
	if t.DType == String {
		h := sha256.New()
		for _, s := range t.strs {
			fmt.Fprintf(h, "%q ", s)
		}
		return head + fmt.Sprintf("#%x", h.Sum(nil)[:6])
	}
	raw, err := t.Bytes()
	if err != nil {
		return head + "unreadable: " + err.Error()
	}
	return head + textHash(raw)
}

func textElements(t *Tensor) (string, bool) {
	switch t.DType {
	case String:
		return joinText(t.strs, func(s []byte) string { return strconv.Quote(string(s)) }), true
	case Float32, Float16, BFloat16:
		if f, err := t.Float32s(); err == nil {
			return joinText(f, func(f float32) string { return textFloat(float64(f)) }), true
		}
	case Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Bool:
		if i, err := t.Int64s(); err == nil {
			return joinText(i, func(i int64) string { return strconv.FormatInt(i, 10) }), true
		}
	}
	return "", false
}

func textHash(b []byte) string {
	h := sha256.Sum256(b)
	return fmt.Sprintf("#%x", h[:6])
}

func textFloat(f float64) string { return strconv.FormatFloat(f, 'g', -1, 32) }

func joinText[T any](xs []T, f func(T) string) string {
	parts := make([]string, len(xs))
	for i, x := range xs {
		parts[i] = f(x)
	}
	return strings.Join(parts, ", ")
}

// textValue shows an operand, "_" where one is left out.
func textValue(v *Value) string {
	if v == nil {
		return "_"
	}
	return textName(v.name)
}

// textName quotes a name that would not read as one word.
func textName(s string) string {
	plain := func(r rune) bool {
		return unicode.IsPrint(r) && !strings.ContainsRune(" ,(){}[]=#\"'@", r) && r != unicode.ReplacementChar
	}
	if s == "_" || strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) >= 0 {
		return strconv.Quote(s)
	}
	return s
}
