package testutil

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// field is one field of a protobuf message: a number, bytes, or a message of
// fields.
type field struct {
	number, wire int
	value        uint64 // of wire types 0, 1 and 5
	bytes        []byte // of wire type 2
	message      *message
}

type message struct {
	name   string
	fields []*field
}

// messages says which fields of ONNX's messages hold messages.
var messages = map[string]map[int]string{
	"Model":      {7: "Graph", 8: "OperatorSet", 14: "Property", 25: "Function"},
	"Graph":      {1: "Node", 5: "Tensor", 11: "Value", 12: "Value", 13: "Value", 14: "Quantization", 16: "Property"},
	"Node":       {5: "Attribute", 9: "Property"},
	"Attribute":  {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 14: "Type"},
	"Value":      {2: "Type", 4: "Property"},
	"Type":       {1: "TensorType", 4: "Sequence"},
	"Sequence":   {1: "Type"},
	"Tensor":     {3: "Segment", 13: "Property", 16: "Property"},
	"TensorType": {2: "Shape"},
	"Shape":      {1: "Dimension"},
	"Function":   {7: "Node", 9: "OperatorSet", 11: "Attribute", 12: "Value", 14: "Property"},
}

// Surgery changes one to three fields of an ONNX model, in its graph, subgraphs
// and metadata alike, as a protobuf that can still be read, and says how.
func Surgery(model []byte, r *rand.Rand) (edited []byte, what string) {
	m, ok := parse("Model", model)
	if !ok {
		panic("BUG: no model")
	}
	var done []string
	for range 1 + r.IntN(3) {
		at := m.pick(r)
		done = append(done, at.operate(r, m))
	}
	return m.encode(nil), strings.Join(done, "; ")
}

// parse reads a message; false if it is none.
func parse(name string, data []byte) (*message, bool) {
	m := &message{name: name}
	for len(data) > 0 {
		tag, n := binary.Uvarint(data)
		if n <= 0 {
			return nil, false
		}
		data = data[n:]
		f := &field{number: int(tag >> 3), wire: int(tag & 7)}
		switch f.wire {
		case 0:
			if f.value, n = binary.Uvarint(data); n <= 0 {
				return nil, false
			}
			data = data[n:]
		case 1, 5:
			n = map[int]int{1: 8, 5: 4}[f.wire]
			if len(data) < n {
				return nil, false
			}
			f.value = binary.LittleEndian.Uint64(append(slices.Clone(data[:n]), make([]byte, 8)...))
			data = data[n:]
		case 2:
			size, n := binary.Uvarint(data)
			if n <= 0 || uint64(len(data)-n) < size {
				return nil, false
			}
			f.bytes = data[n : n+int(size)]
			data = data[n+int(size):]
			if kind := messages[name][f.number]; kind != "" {
				f.message, _ = parse(kind, f.bytes)
			}
		default:
			return nil, false
		}
		m.fields = append(m.fields, f)
	}
	return m, true
}

func (m *message) encode(out []byte) []byte {
	for _, f := range m.fields {
		out = binary.AppendUvarint(out, uint64(f.number)<<3|uint64(f.wire))
		switch f.wire {
		case 0:
			out = binary.AppendUvarint(out, f.value)
		case 1:
			out = binary.LittleEndian.AppendUint64(out, f.value)
		case 5:
			out = binary.LittleEndian.AppendUint32(out, uint32(f.value))
		case 2:
			b := f.bytes
			if f.message != nil {
				b = f.message.encode(nil)
			}
			out = append(binary.AppendUvarint(out, uint64(len(b))), b...)
		}
	}
	return out
}

// pick walks down to a message that has fields, deeper more often than not.
func (m *message) pick(r *rand.Rand) *message {
	for {
		var inner []*message
		for _, f := range m.fields {
			if f.message != nil && len(f.message.fields) > 0 {
				inner = append(inner, f.message)
			}
		}
		if len(inner) == 0 || r.IntN(4) == 0 && len(m.fields) > 0 {
			return m
		}
		// Kinds first, so that the few inputs are met as often as the many nodes.
		kinds := map[string][]*message{}
		var names []string
		for _, i := range inner {
			if kinds[i.name] == nil {
				names = append(names, i.name)
			}
			kinds[i.name] = append(kinds[i.name], i)
		}
		some := kinds[names[r.IntN(len(names))]]
		m = some[r.IntN(len(some))]
	}
}

// numbers are what files lie with.
var numbers = []uint64{0, 1, 2, 3, 7, 16, 127, 255, 1 << 16, 1 << 31, 1<<31 - 1, 1 << 40, 1<<63 - 1, 1 << 63, 1<<64 - 1, 1<<64 - 2, 0x7fc00000, 0x7f800000}

// operate changes a field of the message; root is the whole model's.
func (m *message) operate(r *rand.Rand, root *message) string {
	i := r.IntN(len(m.fields))
	f := m.fields[i]
	where := fmt.Sprintf("%s.%d", m.name, f.number)
	switch op := r.IntN(8); {
	case op == 0:
		m.fields = slices.Delete(m.fields, i, i+1)
		return "delete " + where
	case op == 1:
		m.fields = slices.Insert(m.fields, i, f.copy())
		return "double " + where
	case op == 2:
		j := r.IntN(len(m.fields))
		m.fields[i], m.fields[j] = m.fields[j], m.fields[i]
		return fmt.Sprintf("exchange %s and %s.%d", where, m.name, m.fields[i].number)
	case op == 3:
		if other := root.pick(r).any(r); other != nil {
			c := other.copy()
			c.number = f.number
			m.fields[i] = c
		}
		return "replace " + where + " by another"
	case f.wire != 2:
		old := f.value
		if f.value = numbers[r.IntN(len(numbers))]; r.IntN(3) == 0 {
			f.value = old + uint64(r.IntN(3)) - 1
		}
		return fmt.Sprintf("%s: %d for %d", where, f.value, old)
	case f.message != nil && r.IntN(4) != 0:
		if len(f.message.fields) == 0 {
			return where + " is empty"
		}
		return f.message.operate(r, root)
	}
	b := f.bytes
	f.message = nil
	f.bytes = spoil(b, r)
	return fmt.Sprintf("%s: %.40q for %.40q", where, f.bytes, b)
}

// copy shares nothing with the field that later surgery changes.
func (f *field) copy() *field {
	c := *f
	if f.message != nil {
		c.bytes = f.message.encode(nil)
		c.message, _ = parse(f.message.name, c.bytes)
	}
	return &c
}

func (m *message) any(r *rand.Rand) *field {
	if len(m.fields) == 0 {
		return nil
	}
	return m.fields[r.IntN(len(m.fields))]
}

// spellings are what names and settings lie with.
var spellings = []string{"", "\x00", "\x1b[2J", "../../x", "%s%d", strings.Repeat("n", 5000), "-1", "1e999", "null", "{}", "[]", "[[[[[[[[", `{"lowering":"branch"}`, "video", "logits", "masks", "1,2", "\xff\xfe"}

// spoil changes bytes: all of them, one, a digit, or their end.
func spoil(b []byte, r *rand.Rand) []byte {
	switch op := r.IntN(6); {
	case op == 0 || len(b) == 0:
		return []byte(spellings[r.IntN(len(spellings))])
	case op == 1:
		return b[:r.IntN(len(b))]
	case op == 2:
		return append(slices.Clone(b), b...)
	case op == 3 && len(b) < 1<<14: // a number in it
		digits := bytes.IndexFunc(b, func(c rune) bool { return '0' <= c && c <= '9' })
		if digits >= 0 {
			return slices.Concat(b[:digits], []byte([]string{"-1", "0", "99999999999", "3", "1.5"}[r.IntN(5)]), b[digits+1:])
		}
	case op == 4 && bytes.Contains(b, []byte(":")): // a setting of JSON left out, or of another type
		parts := bytes.Split(b, []byte(","))
		k := r.IntN(len(parts))
		if name, _, ok := bytes.Cut(parts[k], []byte(":")); ok && r.IntN(2) == 0 {
			parts[k] = append(slices.Clone(name), ":null"...)
		} else {
			parts = slices.Delete(parts, k, k+1)
		}
		return bytes.Join(parts, []byte(","))
	}
	b = slices.Clone(b)
	b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	return b
}
