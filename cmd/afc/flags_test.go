package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/testmodels"
)

// flagPath is one thing that a command can be given, as its arguments.
type flagPath struct {
	name string
	args []string
}

// flagTry sets a flag, beside what it goes with, which the run without it has
// too.
type flagTry struct {
	with []string
	set  []string
}

func try(set ...string) flagTry { return flagTry{nil, set} }

// steps tries a flag where the report lists the passes.
func steps(set ...string) flagTry { return flagTry{[]string{"--json"}, set} }

// elsewhere are flags that no run with and without them can show, and why.
var elsewhere = map[string]string{
	"help":    "of the flag library",
	"weights": "makes another path",
}

// TestEveryFlagCounts runs every flag of the commands that run no models, on
// every kind of thing they can be given. A flag must change what comes out, or
// be refused by name: none may be swallowed.
func TestEveryFlagCounts(t *testing.T) {
	dir := t.TempDir()
	source := modelFile(t, testmodels.Spec{
		Blocks: []int{3, 2, 2}, Width: 16, Frames: 4, Size: 32, Classes: 3, Dynamic: true, Input: testmodels.FramesOwnAxis, BN: testmodels.BNKept,
	})
	other := modelFile(t, testmodels.NearMisses()[0].Spec)
	af, trained := filepath.Join(dir, "af.onnx"), filepath.Join(dir, "trained.safetensors")
	plainAF, plain := filepath.Join(dir, "plain.onnx"), filepath.Join(dir, "plain.safetensors")
	gathered := filepath.Join(dir, "gathered.onnx")
	mustRun(t, "convert", source, "-o", af)
	mustRun(t, "convert", source, "-o", gathered, "--lowering", "gather")
	mustRun(t, "export", af, "-o", trained)
	mustRun(t, "convert", source, "-o", plainAF, "--skip-pass", "rewrite-af")
	mustRun(t, "export", plainAF, "-o", plain)
	exported := filepath.Join(testutil.Root(t), "testmodels", "afexports", "noisy_dynamo_open.onnx")
	authors := checkpointFile(t, testmodels.AFSpec{Blocks: []int{3, 2, 2}, Width: 16, Frames: 4, Classes: 3})

	pass := map[string]flagTry{
		"stop-after": steps("--stop-after", "lower"), "skip-pass": steps("--skip-pass", "clean-up"), "dump-dir": try("--dump-dir", "OUT/dump"),
		"check": try("--check"), "check-seed": {[]string{"--check", "--check-seed", "7"}, []string{"--check-seed", "8"}},
		"force": try("--force"), "json": try("--json"), "output": try("-o", "OUT/other.onnx"), "external-data": try("--external-data"),
		"input-shapes": try("--input-shapes", "2,4,3,32,32"),
	}
	shape := map[string]flagTry{
		"source-frames": try("--source-frames", "5"), "alpha": try("--alpha", "4"), "focal-groups": try("--focal-groups", "1"), "stride-at": try("--stride-at", "source"),
	}
	convert := merged(pass, shape, map[string]flagTry{
		"frames": try("--frames", "3"), "navigation": try("--navigation", "all"), "gate-open": try("--gate-open"), "size": try("--size", "48"),
		"shift": try("--shift"), "shift-div": {[]string{"--shift"}, []string{"--shift-div", "4"}},
		"lowering": try("--lowering", "mask"), "target": try("--target", "cuda"),
		"budget": {[]string{"--lowering", "topk", "--budget", "1"}, []string{"--budget", "2"}},
		"opset":  try("--opset", "17"), "precision": try("--precision", "fp16"), "io-precision": {[]string{"--precision", "fp16"}, []string{"--io-precision", "fp16"}},
		"unselected": try("--unselected", "zero"), "sampling": try("--sampling", "gumbel"), "outputs": try("--outputs", "masks"), "dial": try("--dial", "yes"),
		"weights-key":     try("--weights-key", "state_dict_ema"),
		"spatial":         try("--spatial", "1"),
		"spatial-pattern": {[]string{"--spatial", "1", "--spatial-pattern", "center:0"}, []string{"--spatial-pattern", "all"}},
	})
	optimize := merged(pass, map[string]flagTry{
		"opset": try("--opset", "17"), "precision": try("--precision", "fp16"), "io-precision": {[]string{"--precision", "fp16"}, []string{"--io-precision", "fp16"}},
		"stop-after": steps("--stop-after", "dead-code"), "skip-pass": steps("--skip-pass", "fold-batchnorm")})
	for _, c := range []struct {
		command string
		tries   map[string]flagTry
		paths   []flagPath
	}{
		{"convert", convert, []flagPath{
			{"source", []string{source}},
			{"source and trained weights", []string{source, "--weights", authors}},
			{"source and exported weights", []string{source, "--weights", trained}},
			{"source and plain weights", []string{source, "--weights", plain}},
			{"weights", []string{"--weights", authors}},
			{"exported weights", []string{"--weights", trained}},
			{"plain weights", []string{"--weights", plain}},
			{"AFNet", []string{af}},
			{"AFNet and weights", []string{af, "--weights", trained}},
			{"exported AFNet", []string{exported}},
		}},
		{"optimize", optimize, []flagPath{{"source", []string{source}}, {"AFNet", []string{af}}, {"other", []string{other}}}},
		{"inspect", map[string]flagTry{
			"source-frames": try("--source-frames", "5"), "dot": try("--dot", "-"), "svg": try("--svg", "OUT/x.svg"),
			"input-shapes": try("--input-shapes", "2,4,3,48,48"), "json": try("--json"),
		}, []flagPath{{"source", []string{source}}, {"AFNet", []string{af}}}},
		{"flops estimate", merged(shape, map[string]flagTry{
			"ratio": try("--ratio", "0.3"), "frames": try("--frames", "3,5"), "size": try("--size", "48"), "convention": try("--convention", "flop"),
			"by": try("--by", "block"), "lowering": try("--lowering", "gather"), "plot": try("--plot", "OUT/x.svg"), "csv": try("--csv"), "json": try("--json"),
			"budget":       {[]string{"--lowering", "topk", "--budget", "1"}, []string{"--budget", "2"}},
			"input-shapes": try("--input-shapes", "2,4,3,48,48"), "arch": try("--arch", "af-resnet50"),
		}), []flagPath{{"source", []string{source}}, {"AFNet", []string{af}}, {"name", []string{"--arch", "af-mobilenetv3"}}, {"plain name", []string{"--arch", "tsn-resnet50"}}, {"other", []string{other}}, {"operators", []string{source, "--by", "operator", "--input-shapes", "1,4,3,32,32"}}}},
		{"export", map[string]flagTry{
			"output": try("-o", "OUT/other.safetensors"), "json": try("--json"), "format": try("--format", "pth"),
			"source":        {[]string{"--format", "pytorch"}, []string{"--source", source}},
			"source-frames": {[]string{"--format", "pytorch", "--source", source}, []string{"--source-frames", "5"}},
			"name":          {[]string{"--format", "triton"}, []string{"--name", "served"}},
			"target":        {[]string{"--format", "triton"}, []string{"--target", "cuda"}},
			"instances":     {[]string{"--format", "triton"}, []string{"--instances", "2"}},
			"max-batch":     {[]string{"--format", "triton"}, []string{"--max-batch", "4"}},
		}, []flagPath{{"AFNet", []string{af}}}},
		{"quantize-config", map[string]flagTry{"output": try("-o", "OUT/config.json"), "json": try("--json")}, []flagPath{{"gather", []string{gathered}}, {"source", []string{source}}}},
	} {
		if testing.Short() {
			c.paths = c.paths[len(c.paths)-1:]
		}
		for _, path := range c.paths {
			t.Run(c.command+" "+path.name, func(t *testing.T) {
				flagsCount(t, c.command, path, c.tries)
			})
		}
	}
}

func merged(maps ...map[string]flagTry) map[string]flagTry {
	all := map[string]flagTry{}
	for _, m := range maps {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// flagsCount tries every flag of a command on one path.
func flagsCount(t *testing.T, command string, path flagPath, tries map[string]flagTry) {
	words := strings.Fields(command)
	for _, f := range flagsOf(t, words) {
		name := f.Names()[0]
		if elsewhere[name] != "" {
			continue
		}
		at, ok := tries[name]
		if !ok {
			t.Errorf("--%s is not tried: give this test a value for it", name)
			continue
		}
		run := func(flags []string) (outcome, string) {
			out := t.TempDir()
			args := slices.Concat(words, path.args, flags)
			if !slices.Contains(flags, "-o") && slices.ContainsFunc(flagsOf(t, words), func(f cli.Flag) bool { return f.Names()[0] == "output" }) {
				args = append(args, "-o", "OUT/out"+map[bool]string{true: ".safetensors", false: ".onnx"}[command == "export"])
			}
			for i, a := range args {
				args[i] = strings.ReplaceAll(a, "OUT", out)
			}
			o := tryRun(t, args...)
			return o, whatCame(t, out, o)
		}
		without, before := run(at.with)
		with, after := run(replaced(at.with, at.set))
		switch {
		case with.code == exitOK && without.code == exitOK && after == before:
			t.Errorf("--%s is swallowed: it changes nothing and is not refused\n%s", name, with.stderr)
		case with.code == exitUsage && without.code == exitOK && !strings.Contains(with.stderr, "--"+name):
			t.Errorf("--%s is refused without its name: %s", name, with.stderr)
		case with.code != exitOK && with.stderr == without.stderr && !slices.ContainsFunc(at.with, func(w string) bool { return strings.Contains(with.stderr, w) }):
			t.Errorf("the run without --%s fails already: %s", name, without.stderr)
		}
	}
}

// replaced is with, the flags set in it given the values of set.
func replaced(with, set []string) []string {
	if i := slices.Index(with, set[0]); i >= 0 {
		return slices.Concat(with[:i], set, with[i+len(set):])
	}
	return slices.Concat(with, set)
}

func flagsOf(t *testing.T, words []string) []cli.Flag {
	t.Helper()
	commands := (&app{}).cli().Commands
	var flags []cli.Flag
	for _, w := range words {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.Name == w })
		if i < 0 {
			t.Fatalf("no command %q", w)
		}
		flags, commands = commands[i].Flags, commands[i].Subcommands
	}
	return flags
}

var times = regexp.MustCompile(`in \d+\.\d+ s|"elapsed_ns": \d+|check-seed \d+`)

// whatCame is what a run printed and wrote, times apart.
func whatCame(t *testing.T, dir string, o outcome) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintln(&b, o.code, times.ReplaceAllString(strings.ReplaceAll(o.stdout+o.stderr, dir, "OUT"), "TIME"))
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %x\n", strings.TrimPrefix(path, dir), sha256.Sum256(raw))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestEveryCommandIsTried: a command has its flags tried by one of the tests here,
// or has none but --json.
func TestEveryCommandIsTried(t *testing.T) {
	tried := []string{"convert", "optimize", "inspect", "flops estimate", "export", "quantize-config", "verify", "flops measure", "fit", "tune", "explain", "sweep"}
	var look func(words []string, commands []*cli.Command)
	look = func(words []string, commands []*cli.Command) {
		for _, c := range commands {
			name := append(slices.Clone(words), c.Name)
			more := slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return !slices.Contains([]string{"help", "json"}, f.Names()[0]) })
			if more && !slices.Contains(tried, strings.Join(name, " ")) {
				t.Errorf("afc %s has flags that no test tries", strings.Join(name, " "))
			}
			look(name, c.Subcommands)
		}
	}
	look(nil, (&app{stdout: &output{to: &strings.Builder{}}, stderr: &strings.Builder{}}).cli().Commands)
}

// TestEveryRunFlagIsRead holds the flags of commands that run models, on every
// kind of call, to change what is asked for, or to be refused by name.
func TestEveryRunFlagIsRead(t *testing.T) {
	source := modelFile(t, small)
	af := filepath.Join(t.TempDir(), "af.onnx")
	mustRun(t, "convert", source, "-o", af)
	clips := writeFile(t, "clips.npz", nil)
	videos := []string{"--videos", filepath.Dir(clips)}
	input := []string{"--input", clips}
	random := map[string]flagTry{
		"clips": try("--clips", "7"), "seed": try("--seed", "7"), "dist": try("--dist", "uniform"), "batch": try("--batch", "3"),
		"provider": try("--provider", "cuda"), "allow-fallback": {[]string{"--provider", "cuda"}, []string{"--allow-fallback"}}, "threads": try("--threads", "1"),
		"input": try(input...), "videos": try(videos...), "list": {videos, []string{"--list", clips}}, "template": {videos, []string{"--template", "%d.png"}},
		"list-offset": {append(videos, "--list", clips), []string{"--list-offset"}}, "list-anywhere": {append(videos, "--list", clips), []string{"--list-anywhere"}},
		"first-frame": {videos, []string{"--first-frame", "0"}},
		"labels":      {append(videos, "--list", clips), []string{"--labels", clips}}, "subset": {append(videos, "--list", clips), []string{"--subset", "validation"}},
		"clips-per-video": {videos, []string{"--clips-per-video", "2"}}, "crops": {videos, []string{"--crops", "3"}},
		"dense": {videos, []string{"--dense"}}, "strict": {videos, []string{"--strict"}},
		"scale": {videos, []string{"--scale", "99"}}, "mean": {append(videos, "--std", "1,1,1"), []string{"--mean", "1,2,3"}},
		"std": {append(videos, "--mean", "1,2,3"), []string{"--std", "1,2,3"}}, "bgr": {videos, []string{"--bgr"}},
	}
	// These are read where they act: by the guard, and where reports are printed.
	read := map[string]bool{"timeout": true, "json": true, "report": true, "same": true, "help": true, "explain --output": true, "sweep --plot": true}
	verify := merged(random, map[string]flagTry{
		"atol": try("--atol", "1"), "rtol": try("--rtol", "1"), "iterations": try("--iterations", "3"), "bisect": try("--bisect"),
		"input-shapes": try("--input-shapes", "1,2"), "source-frames": try("--source-frames", "5"), "only": try("--only", "load"),
		"skip": try("--skip", "load"), "alone": try("--alone"), "require": try("--require", "seal"), "rounds": try("--rounds", "3"), "min-top1": try("--min-top1", "0.5"),
		"save-outputs": try("--save-outputs", "run.npz"), "load-outputs": try("--load-outputs", source), "check-error-stat": try("--check-error-stat", "max"),
	})
	fitted := merged(random, map[string]flagTry{
		"output": {nil, []string{"-o", "x.onnx"}}, "force": try("--force"), "external-data": try("--external-data"), "clips": try("--clips", "9"), "held": try("--held", "3"),
		"opset": try("--opset", "17"), "precision": try("--precision", "fp16"), "io-precision": {[]string{"--precision", "fp16"}, []string{"--io-precision", "fp16"}},
		"for": try("--for", "any"), "without": try("--without", "ample"), "rows": try("--rows", "99"), "frames": try("--frames", "3"), "source-frames": try("--source-frames", "5"),
		"navigation": try("--navigation", "all"), "alpha": try("--alpha", "4"), "focal-groups": try("--focal-groups", "1"), "stride-at": try("--stride-at", "source"),
		"unselected": try("--unselected", "zero"), "target": try("--target", "cuda"), "input-shapes": try("--input-shapes", "1,2"),
		"input": try("--input", source), "videos": try("--videos", t.TempDir()), "resume": try("--resume"),
	})
	shown := merged(random, map[string]flagTry{"source": try("--source", clips), "source-frames": try("--source-frames", "5")})
	swept := merged(random, map[string]flagTry{
		"source-frames": try("--source-frames", "5"), "frames": try("--frames", "2"), "ratios": try("--ratios", "0.25"), "lowerings": try("--lowerings", "mask"),
		"budgets": try("--budgets", "2"), "rounds": try("--rounds", "3"), "published": try("--published", "afnet"),
		"input": try("--input", source), "videos": try("--videos", t.TempDir()),
	})
	learned := merged(fitted, map[string]flagTry{
		"source": try("--source", source), "val": {videos, []string{"--val", clips}}, "val-input": {input, []string{"--val-input", clips}},
		"distill": try("--distill", "2"), "label-weight": try("--label-weight", "2"), "train": try("--train", "all"), "rt": try("--rt", "0.3"),
		"budgets": try("--budgets", "0.5,1"), "lambda": try("--lambda", "2"), "epochs": try("--epochs", "3"), "batch": try("--batch", "3"),
		"optimizer": try("--optimizer", "sgd"), "lr": try("--lr", "0.1"), "lr-schedule": try("--lr-schedule", "steps"), "lr-groups": try("--lr-groups", "authors"),
		"momentum": try("--momentum", "0.8"), "weight-decay": try("--weight-decay", "0.1"), "clip-gradient": try("--clip-gradient", "1"), "dropout": try("--dropout", "0.1"),
		"bn": try("--bn", "frozen"), "flip": try("--flip"), "variants": try("--variants", "no"), "state": try("--state", "s"), "save-every": try("--save-every", "3"),
		"log": try("--log", "l"), "dump-step": try("--dump-step", "d.onnx"),
	})
	for _, c := range []struct {
		command string
		tries   map[string]flagTry
		read    func(*cli.Context) (any, error)
		paths   []flagPath
	}{
		{"verify", verify, func(c *cli.Context) (any, error) { return verifyOptions(c) },
			[]flagPath{{"AFNet", []string{af}}, {"source and AFNet", []string{source, af}}, {"same", []string{"--same", source, source}}}},
		{"flops measure", merged(random, map[string]flagTry{"margins": try("--margins", "0.5")}), func(c *cli.Context) (any, error) { return measureOptions(c) }, []flagPath{{"AFNet", []string{af}}}},
		{"fit", fitted, func(c *cli.Context) (any, error) { return fitOptions(c) },
			[]flagPath{{"clips", append([]string{source, "-o", "y.onnx"}, input...)}, {"videos", append([]string{source, "-o", "y.onnx"}, videos...)}}},
		{"tune", learned, func(c *cli.Context) (any, error) { return tuneOptions(c) },
			[]flagPath{{"clips", append([]string{af, "-o", "y.onnx"}, input...)}, {"videos", append([]string{af, "-o", "y.onnx"}, videos...)}}},
		{"explain", shown, func(c *cli.Context) (any, error) { return explainOptions(c) }, []flagPath{{"AFNet", []string{af}}, {"AFNet and source", []string{af, "--source", source}}}},
		{"sweep", swept, func(c *cli.Context) (any, error) { return sweepOptions(c) },
			[]flagPath{{"source", append([]string{source}, input...)}, {"source and AFNet", append([]string{source, af}, videos...)}}},
	} {
		for _, path := range c.paths {
			for _, f := range flagsOf(t, strings.Fields(c.command)) {
				name := f.Names()[0]
				if read[name] || read[c.command+" --"+name] {
					continue
				}
				at, ok := c.tries[name]
				if !ok {
					t.Errorf("afc %s: --%s is not tried: give this test a value for it", c.command, name)
					continue
				}
				ask := func(flags []string) (any, error) {
					return asked(t, c.command, slices.Concat(path.args, flags), c.read)
				}
				before, _ := ask(at.with)
				after, err := ask(slices.Concat(at.with, at.set))
				switch {
				case err != nil && !strings.Contains(err.Error(), "--"+name) && !slices.ContainsFunc(at.with, func(w string) bool { return strings.Contains(err.Error(), w) }):
					t.Errorf("afc %s %s: --%s is refused without its name: %v", c.command, path.name, name, err)
				case err == nil && reflect.DeepEqual(before, after):
					t.Errorf("afc %s %s: --%s is swallowed", c.command, path.name, name)
				}
			}
		}
	}
}

// asked is what a command line asks for.
func asked(t *testing.T, command string, args []string, read func(*cli.Context) (any, error)) (got any, err error) {
	t.Helper()
	c := (&app{stdout: &output{to: &strings.Builder{}}, stderr: &strings.Builder{}}).cli()
	line := append([]string{"afc"}, append(strings.Fields(command), args...)...)
	commands := c.Commands
	for _, w := range strings.Fields(command) {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.Name == w })
		commands[i].Action = func(c *cli.Context) error {
			got, err = read(c)
			return nil
		}
		commands = commands[i].Subcommands
	}
	line, moved := flagsFirst(c, line)
	if moved != nil {
		t.Fatal(moved)
	}
	if err := c.Run(line); err != nil {
		return nil, err
	}
	return got, err
}
