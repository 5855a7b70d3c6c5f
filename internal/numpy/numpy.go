// Package numpy reads NumPy's .npy and .npz files.
package numpy

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sbinet/npyio/npy"

	"github.com/afc-project/afc/graph"
)

// Array is an array and its name in an archive, "" for one that stood alone.
type Array struct {
	Name   string
	Tensor *graph.Tensor
}

// maxEntry bounds what an archive's entry may claim to unpack to.
const maxEntry = 4 << 30

// ReadFile reads the arrays of a .npy file or a .npz archive, in the archive's
// order.
func ReadFile(path string) ([]Array, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(f, info.Size())
	if errors.Is(err, zip.ErrFormat) {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		t, err := Decode(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return []Array{{"", t}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var arrays []Array
	for _, entry := range z.File {
		raw, err := readEntry(entry)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, entry.Name, err)
		}
		t, err := Decode(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, entry.Name, err)
		}
		arrays = append(arrays, Array{strings.TrimSuffix(entry.Name, ".npy"), t})
	}
	return arrays, nil
}

func readEntry(f *zip.File) ([]byte, error) {
	if f.UncompressedSize64 > maxEntry {
		return nil, fmt.Errorf("claims %d bytes, more than %d", f.UncompressedSize64, int64(maxEntry))
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxEntry))
}

var types = map[string]graph.DataType{
	"<f2": graph.Float16, "<f4": graph.Float32, "<f8": graph.Float64,
	"|i1": graph.Int8, "<i2": graph.Int16, "<i4": graph.Int32, "<i8": graph.Int64,
	"|u1": graph.Uint8, "<u2": graph.Uint16, "<u4": graph.Uint32, "<u8": graph.Uint64,
	"|b1": graph.Bool,
}

// Decode reads an array in the .npy format. It refuses big-endian, structured
// and Fortran-ordered arrays.
func Decode(raw []byte) (t *graph.Tensor, err error) {
	if len(raw) < 12 || !bytes.HasPrefix(raw, []byte("\x93NUMPY")) {
		return nil, errors.New("not a NumPy array")
	}
	// npyio allocates what the header claims its own length is, and panics on
	// malformed headers.
	body := int64(binary.LittleEndian.Uint16(raw[8:])) + 10
	if raw[6] >= 2 {
		body = int64(binary.LittleEndian.Uint32(raw[8:])) + 12
	}
	if body > int64(len(raw)) {
		return nil, errors.New("truncated")
	}
	defer func() {
		if p := recover(); p != nil {
			t, err = nil, fmt.Errorf("malformed header: %v", p)
		}
	}()
	r, err := npy.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	descr := r.Header.Descr
	dtype, ok := types[descr.Type]
	if !ok {
		return nil, fmt.Errorf("elements of type %q are not supported", descr.Type)
	}
	if descr.Fortran && len(descr.Shape) > 1 {
		return nil, errors.New("arrays in Fortran order are not supported: save it with numpy.ascontiguousarray")
	}
	dims := make([]int64, len(descr.Shape))
	for i, d := range descr.Shape {
		dims[i] = int64(d)
	}
	return graph.NewTensor(dtype, dims, raw[body:])
}
