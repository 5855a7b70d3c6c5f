package graph

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// TensorProto's fields that hold elements.
const (
	floatData  protowire.Number = 4
	int32Data  protowire.Number = 5
	int64Data  protowire.Number = 7
	rawData    protowire.Number = 9
	doubleData protowire.Number = 10
	uint64Data protowire.Number = 11
)

// elements are the fields of one TensorProto that hold its elements, as slices
// of the file.
type elements struct {
	raw   []byte
	typed []chunk
}

// chunk is a packed run of elements in one of the typed fields.
type chunk struct {
	field protowire.Number
	data  []byte
}

// split copies a model without the elements of its tensors. protobuf's decoder
// copies every bytes field, but weights are to alias the file. What is left
// goes through the generated bindings; in it, raw_data of a tensor holds the
// index of its elements.
type split struct {
	light    []byte
	elements []elements
}

// message appends the message to s.light. The scan has seen it: it is well
// formed.
func (s *split) message(info *messageInfo, b []byte) {
	index := -1
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		f := info.fields[num]
		switch {
		case f.elements && f.packs(typ):
			if index < 0 {
				index = len(s.elements)
				s.elements = append(s.elements, elements{})
			}
			s.elements[index].add(num, typ, b[n:n+m])
		case f.message != nil && f.message.heavy && typ == protowire.BytesType:
			child, _ := protowire.ConsumeBytes(b[n:])
			s.light = protowire.AppendTag(s.light, num, typ)
			at := len(s.light)
			s.light = append(s.light, 0, 0, 0, 0, 0)
			s.message(f.message, child)
			putPaddedVarint(s.light[at:at+5], len(s.light)-at-5)
		default:
			s.light = append(s.light, b[:n+m]...)
		}
		b = b[n+m:]
	}
	if index >= 0 {
		s.light = protowire.AppendTag(s.light, rawData, protowire.BytesType)
		s.light = protowire.AppendVarint(s.light, 4)
		s.light = binary.LittleEndian.AppendUint32(s.light, uint32(index))
	}
}

// packs reports whether elements may come in this wire type: packed, or one by
// one in the type's own. Protobuf takes any other for an unknown field.
func (f fieldInfo) packs(typ protowire.Type) bool {
	switch f.kind {
	case protoreflect.BytesKind:
		return typ == protowire.BytesType
	case protoreflect.FloatKind:
		return typ == protowire.BytesType || typ == protowire.Fixed32Type
	case protoreflect.DoubleKind:
		return typ == protowire.BytesType || typ == protowire.Fixed64Type
	}
	return typ == protowire.BytesType || typ == protowire.VarintType
}

func (e *elements) add(num protowire.Number, typ protowire.Type, value []byte) {
	if typ == protowire.BytesType {
		value, _ = protowire.ConsumeBytes(value)
	}
	if num == rawData {
		e.raw = value // the last one counts, as in protobuf
		return
	}
	e.typed = append(e.typed, chunk{num, value})
}

// putPaddedVarint writes a varint that fills b: a length that is known only
// after what it measures.
func putPaddedVarint(b []byte, v int) {
	for i := range b {
		b[i] = byte(v>>(7*i)) | 0x80
	}
	b[len(b)-1] &= 0x7f
}

// of returns the elements that the split put aside for a tensor, given the
// raw_data it left.
func (s *split) of(token []byte) elements {
	if len(token) != 4 {
		return elements{}
	}
	return s.elements[binary.LittleEndian.Uint32(token)]
}
