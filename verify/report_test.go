package verify_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// sampleReport has one of everything.
func sampleReport() *verify.Report {
	return &verify.Report{
		Program: "afc test", Runtime: "1.30.0", Machine: "linux/amd64, 2 processors", Provider: "webgpu", Inputs: "2 random clips (normal, seed 0)",
		Models: []verify.ModelInfo{
			{Role: "model", Path: "a<f>.onnx", Nodes: 12, Opset: 13, Lowering: "gather", Accuracy: &verify.Accuracy{Top1: 0.5, Top5: 1}},
			{Role: "source", Path: "source.onnx", Nodes: 9, Opset: 11},
		},
		Checks: []verify.Check{
			{Name: "load", Title: "ONNX Runtime loads it without a warning", Status: verify.Pass, Figure: "0 warnings", Limit: "0"},
			{Name: "reference", Title: "equals its own mask lowering", Status: verify.Fail, Figure: "2.0e-02 of max", Limit: "1.0e-05 of max", Where: "logits[0 3]: got 1, want 1.1"},
			{Name: "batch", Title: "a batch equals its clips one by one", Status: verify.Skip, Where: "the model takes one clip at a time"},
			{Name: "latency", Title: "time against the source", Status: verify.Info, Figure: "median 2.0 ms a clip"},
		},
		Masks: &verify.Masks{Blocks: []string{"layer1.0", "layer1.1"}, Frames: 3, Chosen: [][][]uint8{{{1, 0, 1}, {0, 0, 0}}, {{1, 1, 0}, {0, 1, 0}}}, Margin: 0.001, Scale: 2},
		Errors: []verify.Difference{
			{Check: "reference", Output: "logits", Needed: 2e-2, Limit: 1e-5, Peak: 5, MaxAbs: 0.1, Bad: 3, Index: []int64{0, 3}},
			{Check: "repeat", Output: "logits", Peak: 5},
		},
		Latency: []verify.Latency{
			{Model: "model", Clips: 1, Runs: 3, First: 9, P50: 2, P90: 3, P99: 3, Throughput: 500, Ratio: 0.5, MACs: 300, MACRatio: 0.375, Activations: 2e6, Resident: 90e6, Samples: []float64{2, 1.5, 3},
				Ops: []ort.Tally{{Name: "Conv", Nodes: 5, Runs: 5, Time: time.Millisecond}}, Stages: []ort.Tally{{Name: "layer1", Nodes: 5, Runs: 5, Time: time.Millisecond}}},
			{Model: "source", Clips: 1, Runs: 3, First: 8, P50: 4, P90: 5, P99: 5, Throughput: 250, Ratio: 1, MACs: 800, MACRatio: 1, Samples: []float64{4, 5, 4}},
		},
		Placement: []ort.Tally{{Name: "WebGpuExecutionProvider", Nodes: 10, Runs: 10, Time: time.Millisecond}, {Name: "CPUExecutionProvider", Nodes: 2, Runs: 2}},
		Fallbacks: []ort.Tally{{Name: "NonZero", Nodes: 2, Runs: 2}},
	}
}

func TestReportText(t *testing.T) {
	var b bytes.Buffer
	if err := sampleReport().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	testutil.Golden(t, "report.txt", b.String())
}

func TestReportJSON(t *testing.T) {
	var b bytes.Buffer
	if err := sampleReport().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	testutil.Golden(t, "report.json", b.String())
	var back verify.Report
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Error(err)
	}
}

func TestReportHTML(t *testing.T) {
	var b bytes.Buffer
	if err := sampleReport().WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{"a&lt;f&gt;.onnx", "1 passed, 1 failed, 1 skipped", `id="check-reference"`, `id="masks"`, `id="errors"`, `id="latency"`, `id="placement"`, "NonZero (2)"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, bad := range []string{"http:", "https:", "src=", "<script", "<link", "ZgotmplZ", "NaN", "%!"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	var empty bytes.Buffer
	if err := (&verify.Report{}).WriteHTML(&empty); err != nil {
		t.Error(err)
	}
	if s := empty.String(); strings.Contains(s, "<svg") {
		t.Error("an empty report draws charts")
	}
}

// TestReportInBrowser lets Chromium lay the page out and counts what it shows.
func TestReportInBrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium")
	}
	var b bytes.Buffer
	if err := sampleReport().WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	// The page measures itself: what is laid out has a size.
	probe := `<script>
const seen = s => [...document.querySelectorAll(s)].filter(e => e.getBoundingClientRect().width > 0).length;
document.title = ["#checks tbody tr", "#masks rect", "#errors rect", "#latency circle", "#placement tbody tr"].map(seen).join(" ") + " overflow " + (document.documentElement.scrollWidth > innerWidth);
</script></body>`
	page := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(page, []byte(strings.Replace(b.String(), "</body>", probe, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900",
		"--user-data-dir="+t.TempDir(), "--virtual-time-budget=1000", "--dump-dom", "file://"+page)
	cmd.WaitDelay = time.Minute
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("chromium does not run here: %v", err)
	}
	// Of the two bars of errors, the one of size zero is not to be seen.
	if want := "<title>4 6 1 6 2 overflow false</title>"; !strings.Contains(string(out), want) {
		title, _, _ := strings.Cut(string(out), "</title>")
		t.Errorf("the page shows %q, want %q", title[max(0, len(title)-60):], want)
	}
}
