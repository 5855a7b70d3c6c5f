package checkpoint

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/limits"
	"github.com/afc-project/afc/internal/regular"
)

// Error says why a checkpoint cannot be used: it cannot be read
// (Reason), or its tensors are not those of the network (the lists).
type Error struct {
	File      string
	Reason    string
	Missing   []string // keys the network needs
	Extra     []string // keys the network has no place for
	Misshapen []Misshapen
}

// Misshapen is a tensor of another shape than the network's.
type Misshapen struct{ Key, Expected, Found string }

func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		fmt.Fprintf(&b, "%s: ", e.File)
	}
	b.WriteString(e.Reason)
	for _, k := range e.Missing {
		fmt.Fprintf(&b, "\n  missing   %s", k)
	}
	for _, k := range e.Extra {
		fmt.Fprintf(&b, "\n  extra     %s", k)
	}
	for _, m := range e.Misshapen {
		fmt.Fprintf(&b, "\n  misshapen %s: expected %s, found %s", m.Key, m.Expected, m.Found)
	}
	return b.String()
}

// Read reads the weights in a file, whatever its name says: PyTorch's
// zip or older format (.pth, .pth.tar), safetensors, or NumPy's npz. Tensors
// may stand at the top or under one of stateKeys; where several are there, the
// first is taken and the StateDict names the others. Nothing in the file is
// executed. What cannot be read is an *Error; failures to open are the system's.
func Read(file string) (*StateDict, error) { return ReadKey(file, "") }

// KeyError says that a file has no tensors under the key asked for.
type KeyError struct {
	File, Key string
	Has       []string // the keys that there are
}

func (e *KeyError) Error() string {
	if len(e.Has) == 0 {
		return fmt.Sprintf("%s has its tensors at the top, under no key", e.File)
	}
	return fmt.Sprintf("%s has no tensors under %q; it has them under %s", e.File, e.Key, strings.Join(e.Has, ", "))
}

// ReadKey is Read of the tensors under a key of a PyTorch file. Where it has none
// the error is a *KeyError.
func ReadKey(file, key string) (*StateDict, error) {
	f, err := regular.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	sd, err := decodeCheckpoint(f, info.Size(), key)
	var no *KeyError
	switch {
	case errors.As(err, &no):
		no.File = file
		return nil, no
	case err != nil:
		return nil, &Error{File: file, Reason: err.Error()}
	case sd.Key != key && key != "":
		return nil, &KeyError{File: file, Key: key}
	case key != "":
		sd.OtherKeys = nil
	}
	sd.File = file
	return sd, nil
}

// decodeCheckpoint tells the formats apart by content.
func decodeCheckpoint(r io.ReaderAt, size int64, key string) (*StateDict, error) {
	var head [10]byte
	n, err := r.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	mem := limits.NewAllowance(size)
	switch h := head[:n]; {
	case bytes.HasPrefix(h, []byte("PK\x03\x04")):
		return decodeZip(r, size, key, mem)
	case len(h) > 8 && h[8] == '{':
		return decodeSafetensors(r, size, mem)
	case len(h) > 0 && h[0] == 0x80:
		return decodeTorchLegacy(r, size, key, mem)
	}
	return nil, errors.New("not a checkpoint: expected PyTorch (.pth, .pth.tar), safetensors or npz")
}

func decodeZip(r io.ReaderAt, size int64, key string, mem *limits.Allowance) (*StateDict, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("damaged zip archive: %w", err)
	}
	npz := len(z.File) > 0
	for _, f := range z.File {
		switch {
		case path.Base(f.Name) == "constants.pkl":
			return nil, errors.New("a TorchScript archive, not a state dict: save model.state_dict() instead")
		case path.Base(f.Name) == "data.pkl":
			return decodeTorchZip(z, strings.TrimSuffix(f.Name, "data.pkl"), key, mem)
		case !strings.HasSuffix(f.Name, ".npy"):
			npz = false
		}
	}
	if npz {
		return decodeNPZ(z, mem)
	}
	return nil, errors.New("a zip archive, but neither PyTorch's (no data.pkl) nor NumPy's (not all .npy)")
}

// arrange copies a tensor laid out with strides (in elements) into row-major
// order. raw starts at its first element.
func arrange(dtype graph.DataType, dims, strides []int64, raw []byte, mem *limits.Allowance) (*graph.Tensor, error) {
	shape := graph.Tensor{DType: dtype, Dims: dims}
	bytes, err := shape.NumBytes()
	if err != nil {
		return nil, err
	}
	size := int64(dtype.Size())
	if bytes == 0 {
		return graph.NewTensor(dtype, dims, nil)
	}
	last, contiguous, want := int64(0), true, int64(1)
	for i := len(dims) - 1; i >= 0; i-- {
		d, s := dims[i], strides[i]
		if d > 1 {
			if s < 0 || (s > 0 && d-1 > int64(len(raw))/s) {
				return nil, fmt.Errorf("shape %v with strides %v does not fit its storage", dims, strides)
			}
			last += (d - 1) * s
			contiguous = contiguous && s == want
		}
		want *= d
	}
	if last >= int64(len(raw))/size || bytes > int64(len(raw)) {
		return nil, fmt.Errorf("shape %v with strides %v does not fit its storage of %d elements",
			dims, strides, int64(len(raw))/size)
	}
	if contiguous {
		return graph.NewTensor(dtype, dims, raw[:bytes:bytes])
	}
	if err := mem.Take(bytes); err != nil {
		return nil, err
	}
	out := make([]byte, 0, bytes)
	at := make([]int64, len(dims))
	for from := int64(0); int64(len(out)) < bytes; {
		out = append(out, raw[from*size:(from+1)*size]...)
		for i := len(dims) - 1; i >= 0; i-- {
			at[i]++
			from += strides[i]
			if at[i] < dims[i] {
				break
			}
			from -= at[i] * strides[i]
			at[i] = 0
		}
	}
	return graph.NewTensor(dtype, dims, out)
}
