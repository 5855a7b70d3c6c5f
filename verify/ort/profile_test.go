package ort

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/graph"
)

func TestParseProfile(t *testing.T) {
	const trace = `[
{"cat":"Session","ts":-2500,"dur":2400,"ph":"X","name":"model_run","args":{}},
{"cat":"Node","ts":-2480,"dur":300,"ph":"X","name":"conv_kernel_time","args":{"op_name":"Conv","provider":"CPUExecutionProvider"}},
{"cat":"Session","ts":0,"dur":1000,"ph":"X","name":"model_run","args":{}},
{"cat":"Node","ts":10,"dur":100,"ph":"X","name":"gate_kernel_time","args":{"op_name":"If","provider":"CPUExecutionProvider","mem_in_use_peak":"64"}},
{"cat":"Node","ts":20,"dur":60,"ph":"X","name":"conv_kernel_time","args":{"op_name":"Conv","provider":"CPUExecutionProvider","mem_in_use_peak":"4096",
 "input_type_shape":[{"float":[1,2]},{"float":[]}],"output_type_shape":[{"float":[1,8,4,4]}]}},
{"cat":"Node","ts":120,"dur":30,"ph":"X","name":"conv_kernel_time","args":{"op_name":"Conv","provider":"WebGpuExecutionProvider"}},
{"cat":"Node","ts":150,"dur":1,"ph":"X","name":"conv_fence_before","args":{"op_name":"Conv"}}
]`
	p, err := parseProfile([]byte(trace))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Events) != 3 || p.PeakMemory != 4096 {
		t.Fatalf("%d events, peak %d; want 3, 4096", len(p.Events), p.PeakMemory)
	}
	// The If ran 100 µs, 60 of them in its branch.
	if p.Events[0].Time != 40*time.Microsecond {
		t.Errorf("the If itself took %v, want 40µs", p.Events[0].Time)
	}
	if e := p.Events[1]; e.Node != "conv" || !cmp.Equal(e.OutShape, []int64{1, 8, 4, 4}) || !cmp.Equal(e.Inputs, []string{"float[1 2]", "float[]"}) {
		t.Errorf("event %+v", e)
	}
	want := []Tally{{"Conv", 1, 2, 90 * time.Microsecond}, {"If", 1, 1, 40 * time.Microsecond}}
	if d := cmp.Diff(want, p.ByOp()); d != "" {
		t.Errorf("by operator (-want +got)\n%s", d)
	}
	if by := p.ByProvider(); len(by) != 2 || by[1].Name != "WebGpuExecutionProvider" || by[1].Time != 30*time.Microsecond {
		t.Errorf("by provider %+v", by)
	}
}

// TestMACs: products are counted by the shapes that a node ran with.
func TestMACs(t *testing.T) {
	for _, tc := range []struct {
		event NodeEvent
		want  int64
	}{
		{NodeEvent{Op: "Conv", InShapes: [][]int64{{2, 8, 6, 6}, {16, 8, 3, 3}, {16}}, OutShape: []int64{2, 16, 6, 6}}, 2 * 16 * 36 * 72},
		{NodeEvent{Op: "Conv", InShapes: [][]int64{{2, 8, 6, 6}, {8, 1, 3, 3}}, OutShape: []int64{2, 8, 4, 4}}, 2 * 8 * 16 * 9},
		{NodeEvent{Op: "Conv", InShapes: [][]int64{{0, 8, 6, 6}, {16, 8, 3, 3}}, OutShape: []int64{0, 16, 6, 6}}, 0},
		{NodeEvent{Op: "QLinearConv", InShapes: [][]int64{{1, 4, 2, 2}, {}, {}, {8, 4, 1, 1}}, OutShape: []int64{1, 8, 2, 2}}, 8 * 4 * 4},
		{NodeEvent{Op: "Gemm", InShapes: [][]int64{{5, 7}, {3, 7}}, OutShape: []int64{5, 3}}, 5 * 3 * 7},
		{NodeEvent{Op: "Gemm", InShapes: [][]int64{{7, 5}, {7, 3}}, OutShape: []int64{5, 3}}, 5 * 3 * 7},
		{NodeEvent{Op: "Gemm", InShapes: [][]int64{{0, 7}, {3, 7}}, OutShape: []int64{0, 3}}, 0},
		{NodeEvent{Op: "MatMul", InShapes: [][]int64{{2, 5, 7}, {7, 3}}, OutShape: []int64{2, 5, 3}}, 2 * 5 * 3 * 7},
		{NodeEvent{Op: "Conv"}, 0},
		{NodeEvent{Op: "MatMul"}, 0},
		{NodeEvent{Op: "Add", InShapes: [][]int64{{4}, {4}}, OutShape: []int64{4}}, 0},
	} {
		if got := tc.event.MACs(); got != tc.want {
			t.Errorf("%s of %v: %d, want %d", tc.event.Op, tc.event.InShapes, got, tc.want)
		}
	}
}

func TestEndProfile(t *testing.T) {
	dir := t.TempDir()
	s := openSession(t, affine(2, 1), SessionOptions{OptLevel: OptNone, ProfilePrefix: filepath.Join(dir, "trace")})
	for range 2 {
		if _, err := s.Run(t.Context(), graph.Float32s([]int64{3, 2}, 1, 2, 3, 4, 5, 6)); err != nil {
			t.Fatal(err)
		}
	}
	p, err := s.EndProfile()
	if err != nil {
		t.Fatal(err)
	}
	runs := map[string]int{}
	for _, tally := range p.By(func(e NodeEvent) string { return e.Node }) {
		runs[tally.Name] = tally.Runs
	}
	if want := map[string]int{"scaled": 1, "shifted": 1, "relu": 1, "shape": 1}; !cmp.Equal(runs, want) {
		t.Errorf("executions %v, want %v", runs, want)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("the trace is left behind: %v", left)
	}
}
