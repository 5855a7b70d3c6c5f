package afblock

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/sbinet/npyio/npy"

	"github.com/afc-project/afc/graph"
)

var numpyTypes = map[string]graph.DataType{
	"<f2": graph.Float16, "<f4": graph.Float32, "<f8": graph.Float64,
	"|i1": graph.Int8, "<i2": graph.Int16, "<i4": graph.Int32, "<i8": graph.Int64,
	"|u1": graph.Uint8, "<u2": graph.Uint16, "<u4": graph.Uint32, "<u8": graph.Uint64,
	"|b1": graph.Bool,
}

// decodeNPZ reads numpy.savez archives: one array an entry.
func decodeNPZ(z *zip.Reader, mem *budget) (*StateDict, error) {
	sd := NewStateDict()
	for _, f := range z.File {
		raw, err := readEntry(f, mem)
		if err != nil {
			return nil, err
		}
		t, err := decodeNPY(raw, mem)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		sd.Set(strings.TrimSuffix(f.Name, ".npy"), t)
	}
	return sd, nil
}

func decodeNPY(raw []byte, mem *budget) (t *graph.Tensor, err error) {
	// npyio allocates what the header claims its own length is, and indexes
	// malformed headers out of range.
	if len(raw) < 12 {
		return nil, errors.New("truncated")
	}
	length := int64(binary.LittleEndian.Uint16(raw[8:])) + 10
	if raw[6] >= 2 {
		length = int64(binary.LittleEndian.Uint32(raw[8:])) + 12
	}
	if length > int64(len(raw)) {
		return nil, errors.New("truncated")
	}
	defer func() {
		if p := recover(); p != nil {
			t, err = nil, fmt.Errorf("malformed header: %v", p)
		}
	}()
	r := bytes.NewReader(raw)
	h, err := npy.NewReader(r)
	if err != nil {
		return nil, err
	}
	dtype, ok := numpyTypes[h.Header.Descr.Type]
	if !ok {
		return nil, fmt.Errorf("element type %q is not supported", h.Header.Descr.Type)
	}
	shape := h.Header.Descr.Shape
	dims, strides := make([]int64, len(shape)), make([]int64, len(shape))
	stride := int64(1)
	for k := range shape {
		i := len(shape) - 1 - k
		if h.Header.Descr.Fortran {
			i = k
		}
		dims[i], strides[i] = int64(shape[i]), stride
		stride *= dims[i]
	}
	return arrange(dtype, dims, strides, raw[length:], mem)
}
