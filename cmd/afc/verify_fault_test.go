package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// endless returns a model that takes clips and never answers.
func endless() *graph.Model {
	m := graph.NewModel("endless", 8, 13)
	g := m.Graph
	x := g.AddInput("video", graph.TensorType(graph.Float32, graph.ShapeOf(1, 2, 3, 4, 4)))
	body := graph.NewGraph("body")
	body.AddInput("iteration", graph.TensorType(graph.Int64, graph.Shape{}))
	going := body.AddInput("going", graph.TensorType(graph.Bool, graph.Shape{}))
	carried := body.AddInput("carried", x.Type)
	for i, v := range []*graph.Value{going, carried} {
		out := body.NewNode("Identity", []string{"on", "through"}[i], []*graph.Value{v}, 1).Output(0)
		out.Type = v.Type
		body.AddOutput(out)
	}
	trips := g.AddInitializer("trips", graph.Int64s(nil, math.MaxInt64))
	yes, err := graph.NewTensor(graph.Bool, nil, []byte{1})
	if err != nil {
		panic("BUG: " + err.Error())
	}
	loop := g.NewNode("Loop", "loop", []*graph.Value{trips, g.AddInitializer("yes", yes), x}, 1, graph.Subgraph("body", body))
	loop.Output(0).Type = x.Type
	g.AddOutput(loop.Output(0))
	return m
}

// faulty returns a model that takes clips of TSN's and kills ONNX Runtime when
// it is loaded: the smallest integer over −1 overflows, which x86 traps and the
// runtime does not look for.
func faulty() *graph.Model {
	m := graph.NewModel("faulty", 8, 13)
	g := m.Graph
	x := g.AddInput("video", graph.TensorType(graph.Float32, graph.ShapeOf(1, 12, 33, 33)))
	least := g.AddInitializer("least", graph.Vec(math.MinInt64))
	quotient := g.NewNode("Div", "divide", []*graph.Value{least, g.AddInitializer("minus", graph.Vec(-1))}, 1).Output(0)
	scale := g.NewNode("Cast", "scale", []*graph.Value{quotient}, 1, graph.Int("to", int64(graph.Float32))).Output(0)
	y := g.NewNode("Mul", "answer", []*graph.Value{x, scale}, 1).Output(0)
	y.Type = x.Type
	g.AddOutput(y)
	return m
}

// TestVerifyCrash: a source that ONNX Runtime dies of fails the check that ran
// it, by name; what was found before is not lost.
func TestVerifyCrash(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("other processors do not trap an overflowing division")
	}
	source := encodedFile(t, faulty())
	sound := modelFile(t, testmodels.Spec{Blocks: []int{2, 2, 2, 2}, Width: 8, Frames: 4, Size: 33, Classes: 7})
	af := filepath.Join(t.TempDir(), "af.onnx")
	mustRun(t, "convert", sound, "-o", af)
	crashed := "loading " + source + " into ONNX Runtime: ONNX Runtime crashed"

	page := filepath.Join(t.TempDir(), "report.html")
	o := tryRun(t, "verify", source, af, "--threads", "1", "--only", "load,reference,agreement,latency", "--json", "--report", page)
	if o.code != exitMismatch || !strings.Contains(o.stderr, crashed) || strings.Contains(o.stderr, "goroutine") {
		t.Errorf("exit %d, want %d\n%s", o.code, exitMismatch, o.stderr)
	}
	var r verify.Report
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil {
		t.Fatalf("%v\n%s", err, o.stdout)
	}
	var got []string
	for _, c := range r.Checks {
		got = append(got, c.Name+" "+string(c.Status))
	}
	if d := cmp.Diff([]string{"load pass", "reference pass", "agreement FAIL", "latency skip"}, got); d != "" {
		t.Errorf("checks (-want +got)\n%s", d)
	}
	if where := r.Checks[2].Where; !strings.HasPrefix(where, crashed) {
		t.Errorf("agreement failed with %q, want %q", where, crashed)
	}
	if html, err := os.ReadFile(page); err != nil || !bytes.Contains(html, []byte("ONNX Runtime crashed")) {
		t.Errorf("the report's page: %v, %d bytes", err, len(html))
	}

	if o := tryRun(t, "verify", "--same", sound, source); o.code != exitMismatch || !strings.Contains(o.stderr, crashed) {
		t.Errorf("--same: exit %d\n%s", o.code, o.stderr)
	}
}

// TestVerifyTimeout: a model that hangs ONNX Runtime costs no more than
// --timeout, and the message says where it hung.
func TestVerifyTimeout(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	path := encodedFile(t, endless())
	start := time.Now()
	o := tryRun(t, "verify", path, "--only", "repeat", "--timeout", "2s")
	if o.code == exitOK || !strings.Contains(o.stderr, "running "+path+": not done after 2s") {
		t.Errorf("exit %d, %q", o.code, o.stderr)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

// TestVerifyInterrupted: Ctrl-C stops a run under way, parent and child, with
// one message.
func TestVerifyInterrupted(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := program(ctx, "verify", encodedFile(t, endless()), "--only", "repeat")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	interrupted := 0
	for lines := bufio.NewScanner(stderr); lines.Scan(); { // until the child has closed it too
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "check 1 of 1"):
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		case line == "afc: interrupted":
			interrupted++
		}
	}
	cmd.Wait() // its error is the exit code
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || interrupted != 1 || ctx.Err() != nil {
		t.Errorf("exit %d, %d messages, %v", code, interrupted, ctx.Err())
	}
}
