//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify/ort"
)

// crashSpec is large enough that a conversion can be hit while it reads,
// lowers and writes.
var crashSpec = testmodels.AFSpec{Width: 48, Frames: 4, Classes: 20}

func convertArgs(weights, out string) []string {
	return []string{"convert", "--weights", weights, "--size", "64", "-o", out}
}

// convertTime converts once undisturbed: what the output should be, and how
// long it takes.
func convertTime(t *testing.T, weights string) (whole []byte, took time.Duration) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.onnx")
	start := time.Now()
	if b, err := program(t.Context(), convertArgs(weights, out)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	took = time.Since(start)
	whole, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return whole, took
}

// onlyOut fails if the folder holds more than out.onnx, temporaries aside if
// they are allowed.
func onlyOut(t *testing.T, dir string, temporaries bool) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		temporary := strings.HasPrefix(e.Name(), ".out.onnx.afc-") && strings.HasSuffix(e.Name(), ".tmp")
		if e.Name() != "out.onnx" && !(temporaries && temporary) {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}

// TestKilled: SIGKILL at a random moment leaves the old file or the whole new
// one; SIGINT leaves no temporary file either and ends the run in a second.
func TestKilled(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 3
	}
	weights := checkpointFile(t, crashSpec)
	whole, took := convertTime(t, weights)
	old := []byte("the file that stood there before")
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d, an undisturbed run takes %v", seed, took)
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			var ends []time.Duration
			for range rounds {
				dir := t.TempDir()
				out := filepath.Join(dir, "out.onnx")
				if err := os.WriteFile(out, old, 0o644); err != nil {
					t.Fatal(err)
				}
				cmd := program(t.Context(), convertArgs(weights, out)...)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				delay := time.Duration(r.Int64N(int64(took)))
				time.Sleep(delay)
				cmd.Process.Signal(sig)
				sent := time.Now()
				cmd.Wait()
				ends = append(ends, time.Since(sent))
				got, err := os.ReadFile(out)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, old) && !bytes.Equal(got, whole) {
					t.Errorf("killed after %v: the file holds %d bytes, neither the old %d nor the new %d", delay, len(got), len(old), len(whole))
				}
				onlyOut(t, dir, sig == syscall.SIGKILL)
			}
			slices.Sort(ends) // the median: a busy machine may delay one or the other
			if median := ends[len(ends)/2]; median > time.Second {
				t.Errorf("it took %v to end, want less than a second", median)
			}
		})
	}
}

// TestTuneKilled: SIGKILL at random moments loses at most the steps since the last
// state, and what is gone on with ends in the bytes, and the log, of a training that
// was not disturbed.
func TestTuneKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	const every = 2 // steps between states
	model := modelFile(t, testmodels.Spec{Blocks: []int{2, 2}, Width: 8, Frames: 4, Size: 24, Classes: 3, Shift: testmodels.ShiftConcat})
	af := filepath.Join(filepath.Dir(model), "af.onnx")
	mustRun(t, "convert", model, "-o", af)
	clips := clipsFile(t, 24, 12, 24, 24)
	train := func(dir string, more ...string) *exec.Cmd {
		return program(t.Context(), append([]string{"tune", af, "-o", filepath.Join(dir, "out.onnx"), "--source", model, "--input", clips, "--epochs", "5", "--batch", "4",
			"--threads", "1", "--save-every", strconv.Itoa(every), "--log", filepath.Join(dir, "log.jsonl"), "--json"}, more...)...)
	}
	calm := t.TempDir()
	if b, err := train(calm).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	whole, err := os.ReadFile(filepath.Join(calm, "out.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	out, state, log := filepath.Join(dir, "out.onnx"), filepath.Join(dir, "out.tune.safetensors"), filepath.Join(dir, "log.jsonl")
	var resume []string
	for told := 0; told < 24; resume = []string{"--resume"} {
		cmd := train(dir, resume...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for until := told + 3 + r.IntN(4); stepsTold(t, log) < until; {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(r.IntN(3000)) * time.Microsecond)
		cmd.Process.Kill()
		cmd.Wait()
		told = stepsTold(t, log)
		if done := stepsKept(t, state); done < told-every {
			t.Errorf("seed %d: killed behind %d steps, the state is that of %d; states are %d apart", seed, told, done, every)
		}
	}
	if b, err := train(dir, "--resume").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, whole) {
		t.Errorf("%d bytes, %v; undisturbed it makes %d others", len(got), err, len(whole))
	}
	if got, want := stepsTold(t, log), stepsTold(t, filepath.Join(calm, "log.jsonl")); got != want {
		t.Errorf("the log tells of %d steps, undisturbed of %d", got, want)
	}
}

// stepsKept is how many steps the state of a training is behind.
func stepsKept(t *testing.T, path string) int {
	t.Helper()
	sd, err := checkpoint.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	var at struct{ Done int }
	if err := json.Unmarshal(rawBytes(t, sd.Tensor("afc.tune")), &at); err != nil {
		t.Fatal(err)
	}
	return at.Done
}

// stepsTold counts the whole lines of a log that tell of steps, 0 without one.
func stepsTold(t *testing.T, path string) int {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return bytes.Count(raw, []byte(`"facts"`))
}

// TestCutShort: a source that loses bytes at a random moment, which a mapping of
// it then faults on, gives an error and no output, or else the whole output.
func TestCutShort(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	source, err := os.ReadFile(modelFile(t, testmodels.Spec{Depth: 50, Width: 64, Frames: 2, Size: 64, Classes: 20}))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.onnx"), filepath.Join(dir, "out", "out.onnx")
	if err := os.Mkdir(filepath.Dir(out), 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"optimize", in, "-o", out}
	if err := os.WriteFile(in, source, 0o644); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if b, err := program(t.Context(), args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	took := time.Since(start)
	whole, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i := range rounds {
		if err := errors.Join(os.WriteFile(in, source, 0o644), os.RemoveAll(out)); err != nil {
			t.Fatal(err)
		}
		cmd := program(t.Context(), args...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(took * time.Duration(i) / time.Duration(rounds))
		if err := os.Truncate(in, 1000); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait()
		switch code := cmd.ProcessState.ExitCode(); {
		case code == exitOK:
			if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, whole) {
				t.Errorf("round %d: it went well, but the output is not whole: %d bytes of %d, %v", i, len(got), len(whole), err)
			}
			onlyOut(t, filepath.Dir(out), false)
		case code != exitInvalid || !strings.HasPrefix(stderr.String(), "afc: "+in+": "):
			t.Errorf("round %d: %v, stderr %.1000q", i, err, stderr.String())
		default:
			refused++
			if entries, err := os.ReadDir(filepath.Dir(out)); err != nil || len(entries) > 0 {
				t.Errorf("round %d: refused, but left %v, %v", i, entries, err)
			}
		}
	}
	if refused == 0 {
		t.Errorf("none of %d runs of %v noticed", rounds, took)
	}
}

// TestTwoWriters: two runs onto one path leave one of the two files, whole.
func TestTwoWriters(t *testing.T) {
	spec := crashSpec
	a := checkpointFile(t, spec)
	spec.Seed = 1
	b := checkpointFile(t, spec)
	wantA, _ := convertTime(t, a)
	wantB, _ := convertTime(t, b)
	dir := t.TempDir()
	out := filepath.Join(dir, "out.onnx")
	for range 3 {
		var wg sync.WaitGroup
		for _, weights := range []string{a, b} {
			wg.Go(func() {
				if msg, err := program(t.Context(), convertArgs(weights, out)...).CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, msg)
				}
			})
		}
		wg.Wait()
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, wantA) && !bytes.Equal(got, wantB) {
			t.Errorf("the file is neither of the two, %d bytes", len(got))
		}
	}
	onlyOut(t, dir, false)
}

// mount mounts a tmpfs for the test, or skips it where that is not allowed.
func mount(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "afc-test", dir).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a tmpfs: %v: %s", err, bytes.TrimSpace(out))
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

func TestDiskFull(t *testing.T) {
	weights := checkpointFile(t, crashSpec)
	check := func(t *testing.T, cmd *exec.Cmd, out, want string) {
		t.Helper()
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		err := cmd.Run()
		if cmd.ProcessState.ExitCode() != exitUsage || !strings.Contains(stderr.String(), "cannot write "+out) || !strings.Contains(stderr.String(), want) {
			t.Errorf("%v, stderr %q; want exit %d and a message with %q", err, stderr.String(), exitUsage, want)
		}
	}
	t.Run("tmpfs", func(t *testing.T) {
		dir := mount(t, "size=1m")
		out := filepath.Join(dir, "out.onnx")
		if err := os.WriteFile(out, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		check(t, program(t.Context(), convertArgs(weights, out)...), out, "no space left on device")
		if got, _ := os.ReadFile(out); string(got) != "old" {
			t.Errorf("the old file now holds %d bytes", len(got))
		}
		onlyOut(t, dir, false)
	})
	t.Run("file size limit", func(t *testing.T) {
		dir := t.TempDir()
		out := filepath.Join(dir, "out.onnx")
		cmd := program(t.Context())
		script := append([]string{"-c", `ulimit -f 1000 && exec "$0" "$@"`, cmd.Path}, convertArgs(weights, out)...)
		limited := exec.CommandContext(t.Context(), "sh", script...)
		limited.Env = cmd.Env
		check(t, limited, out, "file too large")
		onlyOut(t, dir, false)
	})
}

func TestReadOnlyFolder(t *testing.T) {
	weights := checkpointFile(t, testmodels.AFSpec{Width: 8, Frames: 2, Classes: 3})
	var dir string
	if os.Geteuid() == 0 { // whom permissions do not stop
		dir = mount(t, "ro,size=1m")
	} else {
		dir = t.TempDir()
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
	}
	o := tryRun(t, convertArgs(weights, filepath.Join(dir, "out.onnx"))...)
	if o.code != exitUsage || !strings.Contains(o.stderr, "cannot write") {
		t.Errorf("exit %d, stderr %q", o.code, o.stderr)
	}
	onlyOut(t, dir, false)
}

func TestOutputIsInput(t *testing.T) {
	weights := checkpointFile(t, testmodels.AFSpec{Width: 8, Frames: 2, Classes: 3})
	before, err := os.ReadFile(weights)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(filepath.Dir(weights), "link.onnx")
	if err := os.Symlink(filepath.Base(weights), link); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{weights, link} {
		o := tryRun(t, convertArgs(weights, out)...)
		if o.code != exitUsage || !strings.Contains(o.stderr, "output is the input") {
			t.Errorf("-o %s: exit %d, stderr %q", out, o.code, o.stderr)
		}
	}
	if after, err := os.ReadFile(weights); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the input changed: %v", err)
	}
}

// TestOutputIsSource: no output, of whatever kind, replaces a file that the
// model lies in, its weights among them.
func TestOutputIsSource(t *testing.T) {
	dir := t.TempDir()
	source, weights := filepath.Join(dir, "model.onnx"), filepath.Join(dir, "model.onnx.data")
	mustRun(t, "convert", modelFile(t, testmodels.Spec{Depth: 18, Width: 8, Frames: 2, Size: 32, Classes: 3}), "-o", source, "--external-data")
	before := [][]byte{}
	for _, path := range []string{source, weights} {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before = append(before, raw)
	}
	link := filepath.Join(dir, "weights.safetensors")
	if err := os.Symlink(weights, link); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{source, weights, link} {
		for _, args := range [][]string{
			{"optimize", source, "-o", out},
			{"convert", source, "-o", out},
			{"convert", source, "-o", out, "--external-data"},
			{"export", source, "-o", out},
			{"inspect", source, "--dot", out},
			{"inspect", source, "--svg", out},
			{"flops", "estimate", source, "--plot", out},
			{"verify", source, "--only", "file", "--report", out},
			{"verify", "--same", source, source, "--report", out},
		} {
			t.Run(args[0], func(t *testing.T) {
				if _, err := ort.Version(); args[0] == "verify" && err != nil {
					t.Skip(err)
				}
				if o := tryRun(t, args...); o.code != exitUsage {
					t.Errorf("afc %s: exit %d, stderr %q", strings.Join(args, " "), o.code, o.stderr)
				}
			})
		}
	}
	for i, path := range []string{source, weights} {
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before[i], after) {
			t.Errorf("%s changed: %v", path, err)
		}
	}
}

func TestOutputThroughSymlink(t *testing.T) {
	weights := checkpointFile(t, testmodels.AFSpec{Width: 8, Frames: 2, Classes: 3})
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "out.onnx")
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	mustRun(t, convertArgs(weights, link)...)
	if fi, err := os.Lstat(link); err != nil || fi.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v", err)
	}
	if fi, err := os.Stat(target); err != nil || fi.Size() < 1000 {
		t.Errorf("the target was not written: %v", err)
	}
}

// TestCancelled: a run whose context ends returns the code of an interruption
// and writes nothing.
func TestCancelled(t *testing.T) {
	weights := checkpointFile(t, testmodels.AFSpec{Width: 8, Frames: 2, Classes: 3})
	out := filepath.Join(t.TempDir(), "out.onnx")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	code := run(ctx, append([]string{"afc"}, convertArgs(weights, out)...), nil, &stdout, &stderr)
	if code != exitInterrupted || !strings.HasSuffix(stderr.String(), "afc: interrupted\n") {
		t.Errorf("exit %d, stderr %q", code, stderr.String())
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("it wrote its output")
	}
}

// deaf is a writer that fails, as a full disk or a pipe without a reader does.
type deaf struct{ hang func() }

func (d deaf) Write([]byte) (int, error) {
	if d.hang != nil {
		d.hang()
	}
	return 0, errors.New("no space left on device")
}

// TestComplete: a command that has written its file, whole, has done what it was
// asked for, though the report on it cannot be printed, or Ctrl-C comes then. What
// has no file but its report has failed.
func TestComplete(t *testing.T) {
	weights := checkpointFile(t, testmodels.AFSpec{Width: 8, Frames: 2, Classes: 3})
	af := filepath.Join(t.TempDir(), "af.onnx")
	mustRun(t, convertArgs(weights, af)...)
	for _, tc := range []struct {
		args []string
		out  string // of the arguments; "" where the report is all there is
	}{
		{convertArgs(weights, "OUT/x.onnx"), "x.onnx"},
		{append(convertArgs(weights, "OUT/x.onnx"), "--json"), "x.onnx"},
		{[]string{"optimize", af, "-o", "OUT/x.onnx"}, "x.onnx"},
		{[]string{"export", af, "-o", "OUT/x.safetensors"}, "x.safetensors"},
		{[]string{"inspect", af}, ""},
		{[]string{"flops", "estimate", af, "--json"}, ""},
	} {
		for _, interrupted := range []bool{false, true} {
			dir := t.TempDir()
			args := []string{"afc"}
			for _, a := range tc.args {
				args = append(args, strings.ReplaceAll(a, "OUT", dir))
			}
			ctx, cancel := context.WithCancel(t.Context())
			to := deaf{}
			if interrupted {
				to.hang = cancel
			}
			var stderr bytes.Buffer
			code := run(ctx, args, nil, to, &stderr)
			cancel()
			want := exitInvalid
			switch {
			case tc.out != "":
				want = exitOK
				if _, err := graph.ReadFile(filepath.Join(dir, tc.out)); err != nil && strings.HasSuffix(tc.out, ".onnx") {
					t.Errorf("%v: %v", tc.args, err)
				}
				if !strings.Contains(stderr.String(), tc.out+" is complete, but the report") {
					t.Errorf("%v: stderr %q", tc.args, stderr.String())
				}
			case interrupted:
				want = exitInterrupted
			}
			if code != want {
				t.Errorf("%v, interrupted %v: exit %d, want %d, stderr %q", tc.args, interrupted, code, want, stderr.String())
			}
		}
	}
}
