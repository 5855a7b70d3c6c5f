package graph

import (
	"bufio"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/afc-project/afc/graph/internal/mem"
)

// stream writes a message without a second copy of the tensors in it, which
// proto.Marshal would make.
func stream(w io.Writer, p proto.Message) error {
	if size := proto.Size(p); size > MaxFileSize {
		return errorf("", "the model takes %d bytes, more than the %d that a protobuf file may have; its weights must go to external data", size, MaxFileSize)
	}
	buf := bufio.NewWriterSize(w, 1<<16)
	s := &streamer{w: buf}
	if err := s.message(modelInfo(), p.ProtoReflect()); err != nil {
		return err
	}
	return buf.Flush()
}

type streamer struct {
	w     *bufio.Writer
	small []byte // scratch
}

// message writes the heavy fields of a message, those with tensors in them or
// elements, one by one, and before them all others at once.
func (s *streamer) message(info *messageInfo, m protoreflect.Message) error {
	heavy := func(fd protoreflect.FieldDescriptor) bool {
		f := info.fields[fd.Number()]
		return f.elements || f.message != nil && f.message.heavy
	}
	light := m.New()
	light.SetUnknown(m.GetUnknown())
	for fd, v := range m.Range {
		if !heavy(fd) {
			light.Set(fd, v)
		}
	}
	var err error
	if s.small, err = (proto.MarshalOptions{Deterministic: true}).MarshalAppend(s.small[:0], light.Interface()); err != nil {
		return err
	}
	if _, err := s.w.Write(s.small); err != nil {
		return err
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !heavy(fd) || !m.Has(fd) {
			continue
		}
		child := info.fields[fd.Number()].message
		switch {
		case fd.IsList():
			for k := range m.Get(fd).List().Len() {
				if err := s.field(fd, child, m.Get(fd).List().Get(k).Message()); err != nil {
					return err
				}
			}
		case child != nil:
			if err := s.field(fd, child, m.Get(fd).Message()); err != nil {
				return err
			}
		default: // raw_data, the only field of elements that is used
			raw := m.Get(fd).Bytes()
			if err := s.header(fd.Number(), len(raw)); err != nil {
				return err
			}
			if _, err := s.w.Write(raw); err != nil {
				return writeFailed(raw, err)
			}
			mem.Release(raw)
		}
	}
	return nil
}

func (s *streamer) field(fd protoreflect.FieldDescriptor, info *messageInfo, m protoreflect.Message) error {
	if err := s.header(fd.Number(), proto.Size(m.Interface())); err != nil {
		return err
	}
	return s.message(info, m)
}

// header writes the tag and length of a field.
func (s *streamer) header(num protowire.Number, size int) error {
	b := protowire.AppendTag(nil, num, protowire.BytesType)
	_, err := s.w.Write(protowire.AppendVarint(b, uint64(size)))
	return err
}
