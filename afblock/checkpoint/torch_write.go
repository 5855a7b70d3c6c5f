package checkpoint

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/afc-project/afc/graph"
)

// torchStorages names PyTorch's storage class of an element type.
var torchStorages = map[graph.DataType]string{
	graph.Float32: "FloatStorage", graph.Float64: "DoubleStorage", graph.Float16: "HalfStorage",
	graph.Int64: "LongStorage", graph.Int32: "IntStorage", graph.Uint8: "ByteStorage", graph.Int8: "CharStorage", graph.Bool: "BoolStorage",
}

// WriteTorch writes a state dict as PyTorch's torch.save does: a zip archive of
// a pickle and the tensors' bytes, holding {"state_dict": …}, which is what
// training code's --resume and --tune_from read. Keys get the prefix. Equal
// state dicts give equal bytes.
func WriteTorch(w io.Writer, sd *StateDict) error {
	p := &pickler{}
	p.op(0x80, 2) // PROTO 2
	p.op('}', '(')
	p.text("state_dict")
	p.orderedDict()
	p.op('(')
	z := zip.NewWriter(w)
	index := 0
	var storages [][]byte
	for name, t := range sd.All() {
		class, ok := torchStorages[t.DType]
		if !ok {
			return fmt.Errorf("%s: PyTorch has no storage of element type %s", name, t.DType)
		}
		raw, err := t.Bytes()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		p.text(name)
		p.tensor(class, index, t.Dims)
		storages = append(storages, raw)
		index++
	}
	p.op('u', 'u', '.') // SETITEMS of the inner and the outer dictionary, STOP
	if err := stored(z, "archive/data.pkl", p.b.Bytes()); err != nil {
		return err
	}
	if err := stored(z, "archive/byteorder", []byte("little")); err != nil {
		return err
	}
	for i, raw := range storages {
		if err := stored(z, fmt.Sprintf("archive/data/%d", i), raw); err != nil {
			return err
		}
	}
	if err := stored(z, "archive/version", []byte("3\n")); err != nil {
		return err
	}
	return z.Close()
}

// stored adds an uncompressed entry, as PyTorch wants them.
func stored(z *zip.Writer, name string, data []byte) error {
	f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return err
}

// pickler writes the opcodes of Python's pickle protocol 2 (pickletools.py has
// them all) that a state dict needs.
type pickler struct{ b bytes.Buffer }

func (p *pickler) op(codes ...byte) { p.b.Write(codes) }

// text pushes a string (BINUNICODE).
func (p *pickler) text(s string) {
	p.op('X')
	p.b.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(s))))
	p.b.WriteString(s)
}

// global pushes a class or function by name (GLOBAL).
func (p *pickler) global(module, name string) { fmt.Fprintf(&p.b, "c%s\n%s\n", module, name) }

// number pushes an integer (LONG1 with eight bytes).
func (p *pickler) number(v int64) {
	p.op(0x8a, 8)
	p.b.Write(binary.LittleEndian.AppendUint64(nil, uint64(v)))
}

func (p *pickler) orderedDict() {
	p.global("collections", "OrderedDict")
	p.op(')', 'R') // EMPTY_TUPLE, REDUCE: called without arguments
}

// tensor pushes torch._utils._rebuild_tensor_v2(storage, offset, size, stride,
// requires_grad, hooks); the storage is a persistent id (BINPERSID).
func (p *pickler) tensor(class string, index int, dims []int64) {
	count := int64(1)
	strides := make([]int64, len(dims))
	for i := len(dims) - 1; i >= 0; i-- {
		strides[i] = count
		count *= dims[i]
	}
	p.global("torch._utils", "_rebuild_tensor_v2")
	p.op('(', '(')
	p.text("storage")
	p.global("torch", class)
	p.text(fmt.Sprint(index))
	p.text("cpu")
	p.number(count)
	p.op('t', 'Q')
	p.number(0)
	p.tuple(dims)
	p.tuple(strides)
	p.op(0x89) // NEWFALSE
	p.orderedDict()
	p.op('t', 'R')
}

func (p *pickler) tuple(values []int64) {
	p.op('(')
	for _, v := range values {
		p.number(v)
	}
	p.op('t')
}
