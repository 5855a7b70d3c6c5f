package graph

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"unsafe"
)

// Tensor is a constant. Its elements are little-endian bytes in row-major
// order, as raw_data of onnx.proto has them, or lie in an external file.
// Tensors are shared freely and never changed after they are made.
type Tensor struct {
	Name  string // as stored in the file; an initializer's name is its Value's
	Doc   string
	DType DataType
	Dims  []int64 // empty: a scalar

	raw      []byte
	strs     [][]byte // elements of a String tensor
	external *External
	metadata []Property
	opaque   []byte
}

// SparseTensor is carried through unread, but for its parts.
type SparseTensor struct {
	Values, Indices *Tensor
	Dims            []int64
	opaque          []byte
}

// External says where a tensor's bytes lie outside the model file
// (onnx.proto, external_data). Folder is the model's, "" if it was decoded from
// memory.
type External struct {
	Folder, Location string
	Offset, Length   int64  // Length -1: as many bytes as the elements take
	Checksum         string // SHA-1 of the file, in hexadecimal, or ""

	extra []Property    // entries that onnx.proto does not define
	file  *externalFile // nil if the model was decoded from memory
}

// NewTensor makes a tensor over raw little-endian bytes, which it keeps. It
// fails if their number is not what type and dimensions ask for.
func NewTensor(dtype DataType, dims []int64, raw []byte) (*Tensor, error) {
	t := &Tensor{DType: dtype, Dims: dims, raw: raw}
	n, err := t.NumBytes()
	if err != nil {
		return nil, err
	}
	if n != int64(len(raw)) {
		return nil, fmt.Errorf("%s tensor %v needs %d bytes, has %d", dtype, dims, n, len(raw))
	}
	return t, nil
}

// MustTensor is NewTensor for sizes the caller made itself; it panics on others.
func MustTensor(dtype DataType, dims []int64, raw []byte) *Tensor {
	t, err := NewTensor(dtype, dims, raw)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return t
}

// Float32s makes a float32 tensor; dims nil is a scalar.
func Float32s(dims []int64, v ...float32) *Tensor {
	raw := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(x))
	}
	return MustTensor(Float32, dims, raw)
}

// Int64s makes an int64 tensor; dims nil is a scalar.
func Int64s(dims []int64, v ...int64) *Tensor {
	raw := make([]byte, 8*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint64(raw[8*i:], uint64(x))
	}
	return MustTensor(Int64, dims, raw)
}

// Vec makes a one-dimensional int64 tensor, as shapes and axes are.
func Vec(v ...int64) *Tensor { return Int64s([]int64{int64(len(v))}, v...) }

// NumElements returns the product of the tensor's dimensions, see NumElements.
func (t *Tensor) NumElements() (int64, error) { return NumElements(t.Dims) }

// NumElements returns the product of dimensions. It fails on negative
// dimensions and on overflow.
func NumElements(dims []int64) (int64, error) {
	n, zero := uint64(1), false
	for _, d := range dims {
		if d < 0 {
			return 0, fmt.Errorf("negative dimension in %v", dims)
		}
		if d == 0 {
			zero = true
			continue
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > math.MaxInt64/16 {
			return 0, fmt.Errorf("dimensions %v overflow", dims)
		}
		n = lo
	}
	if zero {
		return 0, nil
	}
	return int64(n), nil
}

// Strides returns how many elements lie between neighbours along each axis of
// a tensor of these dimensions.
func Strides(dims []int64) []int64 {
	s := make([]int64, len(dims))
	n := int64(1)
	for i := len(dims) - 1; i >= 0; i-- {
		s[i] = n
		n *= dims[i]
	}
	return s
}

// NumBytes returns the bytes the elements take.
func (t *Tensor) NumBytes() (int64, error) {
	n, err := t.NumElements()
	if err != nil {
		return 0, err
	}
	bits := int64(t.DType.Bits())
	if bits == 0 {
		return 0, fmt.Errorf("%s elements have no fixed size", t.DType)
	}
	return n/8*bits + (n%8*bits+7)/8, nil
}

// Shape returns the tensor's shape.
func (t *Tensor) Shape() Shape { return ShapeOf(t.Dims...) }

// Bytes returns the elements as little-endian bytes, reading them from the
// external file if they lie there. The caller must not change them.
func (t *Tensor) Bytes() ([]byte, error) {
	if t.external != nil && t.raw == nil {
		return t.external.read(t)
	}
	if t.DType == String {
		return nil, fmt.Errorf("tensor %q holds strings", t.Name)
	}
	return t.raw, nil
}

// External returns where the tensor's bytes lie, nil if they are in the model.
func (t *Tensor) External() *External { return t.external }

// Strings returns the elements of a String tensor.
func (t *Tensor) Strings() [][]byte { return t.strs }

// Reshaped returns a tensor of the same elements with other dimensions.
func (t *Tensor) Reshaped(dims ...int64) *Tensor {
	r := *t
	r.Dims = dims
	return &r
}

// Float32s returns the elements of a floating-point tensor as float32,
// converted where they are float16, bfloat16 or float64. The slice may alias
// the tensor; the caller must not change it.
func (t *Tensor) Float32s() ([]float32, error) {
	b, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	switch t.DType {
	case Float32:
		n := len(b) / 4
		if n == 0 {
			return nil, nil
		}
		if p := unsafe.Pointer(unsafe.SliceData(b)); littleEndian && uintptr(p)%4 == 0 {
			return unsafe.Slice((*float32)(p), n), nil
		}
		out := make([]float32, n)
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
		return out, nil
	case Float16:
		out := make([]float32, len(b)/2)
		for i := range out {
			out[i] = HalfToFloat(binary.LittleEndian.Uint16(b[2*i:]))
		}
		return out, nil
	case BFloat16:
		out := make([]float32, len(b)/2)
		for i := range out {
			out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
		}
		return out, nil
	case Float64:
		out := make([]float32, len(b)/8)
		for i := range out {
			out[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])))
		}
		return out, nil
	}
	return nil, fmt.Errorf("tensor %q is %s, not floating point", t.Name, t.DType)
}

// Int64s returns the elements of an integer or bool tensor as int64.
func (t *Tensor) Int64s() ([]int64, error) {
	b, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	size := t.DType.Size()
	if size == 0 {
		return nil, fmt.Errorf("tensor %q is %s, not an integer type", t.Name, t.DType)
	}
	out := make([]int64, len(b)/size)
	for i := range out {
		e := b[i*size:]
		switch t.DType {
		case Int64, Uint64:
			out[i] = int64(binary.LittleEndian.Uint64(e))
		case Int32:
			out[i] = int64(int32(binary.LittleEndian.Uint32(e)))
		case Uint32:
			out[i] = int64(binary.LittleEndian.Uint32(e))
		case Int16:
			out[i] = int64(int16(binary.LittleEndian.Uint16(e)))
		case Uint16:
			out[i] = int64(binary.LittleEndian.Uint16(e))
		case Int8:
			out[i] = int64(int8(e[0]))
		case Uint8, Bool:
			out[i] = int64(e[0])
		default:
			return nil, fmt.Errorf("tensor %q is %s, not an integer type", t.Name, t.DType)
		}
	}
	return out, nil
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// HalfToFloat returns the value of an IEEE 754 binary16 pattern.
func HalfToFloat(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch {
	case exp == 31:
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	case exp != 0:
		return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
	}
	f := float32(frac) / (1 << 24)
	if sign != 0 {
		f = -f
	}
	return f
}

// FloatToHalf returns the IEEE 754 binary16 pattern nearest to f, ties to even.
func FloatToHalf(f float32) uint16 {
	b := math.Float32bits(f)
	sign, exp, frac := uint16(b>>16)&0x8000, int(b>>23)&0xff-112, b&0x7fffff
	switch {
	case exp == 0xff-112 && frac != 0:
		return sign | 0x7e00 | uint16(frac>>13) // NaN
	case exp >= 31:
		return sign | 0x7c00
	case exp < -10: // below half of the smallest
		return sign
	}
	shift := uint(13)
	if exp <= 0 { // subnormal: the leading one shows
		frac |= 1 << 23
		shift, exp = uint(14-exp), 0
	}
	h := uint32(exp)<<10 + frac>>shift
	if rest, tie := frac&(1<<shift-1), uint32(1)<<(shift-1); rest > tie || rest == tie && h&1 == 1 {
		h++ // may carry into the exponent, up to infinity, as it should
	}
	return sign | uint16(h)
}
