package numpy

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sbinet/npyio/npy"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/limits"
	"github.com/afc-project/afc/internal/regular"
)

// Array is an array and its name in an archive, "" for one that stood alone.
type Array struct {
	Name   string
	Tensor *graph.Tensor
}

// ReadFile reads the arrays of a .npy file or a .npz archive, in the archive's
// order. An archive that unpacks to far more than its size is refused.
func ReadFile(path string) ([]Array, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	arrays, err := read(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return arrays, nil
}

func read(r io.ReaderAt, size int64) ([]Array, error) {
	z, err := zip.NewReader(r, size)
	if errors.Is(err, zip.ErrFormat) {
		raw := make([]byte, size)
		if _, err := r.ReadAt(raw, 0); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		t, err := Decode(raw)
		if err != nil {
			return nil, err
		}
		return []Array{{"", t}}, nil
	}
	if err != nil {
		return nil, err
	}
	mem := limits.NewAllowance(size)
	var arrays []Array
	for _, entry := range z.File {
		raw, err := limits.Unpack(entry, mem)
		if err != nil {
			return nil, err
		}
		t, err := Decode(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name, err)
		}
		arrays = append(arrays, Array{strings.TrimSuffix(entry.Name, ".npy"), t})
	}
	return arrays, nil
}

var types = map[string]graph.DataType{
	"<f2": graph.Float16, "<f4": graph.Float32, "<f8": graph.Float64,
	"|i1": graph.Int8, "<i2": graph.Int16, "<i4": graph.Int32, "<i8": graph.Int64,
	"|u1": graph.Uint8, "<u2": graph.Uint16, "<u4": graph.Uint32, "<u8": graph.Uint64,
	"|b1": graph.Bool,
}

// Layout is what a file in the .npy format says of its array.
type Layout struct {
	DType   graph.DataType
	Dims    []int64
	Fortran bool   // the first axis varies fastest, not the last
	Body    []byte // what follows the header; aliases the file
}

// maxHeader is far more than any array's header takes: NumPy refuses more than
// 10000 bytes.
const maxHeader = 1 << 16

// ParseHeader reads the header of a file in the .npy format. It refuses
// big-endian and structured elements.
func ParseHeader(raw []byte) (l Layout, err error) {
	if len(raw) < 12 || !bytes.HasPrefix(raw, []byte("\x93NUMPY")) {
		return l, errors.New("not a NumPy array")
	}
	// npyio allocates what the header claims its own length is, and panics on
	// malformed headers.
	body := int64(binary.LittleEndian.Uint16(raw[8:])) + 10
	if raw[6] >= 2 {
		body = int64(binary.LittleEndian.Uint32(raw[8:])) + 12
	}
	if body > int64(len(raw)) {
		return l, errors.New("truncated")
	}
	if body > maxHeader {
		return l, fmt.Errorf("a header of %d bytes, more than %d", body, maxHeader)
	}
	defer func() {
		if p := recover(); p != nil {
			l, err = Layout{}, fmt.Errorf("malformed header: %v", p)
		}
	}()
	r, err := npy.NewReader(bytes.NewReader(raw))
	if err != nil {
		return l, err
	}
	descr := r.Header.Descr
	dtype, ok := types[descr.Type]
	if !ok {
		return l, fmt.Errorf("elements of type %q are not supported", descr.Type)
	}
	l = Layout{dtype, make([]int64, len(descr.Shape)), descr.Fortran, raw[body:]}
	for i, d := range descr.Shape {
		l.Dims[i] = int64(d)
	}
	return l, nil
}

// Decode reads an array in the .npy format; the tensor aliases raw. Beyond
// ParseHeader, it refuses arrays in Fortran order.
func Decode(raw []byte) (*graph.Tensor, error) {
	l, err := ParseHeader(raw)
	if err != nil {
		return nil, err
	}
	if l.Fortran && len(l.Dims) > 1 {
		return nil, errors.New("arrays in Fortran order are not supported: save it with numpy.ascontiguousarray")
	}
	return graph.NewTensor(l.DType, l.Dims, l.Body)
}
