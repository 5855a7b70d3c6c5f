//go:build cgo

package ort

import (
	"fmt"
	"unsafe"

	native "github.com/yalue/onnxruntime_go"

	"github.com/afc-project/afc/graph"
)

// newValue makes a runtime value over the tensor's own bytes, which ONNX
// Runtime only reads. Element types have the same numbers here and there.
func newValue(t *graph.Tensor) (native.Value, error) {
	raw, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	if len(t.Dims) == 0 {
		return newScalar(t.DType, raw)
	}
	if len(raw) == 0 {
		raw = make([]byte, 8) // the binding wants somewhere to point at
	}
	return native.NewCustomDataTensor(t.Dims, raw, native.TensorElementDataType(t.DType))
}

func newScalar(dt graph.DataType, raw []byte) (native.Value, error) {
	switch dt {
	case graph.Float32:
		return scalar[float32](raw)
	case graph.Float64:
		return scalar[float64](raw)
	case graph.Int64:
		return scalar[int64](raw)
	case graph.Int32:
		return scalar[int32](raw)
	case graph.Bool:
		return scalar[bool](raw)
	}
	return nil, fmt.Errorf("%s scalars are not supported as inputs", dt)
}

func scalar[T native.TensorData](raw []byte) (native.Value, error) {
	var x T
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&x)), unsafe.Sizeof(x)), raw)
	return native.NewScalar(x)
}

// tensorOf returns a runtime value as a tensor. Its bytes are the Go slice
// that the binding copied the output into, which outlives the value.
func tensorOf(v native.Value) (*graph.Tensor, error) {
	dims := []int64(v.GetShape())
	switch v := v.(type) {
	case *native.Tensor[float32]:
		return tensor(graph.Float32, dims, v.GetData())
	case *native.Tensor[float64]:
		return tensor(graph.Float64, dims, v.GetData())
	case *native.Tensor[int64]:
		return tensor(graph.Int64, dims, v.GetData())
	case *native.Tensor[int32]:
		return tensor(graph.Int32, dims, v.GetData())
	case *native.Tensor[int16]:
		return tensor(graph.Int16, dims, v.GetData())
	case *native.Tensor[int8]:
		return tensor(graph.Int8, dims, v.GetData())
	case *native.Tensor[uint64]:
		return tensor(graph.Uint64, dims, v.GetData())
	case *native.Tensor[uint32]:
		return tensor(graph.Uint32, dims, v.GetData())
	case *native.Tensor[uint16]:
		return tensor(graph.Uint16, dims, v.GetData())
	case *native.Tensor[uint8]:
		return tensor(graph.Uint8, dims, v.GetData())
	case *native.Tensor[bool]:
		return tensor(graph.Bool, dims, v.GetData())
	case *native.CustomDataTensor:
		return tensor(graph.DataType(v.DataType()), dims, v.GetData())
	}
	return nil, fmt.Errorf("outputs that are not tensors of numbers (%T) are not supported", v)
}

func tensor[T any](dt graph.DataType, dims []int64, data []T) (*graph.Tensor, error) {
	if len(data) == 0 {
		return graph.NewTensor(dt, dims, nil)
	}
	size := int(unsafe.Sizeof(data[0])) * len(data)
	return graph.NewTensor(dt, dims, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(data))), size))
}
