package graph

import (
	"fmt"
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
)

var dataTypeNames = map[DataType]string{
	Undefined: "undefined", Float32: "float32", Uint8: "uint8", Int8: "int8", Uint16: "uint16", Int16: "int16",
	Int32: "int32", Int64: "int64", String: "string", Bool: "bool", Float16: "float16", Float64: "float64",
	Uint32: "uint32", Uint64: "uint64", Complex64: "complex64", Complex128: "complex128", BFloat16: "bfloat16",
}

func (d DataType) String() string {
	if s, ok := dataTypeNames[d]; ok {
		return s
	}
	return fmt.Sprintf("type %d", int32(d))
}

// Size returns the bytes of one element, 0 where elements have no whole number
// of bytes (strings, 4-bit types, unknown types).
func (d DataType) Size() int {
	switch d {
	case Uint8, Int8, Bool, 17, 18, 19, 20, 24: // 17–20, 24: float8 variants
		return 1
	case Uint16, Int16, Float16, BFloat16:
		return 2
	case Float32, Int32, Uint32:
		return 4
	case Float64, Int64, Uint64, Complex64:
		return 8
	case Complex128:
		return 16
	}
	return 0
}

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
// as wire bytes, unread.
type Type struct {
	Elem  DataType
	Shape Shape

	denotations []string // of the dimensions, if any has one
	opaque      []byte   // wire bytes of a TypeProto that is not a tensor
}

// TensorType makes the type of a tensor.
func TensorType(elem DataType, shape Shape) Type { return Type{Elem: elem, Shape: shape} }

// IsTensor reports whether the type is a tensor's, or nothing is known.
func (t Type) IsTensor() bool { return t.opaque == nil }

func (t Type) String() string {
	if t.opaque != nil {
		return "non-tensor"
	}
	return t.Elem.String() + t.Shape.String()
}
