package fit

import (
	"fmt"
	"os"
	"unsafe"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// stream is a feature map of every frame of every clip, in a file without a
// name: it needs no memory, and nothing is left of it however the process ends.
type stream struct {
	file   *os.File
	c      int
	at     afblock.Size
	frames int // of all clips
	users  int
}

func newStream(frames, c int, at afblock.Size) (*stream, error) {
	f, err := os.CreateTemp("", "afc-fit-*")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name()) // where a file in use cannot go, close does it
	return &stream{f, c, at, frames, 1}, nil
}

// share returns the stream for another user, who closes it too.
func (s *stream) share() *stream {
	s.users++
	return s
}

// close gives the stream up; with its last user it goes. A nil stream is closed.
func (s *stream) close() {
	if s == nil {
		return
	}
	if s.users--; s.users == 0 {
		s.file.Close()
		os.Remove(s.file.Name())
	}
}

// perFrame is how many values a frame has.
func (s *stream) perFrame() int { return s.c * s.at[0] * s.at[1] }

// write puts whole frames in place, from a frame on.
func (s *stream) write(frame int, values []float32) error {
	if _, err := s.file.WriteAt(bytesOf(values), int64(frame)*int64(s.perFrame())*4); err != nil {
		return fmt.Errorf("activations of %d frames, %s: %w (TMPDIR names the folder)", s.frames, gigabytes(int64(s.frames)*int64(s.perFrame())*4), err)
	}
	return nil
}

// read fills values with whole frames, from a frame on.
func (s *stream) read(frame int, values []float32) error {
	_, err := s.file.ReadAt(bytesOf(values), int64(frame)*int64(s.perFrame())*4)
	return err
}

// bytesOf views values as a tensor's bytes. ONNX Runtime runs on little-endian
// machines only, and so does everything here.
func bytesOf(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}

// tensorOf makes a tensor over values, which it keeps.
func tensorOf(values []float32, dims ...int) *graph.Tensor {
	d := make([]int64, len(dims))
	for i, n := range dims {
		d[i] = int64(n)
	}
	t, err := graph.NewTensor(graph.Float32, d, bytesOf(values))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return t
}

// valuesOf views a tensor of float32 that ONNX Runtime made as values.
func valuesOf(t *graph.Tensor) ([]float32, error) {
	raw, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	if t.DType != graph.Float32 {
		return nil, fmt.Errorf("BUG: %s where float32 was expected", t.DType)
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(raw))), len(raw)/4), nil
}

func gigabytes(n int64) string { return fmt.Sprintf("%.1f GB", float64(n)/1e9) }
