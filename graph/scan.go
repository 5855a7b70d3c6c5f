package graph

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"sync"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

const (
	// maxDepth is the deepest nesting of messages, protobuf's limit in C++ and
	// so ONNX Runtime's. One level of subgraphs takes three.
	maxDepth = 100

	// Decoding may take freeMemory bytes plus memoryPerByte for each byte of
	// the file. Real models stay far below it; but the wire format lets two
	// bytes ask for a node.
	freeMemory    = 64 << 20
	memoryPerByte = 8
)

// messageInfo is what scan and split know of a message type.
type messageInfo struct {
	name   protoreflect.Name
	size   int64 // memory that an empty message takes, bindings and IR together
	fields map[protowire.Number]fieldInfo
	heavy  bool // holds tensors
}

type fieldInfo struct {
	kind     protoreflect.Kind
	message  *messageInfo // of message fields
	list     bool
	elements bool // elements of a TensorProto
	values   bool // names that become Values
}

// modelInfo describes ModelProto and, through it, every message type.
var modelInfo = sync.OnceValue(func() *messageInfo {
	return messageOf("afc.onnx.ModelProto", map[protoreflect.FullName]*messageInfo{})
})

// irSize is the memory of a message's counterpart in the IR, its slots in
// lists and maps included.
var irSize = map[protoreflect.Name]uintptr{
	"ModelProto":        unsafe.Sizeof(Model{}),
	"GraphProto":        unsafe.Sizeof(Graph{}) + 256,
	"FunctionProto":     unsafe.Sizeof(Function{}) + unsafe.Sizeof(Graph{}) + 1024,
	"NodeProto":         unsafe.Sizeof(Node{}) + 64,
	"ValueInfoProto":    unsafe.Sizeof(Value{}) + 128,
	"AttributeProto":    unsafe.Sizeof(Attribute{}) + 32,
	"TensorProto":       unsafe.Sizeof(Tensor{}) + unsafe.Sizeof(Value{}) + unsafe.Sizeof(elements{}) + 256,
	"SparseTensorProto": unsafe.Sizeof(SparseTensor{}) + unsafe.Sizeof(Value{}) + 256,
	"Dimension":         2 * unsafe.Sizeof(Dim{}),

	"StringStringEntryProto": unsafe.Sizeof(Property{}),
	"OperatorSetIdProto":     unsafe.Sizeof(Opset{}),
}

func messageOf(name protoreflect.FullName, known map[protoreflect.FullName]*messageInfo) *messageInfo {
	if info := known[name]; info != nil {
		return info
	}
	mt, err := protoregistry.GlobalTypes.FindMessageByName(name)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	md := mt.Descriptor()
	info := &messageInfo{name: md.Name(), fields: map[protowire.Number]fieldInfo{}}
	info.size = int64(reflect.TypeOf(mt.Zero().Interface()).Elem().Size() + irSize[md.Name()])
	switch md.Name() {
	case "ModelProto", "GraphProto", "FunctionProto", "NodeProto", "AttributeProto", "TensorProto", "SparseTensorProto":
		// TrainingInfoProto, too, has tensors; but it is carried through unread.
		info.heavy = true
	}
	known[name] = info
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		f := fieldInfo{kind: fd.Kind(), list: fd.IsList()}
		if fd.Message() != nil {
			f.message = messageOf(fd.Message().FullName(), known)
		}
		switch md.Name() {
		case "TensorProto":
			switch fd.Number() {
			case floatData, int32Data, int64Data, rawData, doubleData, uint64Data:
				f.elements = true
			}
		case "NodeProto":
			f.values = fd.Name() == "output"
		case "FunctionProto":
			f.values = fd.Name() == "input" || fd.Name() == "output"
		}
		info.fields[fd.Number()] = f
	}
	return info
}

// wireError says at which byte the wire format is broken. (protobuf's own
// messages change from build to build, so that nobody matches them.)
func wireError(info *messageInfo, offset int, what string) error {
	return errorf("", "not an ONNX model, or damaged: at byte %d, in a %s, %s", offset, info.name, what)
}

// parseFault names the fault behind a negative length from protowire.
func parseFault(n int) string {
	if errors.Is(protowire.ParseError(n), io.ErrUnexpectedEOF) {
		return "the data is cut off"
	}
	return "the data is no protobuf"
}

// scan walks the wire format before anything is allocated for it. It refuses
// what is malformed, nested too deep, or would take too much memory.
type scan struct {
	data   []byte
	memory int64 // that decoding would take
	light  int64 // bytes that split would leave
}

func (s *scan) run() error {
	if err := s.message(modelInfo(), s.data, 1); err != nil {
		return err
	}
	limit := int64(freeMemory) + memoryPerByte*int64(len(s.data))
	if need := s.memory + s.light; need > limit {
		return errorf("", "decoding would take %d bytes of memory, more than the %d allowed for a file of %d", need, limit, len(s.data))
	}
	return nil
}

func (s *scan) message(info *messageInfo, b []byte, depth int) error {
	// Every slice of the file has its end of capacity in common.
	offset := func() int { return cap(s.data) - cap(b) }
	if depth > maxDepth {
		return wireError(info, offset(), fmt.Sprintf("messages are nested more than %d deep", maxDepth))
	}
	s.memory += info.size
	s.light += 16 // lengths, and the index of split-off elements
	var packed int64
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return wireError(info, offset(), parseFault(n))
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			return wireError(info, offset(), parseFault(m))
		}
		value := b[n : n+m]
		f, known := info.fields[num]
		switch {
		case !known:
			s.memory += 3*int64(m+n) + 16 // collected in a growing slice
			s.light += int64(m + n)
		case f.message != nil && typ == protowire.BytesType:
			child, _ := protowire.ConsumeBytes(value)
			s.light += int64(m + n - len(child))
			if !info.heavy || !f.message.heavy {
				s.light -= 16 // copied as it is
			}
			s.memory += 64 // a slot in a growing list
			if err := s.message(f.message, child, depth+1); err != nil {
				return err
			}
		case f.elements:
			s.memory += elementsMemory(num, typ, value)
		case f.list && typ == protowire.BytesType && f.packable():
			// protobuf makes room for each run of a packed list anew, so that
			// many short ones take quadratic time and memory.
			packed += int64(f.count(value))
			s.memory += 8*packed + 32
			s.light += int64(m + n)
		default:
			s.memory += fieldMemory(f, value)
			s.light += int64(m + n)
		}
		b = b[n+m:]
	}
	return nil
}

// elementsMemory bounds what elements take besides the file itself.
func elementsMemory(num protowire.Number, typ protowire.Type, value []byte) int64 {
	const slot = 7 * int64(unsafe.Sizeof(chunk{})) // in a growing list
	if typ == protowire.BytesType {
		value, _ = protowire.ConsumeBytes(value)
	}
	switch num {
	case int32Data:
		return slot + 4*int64(countVarints(value))
	case int64Data, uint64Data:
		return slot + 8*int64(countVarints(value))
	}
	return slot
}

// fieldMemory bounds what a field of strings, bytes or numbers takes.
func fieldMemory(f fieldInfo, value []byte) int64 {
	switch {
	case f.values:
		return int64(len(value)) + 512 + int64(unsafe.Sizeof(Value{}))
	case !f.packable():
		return int64(len(value)) + 144 // headers, slots
	case f.list:
		return 48
	}
	return 16
}

// packable reports whether the field is of numbers.
func (f fieldInfo) packable() bool {
	return f.message == nil && f.kind != protoreflect.StringKind && f.kind != protoreflect.BytesKind
}

// count returns how many numbers a packed run has.
func (f fieldInfo) count(run []byte) int {
	run, _ = protowire.ConsumeBytes(run)
	switch f.kind {
	case protoreflect.FloatKind:
		return len(run) / 4
	case protoreflect.DoubleKind:
		return len(run) / 8
	}
	return countVarints(run)
}

// countVarints counts the varints of a packed list: each ends in the one byte
// below 0x80.
func countVarints(b []byte) int {
	n := 0
	for _, c := range b {
		n += int(c>>7 ^ 1)
	}
	return n
}
