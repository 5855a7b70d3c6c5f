package verify

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/numpy"
	"github.com/afc-project/afc/internal/testutil/bounds"
	"github.com/afc-project/afc/verify/ort"
)

// recordingFile writes a recording and returns its path and bytes.
func recordingFile(t testing.TB, r *Recording) (string, []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "run.npz")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path, b.Bytes()
}

// TestSameRecorded: answers that were recorded stand for the model that gave them,
// and find another.
func TestSameRecorded(t *testing.T) {
	needRuntime(t)
	opt := SameOptions{Shapes: map[string][]int64{"": {3, 2}}, Iterations: 2, Session: ort.SessionOptions{Threads: 1}, Record: true}
	r, err := Same(t.Context(), affine(2, 1), nil, opt)
	if err != nil {
		t.Fatal(err)
	}
	path, raw := recordingFile(t, r.Recording)
	back, err := ReadRecording(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, again := recordingFile(t, back); !bytes.Equal(raw, again) {
		t.Error("read and written again, it has other bytes")
	}
	opt = SameOptions{Session: ort.SessionOptions{Threads: 1}, Recorded: back}
	for shift, want := range map[float32]bool{1: true, 1.5: false} {
		r, err := Same(t.Context(), nil, affine(2, shift), opt)
		if err != nil {
			t.Fatal(err)
		}
		if r.Failed() == want || len(r.Checks) != 2 || !strings.Contains(r.Inputs, "2 runs as recorded in "+path) {
			t.Errorf("of b %g: %q, %+v", shift, r.Inputs, r.Checks)
		}
	}
	// Half of the elements are off by 0.5, by their mean less than that.
	opt.Tolerances = map[string]Tolerance{"": {Abs: 0.6, Stat: "mean"}}
	if r, err := Same(t.Context(), nil, affine(2, 1.5), opt); err != nil || r.Failed() {
		t.Errorf("by the mean: %+v, %v", r, err)
	}
	opt.Tolerances = map[string]Tolerance{"": {Abs: 0.1, Stat: "max"}}
	if r, err := Same(t.Context(), nil, affine(2, 1.5), opt); err != nil || !r.Failed() {
		t.Errorf("by the largest: %+v, %v", r, err)
	}
}

func TestStatistics(t *testing.T) {
	s := statisticsOf([]float64{1, 2, 3, 4, 5}, []float64{1, 2, 3, 4, 0})
	if s.Want != (Spread{Mean: 2, Std: s.Want.Std, Min: 0, Median: 2, P90: 3.6, P99: 3.96, Max: 4}) || s.Want.Std < 1.4142 || s.Want.Std > 1.4143 {
		t.Errorf("wanted: %+v", s.Want)
	}
	if s.Abs.Mean != 1 || s.Abs.Median != 0 || s.Abs.Max != 5 || s.Rel.Max != 0 {
		t.Errorf("errors: %+v, relative %+v", s.Abs, s.Rel)
	}
}

func TestReadRecordingRefuses(t *testing.T) {
	x := graph.Float32s([]int64{1}, 1)
	by, err := graph.NewTensor(graph.Uint8, []int64{2}, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	first := numpy.Array{Name: recordedBy, Tensor: by}
	for want, arrays := range map[string][]numpy.Array{
		"its first array is": {{Name: "x", Tensor: x}},
		"it holds no run":    {first},
		"run by run":         {first, {Name: "inputs/1/x", Tensor: x}},
		"KIND/RUN/NAME":      {first, {Name: "inputs", Tensor: x}},
		"0 outputs":          {first, {Name: "inputs/0/x", Tensor: x}},
		"there is no kind":   {first, {Name: "weights/0/x", Tensor: x}},
		"it stands twice":    {first, {Name: "inputs/0/x", Tensor: x}, {Name: "inputs/0/x", Tensor: x}},
		"want uint8":         {first, {Name: "masks/0/selected", Tensor: x}},
		`u001b`:              {first, {Name: "\x1b[31m/0/x", Tensor: x}},
	} {
		var b bytes.Buffer
		if err := numpy.WriteArchive(&b, arrays); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "x.npz")
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadRecording(path); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// FuzzRecording: whatever the arrays of an archive say, it is read or refused, and
// choices have their shape.
func FuzzRecording(f *testing.F) {
	masks, err := graph.NewTensor(graph.Uint8, []int64{1, 1, 2}, []byte{1, 0})
	if err != nil {
		f.Fatal(err)
	}
	x := graph.Float32s([]int64{2}, 1, 2)
	r := &Recording{Runs: []Recorded{{Inputs: map[string]*graph.Tensor{"x": x}, Outputs: map[string]*graph.Tensor{"y": x}, Masks: masks, Margins: x}}}
	_, raw := recordingFile(f, r)
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		f.Fatal(err)
	}
	for _, entry := range z.File {
		f.Add(strings.TrimSuffix(entry.Name, ".npy"), int64(1), int64(1), int64(2), []byte("{}"))
	}
	f.Fuzz(func(t *testing.T, name string, a, b, c int64, body []byte) {
		bounds.Hold(t, 1<<16+len(body), func() {
			r := &Recording{}
			tensor, err := graph.NewTensor(graph.Uint8, []int64{a, b, c}, body)
			if err != nil {
				return
			}
			if r.readBy(numpy.Array{Name: name, Tensor: tensor}) == nil {
				return
			}
			if r.read(numpy.Array{Name: name, Tensor: tensor}) != nil {
				return
			}
			o, err := r.Runs[0].outcome()
			if err == nil && r.Runs[0].Masks != nil && len(o.masks) != int(a) {
				t.Errorf("%d clips, want %d", len(o.masks), a)
			}
		})
	})
}
