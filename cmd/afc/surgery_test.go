package main

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify/ort"
)

var (
	surgeries   = flag.Int("surgeries", 300, "how many AFNets TestSurgery changes")
	surgerySeed = flag.Uint64("surgery-seed", 1, "how it changes them")
)

// patients are AFNets of every lowering and kind, as small as they come.
func patients(t *testing.T) map[string][]byte {
	t.Helper()
	spec := testmodels.AFSpec{Blocks: []int{2, 2, 1}, Basic: true, Width: 4, Frames: 2, Classes: 3, Dense: true, Seed: 1}
	weights := checkpointFile(t, spec)
	spec.Cells = true
	cells := checkpointFile(t, spec)
	source := testmodels.Spec{Blocks: []int{2, 2, 1}, Basic: true, Width: 4, Frames: 2, Size: 32, Classes: 3, Shift: testmodels.ShiftConcat, FoldDiv: 4, Seed: 2}
	open := source
	open.Dynamic, open.Input, open.Shift = true, testmodels.FramesInBatch, testmodels.NoShift
	made := map[string][]byte{}
	convert := func(name string, args ...string) {
		path := filepath.Join(t.TempDir(), "af.onnx")
		mustRun(t, append(append([]string{"convert"}, args...), "-o", path)...)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		made[name] = data
	}
	of := []string{"--weights", weights, "--size", "32"}
	with := func(args ...string) []string { return append(append([]string{}, of...), args...) }
	convert("mask", with("--lowering", "mask")...)
	convert("gather", with("--lowering", "gather", "--outputs", "masks", "--shift", "--shift-div", "4")...)
	convert("branch", with("--lowering", "branch")...)
	convert("branch, shift", with("--lowering", "branch", "--shift", "--shift-div", "4")...)
	convert("topk", with("--lowering", "topk", "--budget", "1")...)
	convert("half precision", with("--lowering", "gather", "--precision", "fp16")...)
	convert("noise", with("--lowering", "gather", "--sampling", "gumbel")...)
	convert("cells", "--weights", cells, "--size", "32", "--spatial", "2", "--lowering", "gather")
	convert("source", modelFile(t, source))
	convert("open source", modelFile(t, open), "--source-frames", "2")
	for _, name := range []string{"alpha4_groups1_ts17", "bernoulli_ts17"} {
		if data, err := os.ReadFile(filepath.Join(testutil.Root(t), "testmodels", "afexports", name+".onnx")); err == nil {
			made[name] = data
		}
	}
	return made
}

// TestSurgery changes fields of AFNets, which a file may hold and afc never
// writes, and gives them to every command: whatever is there, it ends with a code
// of its kind and a reason, prints nothing that a terminal obeys, and leaves no
// half a file.
func TestSurgery(t *testing.T) {
	made := patients(t)
	n := *surgeries
	if testing.Short() {
		n = min(n, 40)
	}
	r := rand.New(rand.NewPCG(*surgerySeed, 1))
	dir := t.TempDir()
	in := filepath.Join(dir, "af.onnx")
	counts := map[string]int{}
	names := sortedKeys(made)
	for i := range n {
		name := names[i%len(names)]
		data, what := testutil.Surgery(made[name], r)
		if err := os.WriteFile(in, data, 0o644); err != nil {
			t.Fatal(err)
		}
		kept := func(err any) {
			t.Errorf("seed %d, case %d, %s, %s: %v", *surgerySeed, i, name, what, err)
			if dir := os.Getenv("SURGERY_KEEP"); dir != "" {
				os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, " ", "_")+"."+what[:min(len(what), 30)]+".onnx"), data, 0o644)
			}
		}
		operate(t, in, i, kept, counts)
	}
	t.Logf("%d files: %v", n, counts)
}

// operate runs the commands on a file; one of the slower ones, by turns.
func operate(t *testing.T, in string, turn int, complain func(any), counts map[string]int) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			complain(p)
		}
	}()
	out := filepath.Join(filepath.Dir(in), "out")
	commands := [][]string{{"inspect", in}, {"flops", "estimate", in}}
	commands = append(commands, [][]string{
		{"convert", in, "-o", out + ".onnx", "--lowering", "mask"}, {"convert", in, "-o", out + ".onnx", "--frames", "3"},
		{"export", in, "-o", out + ".safetensors"}, {"optimize", in, "-o", out + ".onnx"}, {"export", in, "-o", out, "--format", "triton"},
		{"inspect", in, "--json"}, {"convert", in, "-o", out + ".onnx", "--opset", "18"},
	}[turn/7%7])
	for _, args := range commands {
		o := tryRun(t, args...)
		counts[strings.Join(args[:1], " ")+" "+string(rune('0'+o.code))]++
		switch {
		case o.code < exitOK || o.code > exitNotRecognized || o.code == exitMismatch:
			complain(o)
		case o.code == exitUsage && !strings.Contains(o.stderr, "--"):
			complain(o) // the file's fault is not the caller's
		case o.code != exitOK && !strings.HasPrefix(o.stderr, "afc: "):
			complain("no reason: " + o.stderr)
		case strings.ContainsAny(o.stdout+o.stderr, "\x1b\x00"):
			complain("what a terminal obeys: " + o.stdout + o.stderr)
		case slices.ContainsFunc(strings.Split(o.stderr, "\n"), func(line string) bool { return len(line) > 5000 }):
			complain("a long reason: " + o.stderr)
		}
		left, _ := filepath.Glob(out + "*")
		if o.code != exitOK && len(left) > 0 {
			complain("left behind: " + strings.Join(left, ", "))
		}
		if o.code == exitOK && args[0] != "export" && len(left) > 0 {
			if m, err := graph.ReadFile(left[0]); err != nil {
				complain(err)
			} else if err := graph.Check(m); err != nil {
				complain(err)
			}
		}
		for _, path := range left {
			os.RemoveAll(path)
		}
	}
	if _, err := ort.Version(); err == nil && turn%3 == 0 {
		_, err := afc.Verify(t.Context(), afc.VerifyOptions{Model: in, Only: []string{"file", "seal", "onnx-go"}, Clips: afc.Clips{Random: clips.Random{Count: 1}}})
		counts["verify "+string(rune('0'+exitCode(err)))]++
	}
}
