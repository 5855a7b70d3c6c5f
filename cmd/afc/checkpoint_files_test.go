package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
)

// checkpointFormats write a state dict as the files that people have.
var checkpointFormats = map[string]func(*testing.T, []testmodels.Entry) []byte{
	"safetensors": asSafetensors,
	"npz":         asNPZ,
	"pth":         asTorch,
	"pth.tar":     asTrainer,
}

func asSafetensors(t *testing.T, entries []testmodels.Entry) []byte {
	t.Helper()
	sd := checkpoint.New()
	for _, e := range entries {
		sd.Set(e.Key, e.Tensor)
	}
	var b bytes.Buffer
	if err := checkpoint.WriteSafetensors(&b, sd); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// asNPZ writes numpy.savez's archive.
func asNPZ(t *testing.T, entries []testmodels.Entry) []byte {
	t.Helper()
	return archive(t, func(put func(name string, data []byte)) {
		for _, e := range entries {
			kind := "<f4"
			if e.Tensor.DType == graph.Int64 {
				kind = "<i8"
			}
			shape := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(e.Tensor.Dims)), ", "), "[]")
			if len(e.Tensor.Dims) == 1 {
				shape += ","
			}
			header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }\n", kind, shape)
			npy := append([]byte("\x93NUMPY\x01\x00"), binary.LittleEndian.AppendUint16(nil, uint16(len(header)))...)
			put(e.Key+".npy", append(append(npy, header...), rawBytes(t, e.Tensor)...))
		}
	})
}

// asTorch writes torch.save's archive of a state dict.
func asTorch(t *testing.T, entries []testmodels.Entry) []byte {
	t.Helper()
	return torchArchive(t, entries, func(dict []byte) []byte { return dict })
}

// asTrainer writes what the authors' trainers save: the state dict in a dict.
func asTrainer(t *testing.T, entries []testmodels.Entry) []byte {
	t.Helper()
	return torchArchive(t, entries, func(dict []byte) []byte {
		p := append([]byte("}("), pickleString("epoch")...)
		p = append(p, "K\x05"...)
		p = append(p, pickleString("state_dict")...)
		return append(append(p, dict...), 'u')
	})
}

// torchArchive pickles (protocol 2) a state dict, in what wrap puts around it.
func torchArchive(t *testing.T, entries []testmodels.Entry, wrap func(dict []byte) []byte) []byte {
	t.Helper()
	return archive(t, func(put func(name string, data []byte)) {
		dict := []byte("ccollections\nOrderedDict\n)R(")
		for i, e := range entries {
			raw := rawBytes(t, e.Tensor)
			kind := "FloatStorage"
			if e.Tensor.DType == graph.Int64 {
				kind = "LongStorage"
			}
			count := len(raw) / e.Tensor.DType.Size()
			dict = append(dict, pickleString(e.Key)...)
			dict = append(dict, "ctorch._utils\n_rebuild_tensor_v2\n(("...)
			dict = append(dict, pickleString("storage")...)
			dict = append(dict, "ctorch\n"+kind+"\n"...)
			dict = append(dict, pickleString(fmt.Sprint(i))...)
			dict = append(dict, pickleString("cpu")...)
			dict = append(append(dict, pickleInt(count)...), "tQK\x00("...)
			stride := count
			var strides []byte
			for _, d := range e.Tensor.Dims {
				stride /= int(d)
				dict = append(dict, pickleInt(int(d))...)
				strides = append(strides, pickleInt(stride)...)
			}
			dict = append(append(append(dict, "t("...), strides...), "t\x89ccollections\nOrderedDict\n)RtR"...)
			put(fmt.Sprintf("archive/data/%d", i), raw)
		}
		dict = append(dict, 'u')
		put("archive/data.pkl", append(append([]byte("\x80\x02"), wrap(dict)...), '.'))
		put("archive/version", []byte("3\n"))
	})
}

func pickleString(s string) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte("X"), uint32(len(s))), s...)
}

func pickleInt(n int) []byte { return binary.LittleEndian.AppendUint32([]byte("J"), uint32(n)) }

func rawBytes(t *testing.T, x *graph.Tensor) []byte {
	t.Helper()
	raw, err := x.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// archive writes an uncompressed ZIP file.
func archive(t *testing.T, fill func(put func(name string, data []byte))) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	fill(func(name string, data []byte) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
