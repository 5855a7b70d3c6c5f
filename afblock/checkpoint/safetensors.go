package checkpoint

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/nlpodyssey/safetensors"

	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/limits"
)

var safeTypes = map[safetensors.DType]graph.DataType{
	safetensors.BOOL: graph.Bool, safetensors.U8: graph.Uint8, safetensors.I8: graph.Int8,
	safetensors.I16: graph.Int16, safetensors.U16: graph.Uint16, safetensors.F16: graph.Float16,
	safetensors.BF16: graph.BFloat16, safetensors.I32: graph.Int32, safetensors.U32: graph.Uint32,
	safetensors.F32: graph.Float32, safetensors.F64: graph.Float64, safetensors.I64: graph.Int64,
	safetensors.U64: graph.Uint64,
}

// maxHeader bounds a header, a JSON text that takes some fifty times its length
// to parse. It grows with the file; a tensor takes about 100 bytes of it.
const maxHeader = 1 << 19

// decodeSafetensors reads https://huggingface.co/docs/safetensors files.
func decodeSafetensors(r io.ReaderAt, size int64, mem *limits.Allowance) (*StateDict, error) {
	var head [8]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(head[:])
	if n > uint64(size) {
		return nil, fmt.Errorf("safetensors header of %d bytes in a file of %d", n, size)
	}
	if most := maxHeader + size/16; int64(n) > most {
		return nil, fmt.Errorf("safetensors header of %d bytes in a file of %d: %d at most are plausible", n, size, most)
	}
	if err := mem.Take(size); err != nil {
		return nil, err
	}
	raw := make([]byte, size)
	if _, err := r.ReadAt(raw, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	_, meta, err := safetensors.ReadMetadata(raw)
	if err != nil {
		return nil, fmt.Errorf("damaged safetensors file: %w", err)
	}
	raw = raw[8+n:]
	tensors := meta.Tensors()
	sd := New()
	sd.Skeleton = meta.Metadata()[names.NetworkKey]
	for _, name := range slices.SortedFunc(maps.Keys(tensors), func(a, b string) int {
		x, y := tensors[a].DataOffsets, tensors[b].DataOffsets
		return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]), cmp.Compare(a, b))
	}) {
		info := tensors[name]
		dims := make([]int64, len(info.Shape))
		for i, d := range info.Shape {
			dims[i] = int64(d)
		}
		t, err := graph.NewTensor(safeTypes[info.DType], dims, raw[info.DataOffsets[0]:info.DataOffsets[1]])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		sd.Set(name, t)
	}
	return sd, nil
}

// safeView shows a tensor to the safetensors writer. (Its own TensorView takes
// a scalar for empty.)
type safeView struct {
	dtype safetensors.DType
	shape []uint64
	data  []byte
}

func (v safeView) DType() safetensors.DType { return v.dtype }
func (v safeView) Shape() []uint64          { return v.shape }
func (v safeView) Data() []byte             { return v.data }
func (v safeView) DataLen() uint64          { return uint64(len(v.data)) }

// WriteSafetensors writes a state dict as a safetensors file, which PyTorch's
// safetensors package and Read read. Equal state dicts give equal
// bytes.
func WriteSafetensors(w io.Writer, sd *StateDict) error {
	views := make(map[string]safeView, sd.Len())
	for name, t := range sd.All() {
		raw, err := t.Bytes()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		v := safeView{shape: make([]uint64, len(t.Dims)), data: raw}
		for i, d := range t.Dims {
			v.shape[i] = uint64(d)
		}
		found := false
		for dtype := safetensors.BOOL; dtype <= safetensors.U64; dtype++ {
			if safeTypes[dtype] == t.DType {
				v.dtype, found = dtype, true
			}
		}
		if !found {
			return fmt.Errorf("%s: safetensors has no element type %s", name, t.DType)
		}
		views[name] = v
	}
	meta := map[string]string{"format": "pt"} // the Python package insists on it
	if sd.Skeleton != "" {
		meta[names.NetworkKey] = sd.Skeleton
	}
	return safetensors.SerializeToWriter(views, meta, w)
}
