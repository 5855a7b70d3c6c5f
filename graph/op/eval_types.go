package op

import (
	"encoding/binary"
	"math"

	"github.com/afc-project/afc/graph"
)

// Arithmetic runs in one of three domains, each wide enough to hold its
// element types exactly, and rounds or wraps where elements are stored. Going
// through float64 rounds +, −, ×, ÷ and √ of narrower types correctly (double
// rounding is harmless at 53 ≥ 2·24+2 bits).
type domain int

const (
	noDomain    domain = iota // types afc moves but does not compute with
	intDomain                 // bool and all integers but uint64
	uintDomain                // uint64
	floatDomain               // float16, bfloat16, float32, float64
)

func domainOf(d graph.DataType) domain {
	switch d {
	case graph.Bool, graph.Int8, graph.Int16, graph.Int32, graph.Int64, graph.Uint8, graph.Uint16, graph.Uint32:
		return intDomain
	case graph.Uint64:
		return uintDomain
	case graph.Float16, graph.BFloat16, graph.Float32, graph.Float64:
		return floatDomain
	}
	return noDomain
}

// number is the element type of a domain.
type number interface{ int64 | uint64 | float64 }

// parts calls f with runs of n elements that are short enough to be converted
// without much memory.
func parts(n int64, f func(lo, hi int64)) {
	const run = 4096
	for lo := int64(0); lo < n; lo += run {
		f(lo, min(lo+run, n))
	}
}

// part is a run of the elements.
func (a *arr) part(lo, hi int64) *arr {
	size := int64(a.size())
	return &arr{a.dtype, nil, a.b[lo*size : hi*size]}
}

// load converts the elements to a domain's type. Integers wrap, floats
// truncate towards zero, as Cast does.
func load[T number](a *arr) []T {
	out := make([]T, a.n())
	le, b := binary.LittleEndian, a.b
	switch a.dtype {
	case graph.Float32:
		for i := range out {
			out[i] = fromFloat[T](float64(math.Float32frombits(le.Uint32(b[4*i:]))))
		}
	case graph.Float64:
		for i := range out {
			out[i] = fromFloat[T](math.Float64frombits(le.Uint64(b[8*i:])))
		}
	case graph.Float16:
		for i := range out {
			out[i] = fromFloat[T](float64(graph.HalfToFloat(le.Uint16(b[2*i:]))))
		}
	case graph.BFloat16:
		for i := range out {
			out[i] = fromFloat[T](float64(math.Float32frombits(uint32(le.Uint16(b[2*i:])) << 16)))
		}
	case graph.Int64:
		for i := range out {
			out[i] = T(int64(le.Uint64(b[8*i:])))
		}
	case graph.Uint64:
		for i := range out {
			out[i] = T(le.Uint64(b[8*i:]))
		}
	case graph.Int32:
		for i := range out {
			out[i] = T(int32(le.Uint32(b[4*i:])))
		}
	case graph.Uint32:
		for i := range out {
			out[i] = T(le.Uint32(b[4*i:]))
		}
	case graph.Int16:
		for i := range out {
			out[i] = T(int16(le.Uint16(b[2*i:])))
		}
	case graph.Uint16:
		for i := range out {
			out[i] = T(le.Uint16(b[2*i:]))
		}
	case graph.Int8:
		for i := range out {
			out[i] = T(int8(b[i]))
		}
	case graph.Uint8:
		for i := range out {
			out[i] = T(b[i])
		}
	case graph.Bool:
		for i := range out {
			if b[i] != 0 {
				out[i] = 1
			}
		}
	default:
		panic("BUG: load of " + a.dtype.String())
	}
	return out
}

// fromFloat converts as C does where that is defined; out of range integers
// take the nearest representable value, and NaN zero, on every platform.
func fromFloat[T number](x float64) T {
	var t T
	switch p := any(&t).(type) {
	case *float64:
		*p = x
	case *int64:
		switch {
		case x != x:
		case x >= math.MaxInt64:
			*p = math.MaxInt64
		case x <= math.MinInt64:
			*p = math.MinInt64
		default:
			*p = int64(x)
		}
	case *uint64:
		switch {
		case x != x:
		case x >= math.MaxUint64:
			*p = math.MaxUint64
		case x >= 0:
			*p = uint64(x)
		default:
			*p = uint64(fromFloat[int64](x))
		}
	}
	return t
}

// store writes elements into dst, rounding to nearest even or wrapping to its
// type.
func store[T number](dst *arr, v []T) {
	le, b := binary.LittleEndian, dst.b
	switch dst.dtype {
	case graph.Float32:
		for i, x := range v {
			le.PutUint32(b[4*i:], math.Float32bits(float32(x)))
		}
	case graph.Float64:
		for i, x := range v {
			le.PutUint64(b[8*i:], math.Float64bits(float64(x)))
		}
	case graph.Float16:
		for i, x := range v {
			le.PutUint16(b[2*i:], uint16(packFloat(float64(x), 5, 10)))
		}
	case graph.BFloat16:
		for i, x := range v {
			le.PutUint16(b[2*i:], uint16(packFloat(float64(x), 8, 7)))
		}
	case graph.Int64, graph.Uint64:
		for i, x := range v {
			le.PutUint64(b[8*i:], wrap(x))
		}
	case graph.Int32, graph.Uint32:
		for i, x := range v {
			le.PutUint32(b[4*i:], uint32(wrap(x)))
		}
	case graph.Int16, graph.Uint16:
		for i, x := range v {
			le.PutUint16(b[2*i:], uint16(wrap(x)))
		}
	case graph.Int8, graph.Uint8:
		for i, x := range v {
			b[i] = byte(wrap(x))
		}
	case graph.Bool:
		for i, x := range v {
			if x != 0 {
				b[i] = 1
			}
		}
	default:
		panic("BUG: store of " + dst.dtype.String())
	}
}

// wrap returns the two's complement bits of an element.
func wrap[T number](x T) uint64 {
	if f, ok := any(x).(float64); ok {
		if f >= math.MaxInt64 {
			return fromFloat[uint64](f)
		}
		return uint64(fromFloat[int64](f))
	}
	return uint64(x)
}

// packFloat rounds x to nearest even in an IEEE 754 binary format with a sign
// bit, expBits and manBits; what is too large becomes infinite.
func packFloat(x float64, expBits, manBits int) uint64 {
	bias := 1<<(expBits-1) - 1
	inf := uint64(1<<expBits-1) << manBits
	sign := math.Float64bits(x) >> 63 << (expBits + manBits)
	switch a := math.Abs(x); {
	case x != x:
		return sign | inf | 1<<(manBits-1)
	case math.IsInf(a, 0):
		return sign | inf
	case a == 0:
		return sign
	default:
		_, e := math.Frexp(a)                           // a = f·2^e, f in [½, 1)
		e = max(e-1, 1-bias)                            // exponent of the leading bit, subnormals at the least one
		m := math.RoundToEven(math.Ldexp(a, manBits-e)) // mantissa with its leading bit
		// Adding lets a mantissa that rounds up carry into the exponent.
		bits := uint64(m) + uint64(e+bias-1)<<manBits
		return sign | min(bits, inf)
	}
}
