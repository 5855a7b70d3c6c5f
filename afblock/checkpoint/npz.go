package checkpoint

import (
	"archive/zip"
	"fmt"
	"strings"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/limits"
	"github.com/afc-project/afc/internal/numpy"
)

// decodeNPZ reads numpy.savez archives: one array an entry.
func decodeNPZ(z *zip.Reader, mem *limits.Allowance) (*StateDict, error) {
	sd := New()
	for _, f := range z.File {
		raw, err := limits.Unpack(f, mem)
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

func decodeNPY(raw []byte, mem *limits.Allowance) (*graph.Tensor, error) {
	l, err := numpy.ParseHeader(raw)
	if err != nil {
		return nil, err
	}
	strides := make([]int64, len(l.Dims))
	stride := int64(1)
	for k := range l.Dims {
		i := len(l.Dims) - 1 - k
		if l.Fortran {
			i = k
		}
		strides[i] = stride
		stride *= l.Dims[i]
	}
	return arrange(l.DType, l.Dims, strides, l.Body, mem)
}
