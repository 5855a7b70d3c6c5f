package graph

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"unsafe"

	"google.golang.org/protobuf/proto"

	"github.com/afc-project/afc/graph/internal/mem"
	"github.com/afc-project/afc/graph/internal/onnxpb"
)

const (
	// externalThreshold is the size from which EncodeExternal puts an
	// initializer outside. Shapes and axes, which readers want at load time,
	// stay inside.
	externalThreshold = 1024

	// A tensor of a page or more starts at a page, so that readers can map it.
	pageSize, smallAlign = 4096, 64
)

// EncodedSize returns the bytes that Encode would write. Above MaxFileSize it
// refuses, and EncodeExternal is needed.
func (m *Model) EncodedSize() (int64, error) {
	p, err := (&encoder{}).model(m)
	if err != nil {
		return 0, err
	}
	return int64(proto.Size(p)), nil
}

// EncodeExternal writes the model to w with the elements of its larger
// initializers in data, a file that will be named location in the model's
// folder. Both are the same for the same model. Memory taken does not depend
// on the weights.
//
// Where both replace existing files, put data in place before w: the old model
// must not be the one that is left with the new data.
func (m *Model) EncodeExternal(w, data io.Writer, location string) error {
	if !filepath.IsLocal(location) {
		return errorf("", "external data location %q is not a path inside the model's folder", location)
	}
	x := &externalWriter{w: bufio.NewWriterSize(data, 1<<16), location: location, placed: map[placement]int64{}}
	if err := (&encoder{place: x.place}).encode(w, m); err != nil {
		return err
	}
	return x.w.Flush()
}

// EncodeReferring returns the model as Encode writes it, but with the
// initializers that lie in external files left there: it refers to them under
// folder, which is the folder of the first of them. It is for readers on this
// machine.
func (m *Model) EncodeReferring() (data []byte, folder string, err error) {
	e := &encoder{place: func(t *Tensor, p *onnxpb.TensorProto) (bool, error) {
		x := t.external
		if x == nil || x.file == nil || folder != "" && x.Folder != folder {
			return false, nil
		}
		folder = x.Folder
		x.refer(p)
		return true, nil
	}}
	data, err = e.bytes(m)
	return data, folder, err
}

// externalWriter puts tensors into a data file one behind the other.
type externalWriter struct {
	w        *bufio.Writer
	location string
	offset   int64
	placed   map[placement]int64
}

// placement identifies elements in memory: tensors that share them share their
// place in the file.
type placement struct {
	first *byte
	size  int
}

func (x *externalWriter) place(t *Tensor, p *onnxpb.TensorProto) (bool, error) {
	if t.DType == String {
		return false, nil
	}
	raw, err := t.Bytes()
	if err != nil {
		return false, errorf("", "%v", err)
	}
	if len(raw) < externalThreshold {
		return false, nil
	}
	key := placement{unsafe.SliceData(raw), len(raw)}
	offset, done := x.placed[key]
	if !done {
		if offset, err = x.append(raw); err != nil {
			return false, fmt.Errorf("external data: %w", err)
		}
		x.placed[key] = offset
	}
	(&External{Location: x.location, Offset: offset, Length: int64(len(raw))}).refer(p)
	return true, nil
}

// append writes elements at the next aligned offset and returns it.
func (x *externalWriter) append(raw []byte) (int64, error) {
	align := int64(smallAlign)
	if len(raw) >= pageSize {
		align = pageSize
	}
	var zeros [pageSize]byte
	pad := (align - x.offset%align) % align
	if _, err := x.w.Write(zeros[:pad]); err != nil {
		return 0, err
	}
	if _, err := x.w.Write(raw); err != nil {
		return 0, writeFailed(raw, err)
	}
	mem.Release(raw)
	at := x.offset + pad
	x.offset = at + int64(len(raw))
	return at, nil
}
