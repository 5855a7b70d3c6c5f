package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/limits"
)

// Pickles are programs for a small stack machine. gopickle runs them without
// ever running code, but trusts the lengths in them; so scanPickle walks the
// opcodes first and lets through only what stays inside the data.

// Argument forms of pickle opcodes (Python's pickletools.py lists them).
const (
	argLine   = -1 // a line of text
	argLines  = -2 // two lines
	argLen1   = -3 // 1-byte length, then bytes
	argLen4   = -4 // 4-byte length, then bytes
	argLen8   = -5 // 8-byte length, then bytes
	argFrame  = -6 // 8-byte length of what follows, itself opcodes
	argRefuse = -7 // extension registry and out-of-band buffers: never in a checkpoint
)

// pickleArgs holds, by opcode, the bytes of the argument or its form. What is
// not in the table is not an opcode.
var pickleArgs = func() map[byte]int {
	m := map[byte]int{
		'J': 4, 'K': 1, 'M': 2, 'G': 8, 'h': 1, 'j': 4, 'q': 1, 'r': 4, 0x80: 1,
		'F': argLine, 'I': argLine, 'L': argLine, 'P': argLine, 'S': argLine, 'V': argLine, 'g': argLine, 'p': argLine,
		'c': argLines, 'i': argLines,
		'U': argLen1, 'C': argLen1, 0x8a: argLen1, 0x8c: argLen1,
		'T': argLen4, 'X': argLen4, 'B': argLen4, 0x8b: argLen4,
		0x8d: argLen8, 0x8e: argLen8, 0x96: argLen8,
		0x95: argFrame,
		0x82: argRefuse, 0x83: argRefuse, 0x84: argRefuse, 0x97: argRefuse, 0x98: argRefuse,
	}
	for _, op := range []byte("(012NQRabd}elost])u\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94") {
		m[op] = 0
	}
	return m
}()

const (
	maxPickleLine = 4096 // a line of text: a number or a name
	maxPickleLong = 255  // bytes of an integer
)

// Most that gopickle allocates for an opcode and for a byte of its argument.
const (
	opcodeCost   = 192
	argumentCost = 8
)

// pickleCosts holds the opcodes that make gopickle allocate more.
var pickleCosts = map[byte]int64{
	'(': 512,                                  // a new stack
	'R': 768, 'o': 768, 'i': 768, '\x8f': 512, // maps: an OrderedDict, a set
	'd': 320, '}': 320, '\x91': 512,
	'\x8a': maxPickleLong * 48, '\x8b': maxPickleLong * 48, // an integer is shifted in byte by byte
}

// scanPickle returns the length of the pickle at the start of data, up to and
// including its STOP. It takes from mem what running it may allocate.
func scanPickle(data []byte, mem *limits.Allowance) (int, error) {
	for i := 0; i < len(data); {
		op := data[i]
		start := i
		i++
		if op == '.' {
			return i, nil
		}
		arg, ok := pickleArgs[op]
		if !ok || arg == argRefuse {
			return 0, fmt.Errorf("pickle opcode 0x%02x at byte %d is not one of a checkpoint", op, i-1)
		}
		n := uint64(max(arg, 0))
		rest := data[i:]
		width := map[int]int{argLen1: 1, argLen4: 4, argLen8: 8, argFrame: 8}[arg]
		if len(rest) < width {
			break
		}
		switch arg {
		case argLine, argLines:
			for range -arg {
				k := bytes.IndexByte(rest[:min(len(rest), maxPickleLine)], '\n')
				if k < 0 {
					return 0, fmt.Errorf("pickle has a line without end at byte %d", i)
				}
				i, rest = i+k+1, rest[k+1:]
			}
		case argLen1:
			n = uint64(rest[0])
		case argLen4:
			n = uint64(binary.LittleEndian.Uint32(rest))
		case argLen8, argFrame:
			n = binary.LittleEndian.Uint64(rest)
		}
		i, rest = i+width, rest[width:]
		if n > uint64(len(rest)) {
			return 0, fmt.Errorf("pickle opcode 0x%02x at byte %d claims %d bytes, %d are left", op, i-1, n, len(rest))
		}
		if op == 0x8a || op == 0x8b {
			if n == 0 || n > maxPickleLong {
				return 0, fmt.Errorf("pickle has an integer of %d bytes at byte %d", n, i)
			}
		}
		cost := max(opcodeCost, pickleCosts[op])
		if arg == argFrame { // it is copied, then read as opcodes
			cost += int64(n)
		} else {
			i += int(n)
			cost += argumentCost * int64(i-start)
		}
		if err := mem.Take(cost); err != nil {
			return 0, fmt.Errorf("pickle with more objects than a checkpoint's at byte %d: %w", start, err)
		}
	}
	return 0, errors.New("pickle ends before its STOP")
}

// unpickle runs the pickle at the start of data and returns its value and what
// follows it. persistent resolves the storages it refers to; nil: none allowed.
func unpickle(data []byte, mem *limits.Allowance, persistent func(any) (any, error)) (value any, rest []byte, err error) {
	n, err := scanPickle(data, mem)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if p := recover(); p != nil { // gopickle trusts the stack's contents, too
			value, rest, err = nil, nil, fmt.Errorf("malformed pickle: %v", p)
		}
	}()
	u := pickle.NewUnpickler(bytes.NewReader(data[:n]))
	u.FindClass = findClass
	u.PersistentLoad = persistent
	value, err = u.Load()
	return value, data[n:], err
}

// storageType is the class of a storage: its element type.
type storageType graph.DataType

// storageRef is a storage a pickle refers to; its bytes are elsewhere.
type storageRef struct {
	key   string
	dtype graph.DataType
	count int64
}

// tensorRef is a tensor of a pickle.
type tensorRef struct {
	storage       *storageRef
	offset        int64
	dims, strides []int64
}

// storageNames are torch's storage classes.
var storageNames = map[string]graph.DataType{
	"FloatStorage": graph.Float32, "HalfStorage": graph.Float16, "DoubleStorage": graph.Float64,
	"BFloat16Storage": graph.BFloat16, "CharStorage": graph.Int8, "ShortStorage": graph.Int16,
	"IntStorage": graph.Int32, "LongStorage": graph.Int64, "ByteStorage": graph.Uint8, "BoolStorage": graph.Bool,
}

// findClass knows the classes that make up tensors. Any other is a foreign
// object, which is carried along and never looked into.
func findClass(module, name string) (any, error) {
	switch {
	case module == "torch" || module == "torch.cuda":
		if dtype, ok := storageNames[name]; ok {
			return storageType(dtype), nil
		}
	case module == "torch._utils" && (name == "_rebuild_tensor" || name == "_rebuild_tensor_v2"):
		return rebuildTensor{}, nil
	case module == "torch._utils" && name == "_rebuild_parameter":
		return rebuildParameter{}, nil
	}
	return foreign{}, nil
}

// rebuildTensor is torch._utils._rebuild_tensor(storage, offset, size, stride, …).
type rebuildTensor struct{}

func (rebuildTensor) Call(args ...any) (any, error) {
	if len(args) < 4 {
		return nil, errors.New("tensor with too few arguments")
	}
	storage, ok := args[0].(*storageRef)
	offset, ok2 := args[1].(int)
	dims, ok3 := intTuple(args[2])
	strides, ok4 := intTuple(args[3])
	if !ok || !ok2 || !ok3 || !ok4 || offset < 0 || len(dims) != len(strides) {
		return nil, errors.New("malformed tensor")
	}
	return &tensorRef{storage, int64(offset), dims, strides}, nil
}

// rebuildParameter is torch._utils._rebuild_parameter(tensor, …).
type rebuildParameter struct{}

func (rebuildParameter) Call(args ...any) (any, error) {
	if len(args) == 0 {
		return nil, errors.New("parameter without tensor")
	}
	return args[0], nil
}

func intTuple(v any) ([]int64, bool) {
	t, ok := v.(*types.Tuple)
	if !ok {
		return nil, false
	}
	out := make([]int64, t.Len())
	for i := range out {
		n, ok := t.Get(i).(int)
		if !ok {
			return nil, false
		}
		out[i] = int64(n)
	}
	return out, true
}

// foreign stands for objects that weights do not need (arguments of the
// training script, NumPy scalars): it takes whatever a pickle does to it.
type foreign struct{}

func (foreign) Call(...any) (any, error)  { return foreign{}, nil }
func (foreign) PyNew(...any) (any, error) { return foreign{}, nil }
func (foreign) PySetState(any) error      { return nil }
func (foreign) Set(any, any)              {}
func (foreign) Append(any)                {}
func (foreign) Add(any)                   {}
