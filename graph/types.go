package graph

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// DataType is an element type, with onnx.proto's numbers (TensorProto.DataType).
type DataType int32

// The element types of onnx.proto.
const (
	Undefined  DataType = 0
	Float32    DataType = 1
	Uint8      DataType = 2
	Int8       DataType = 3
	Uint16     DataType = 4
	Int16      DataType = 5
	Int32      DataType = 6
	Int64      DataType = 7
	String     DataType = 8
	Bool       DataType = 9
	Float16    DataType = 10
	Float64    DataType = 11
	Uint32     DataType = 12
	Uint64     DataType = 13
	Complex64  DataType = 14
	Complex128 DataType = 15
	BFloat16   DataType = 16

	Float8E4M3FN   DataType = 17
	Float8E4M3FNUZ DataType = 18
	Float8E5M2     DataType = 19
	Float8E5M2FNUZ DataType = 20
	Uint4          DataType = 21
	Int4           DataType = 22
	Float4E2M1     DataType = 23
	Float8E8M0     DataType = 24
	Uint2          DataType = 25
	Int2           DataType = 26
	Float6E2M3     DataType = 27
	Float6E3M2     DataType = 28
)

// dataTypes has the name of each element type and the bits that an element
// takes in raw_data, where elements below 8 bits are packed.
var dataTypes = [...]struct {
	name string
	bits int
}{
	Undefined: {"undefined", 0}, String: {"string", 0}, Bool: {"bool", 8},
	Uint8: {"uint8", 8}, Uint16: {"uint16", 16}, Uint32: {"uint32", 32}, Uint64: {"uint64", 64},
	Int8: {"int8", 8}, Int16: {"int16", 16}, Int32: {"int32", 32}, Int64: {"int64", 64},
	Float16: {"float16", 16}, BFloat16: {"bfloat16", 16}, Float32: {"float32", 32}, Float64: {"float64", 64},
	Complex64: {"complex64", 64}, Complex128: {"complex128", 128},
	Float8E4M3FN: {"float8e4m3fn", 8}, Float8E4M3FNUZ: {"float8e4m3fnuz", 8},
	Float8E5M2: {"float8e5m2", 8}, Float8E5M2FNUZ: {"float8e5m2fnuz", 8}, Float8E8M0: {"float8e8m0", 8},
	Float6E2M3: {"float6e2m3", 6}, Float6E3M2: {"float6e3m2", 6},
	Float4E2M1: {"float4e2m1", 4}, Uint4: {"uint4", 4}, Int4: {"int4", 4}, Uint2: {"uint2", 2}, Int2: {"int2", 2},
}

// Known reports whether onnx.proto defines the type, Undefined not counted.
func (d DataType) Known() bool { return d > Undefined && int(d) < len(dataTypes) }

func (d DataType) String() string {
	if d == Undefined || d.Known() {
		return dataTypes[d].name
	}
	return fmt.Sprintf("type %d", int32(d))
}

// Bits returns the bits of one element in raw_data, 0 for strings and unknown
// types.
func (d DataType) Bits() int {
	if d.Known() {
		return dataTypes[d].bits
	}
	return 0
}

// Size returns the bytes of one element, 0 where elements have no whole number
// of bytes (strings, types below 8 bits, unknown types).
func (d DataType) Size() int { return d.Bits() / 8 }

// IsFloat reports whether the type is a floating-point type afc computes with.
func (d DataType) IsFloat() bool {
	return d == Float32 || d == Float16 || d == Float64 || d == BFloat16
}

// Dim is one dimension of a shape: a known size, or a symbol, or unknown.
type Dim struct {
	Size  int64  // ≥ 0 if known, -1 if not
	Param string // the symbol of a size not known, "" if there is none
}

// D makes a known dimension.
func D(n int64) Dim { return Dim{Size: n} }

// Sym makes a symbolic dimension; Sym("") is wholly unknown.
func Sym(param string) Dim { return Dim{Size: -1, Param: param} }

// Known reports whether the size is known.
func (d Dim) Known() bool { return d.Size >= 0 }

func (d Dim) String() string {
	switch {
	case d.Known():
		return strconv.FormatInt(d.Size, 10)
	case d.Param != "":
		return d.Param
	}
	return "?"
}

// Shape is a tensor shape. A nil Shape has unknown rank; an empty, non-nil
// Shape is a scalar's.
type Shape []Dim

// ShapeOf makes a known shape. Without arguments it is a scalar's.
func ShapeOf(dims ...int64) Shape {
	s := make(Shape, len(dims))
	for i, d := range dims {
		s[i] = D(d)
	}
	return s
}

// Ranked reports whether the rank is known.
func (s Shape) Ranked() bool { return s != nil }

// Static reports whether rank and every size are known.
func (s Shape) Static() bool {
	if s == nil {
		return false
	}
	for _, d := range s {
		if !d.Known() {
			return false
		}
	}
	return true
}

// equal reports whether two shapes say the same, rank unknown included.
func (s Shape) equal(o Shape) bool {
	return (s == nil) == (o == nil) && slices.Equal(s, o)
}

// Dims returns the sizes, -1 where not known.
func (s Shape) Dims() []int64 {
	dims := make([]int64, len(s))
	for i, d := range s {
		dims[i] = d.Size
	}
	return dims
}

func (s Shape) String() string {
	if s == nil {
		return "[…]"
	}
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = d.String()
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// Type is what is known of a value: its element type and shape. Values that
// are not tensors (sequences, maps, optionals, sparse tensors) keep their type
// unread.
type Type struct {
	Elem  DataType
	Shape Shape

	// wire is the TypeProto as the file has it, kept if Elem and Shape do not
	// say all that it says. It is written back while they still agree with it.
	wire      []byte
	nonTensor bool
}

// TensorType makes the type of a tensor.
func TensorType(elem DataType, shape Shape) Type { return Type{Elem: elem, Shape: shape} }

// IsTensor reports whether the type is a tensor's, or nothing is known.
func (t Type) IsTensor() bool { return !t.nonTensor }

func (t Type) String() string {
	if t.nonTensor {
		return "non-tensor"
	}
	return t.Elem.String() + t.Shape.String()
}
