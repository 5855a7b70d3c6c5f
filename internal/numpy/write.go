package numpy

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/afc-project/afc/graph"
)

// Write writes an array in the .npy format, version 1.0, as numpy.save does.
func Write(w io.Writer, t *graph.Tensor) error {
	descr := ""
	for name, d := range types {
		if d == t.DType {
			descr = name
		}
	}
	if descr == "" {
		return fmt.Errorf("NumPy has no elements of type %s", t.DType)
	}
	raw, err := t.Bytes()
	if err != nil {
		return err
	}
	var shape strings.Builder
	for _, d := range t.Dims {
		fmt.Fprintf(&shape, "%d, ", d)
	}
	const alignment, magic = 64, "\x93NUMPY\x01\x00"
	dict := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape.String())
	size := len(magic) + 2 + len(dict) + 1
	dict += strings.Repeat(" ", (alignment-size%alignment)%alignment) + "\n"
	head := binary.LittleEndian.AppendUint16([]byte(magic), uint16(len(dict)))
	if _, err := w.Write(append(head, dict...)); err != nil {
		return err
	}
	_, err = w.Write(raw)
	return err
}

// WriteArchive writes arrays as a .npz archive, as numpy.savez does. Same arrays,
// same bytes.
func WriteArchive(w io.Writer, arrays []Array) error {
	z := zip.NewWriter(w)
	for _, a := range arrays {
		entry, err := z.CreateHeader(&zip.FileHeader{Name: a.Name + ".npy", Method: zip.Store})
		if err != nil {
			return err
		}
		if err := Write(entry, a.Tensor); err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
	}
	return z.Close()
}
