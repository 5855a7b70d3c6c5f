package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/testmodels"
)

// corpus is a list of conversions, each a command line that writes a file.
type corpus struct {
	dir  string
	jobs []corpusJob
}

// temporaryName is that of a file before it gets its name.
var temporaryName = regexp.MustCompile(`\.out\.onnx\.afc-\w+\.tmp`)

// corpusJob is one conversion: a name, and afc's arguments without its output.
type corpusJob struct {
	name  string
	args  []string
	short bool // runs under -short too
}

// exportFacts is what facts.json says that a command line needs.
type exportFacts struct {
	Refused, Flag bool
	Frames        int
}

// TestCorpus holds the bytes of every file that conversions of the corpus write,
// and the text of every refusal, to testdata/corpus.txt: what is no change of
// behaviour leaves each of them as it is. Rewrite it with -update and say in the
// commit which bytes changed and why.
func TestCorpus(t *testing.T) {
	before := afc.Version
	afc.Version = "corpus" // of no release
	t.Cleanup(func() { afc.Version = before })
	c := &corpus{dir: t.TempDir()}
	c.exports(t)
	c.built(t)
	c.checkpoints(t)
	if testing.Short() {
		c.jobs = slices.DeleteFunc(c.jobs, func(j corpusJob) bool { return !j.short })
	}
	testutil.GoldenLines(t, "corpus.txt", c.run(t), testing.Short())
}

// addTo adds a conversion of each input, for every choice of flags: those marked
// "all" of every input, the others of a fifth of the inputs, which one their
// names say: another input changes nothing of the others.
func (c *corpus) addTo(command string, inputs []corpusInput, choices []corpusChoice) {
	for _, choice := range choices {
		taken := 0
		for _, in := range inputs {
			if !choice.all && !oneIn(5, in.name+" "+strings.Join(choice.flags, " ")) {
				continue
			}
			args := slices.Concat([]string{command}, in.args, choice.flags)
			name := strings.Join(slices.Concat([]string{command, in.name}, choice.flags), " ")
			c.jobs = append(c.jobs, corpusJob{name, args, taken < 2 && (choice.all || taken == 0)})
			taken++
		}
	}
}

// oneIn picks one in n names, by the name alone.
func oneIn(n uint32, name string) bool {
	h := fnv.New32a()
	h.Write([]byte(name))
	return h.Sum32()%n == 0
}

// corpusInput is a model, or a checkpoint, as the arguments that name it.
type corpusInput struct {
	name string
	args []string
}

// corpusChoice is a choice of flags.
type corpusChoice struct {
	all   bool
	flags []string
}

func some(flags string) corpusChoice { return corpusChoice{false, strings.Fields(flags)} }
func all(flags string) corpusChoice  { return corpusChoice{true, strings.Fields(flags)} }

// ofConvert are the flags of convert that shape an AFNet or its file.
var ofConvert = []corpusChoice{
	all(""), all("--lowering mask"), all("--lowering gather"), all("--lowering branch"), all("--lowering topk --budget 2"),
	some("--alpha 4"), some("--focal-groups 1"), some("--stride-at source"), some("--gate-open"),
	some("--unselected zero --lowering gather"), some("--unselected zero"), some("--navigation all"), some("--navigation none"),
	some("--navigation uniform:0.25"), some("--frames 3"), some("--frames 16"), some("--frames 1 --lowering mask"),
	some("--sampling gumbel"), some("--outputs masks"), some("--sampling gumbel --outputs masks --lowering gather"),
	some("--lowering topk --budget 1"), some("--target cuda"), some("--target tensorrt"), some("--target webgpu --budget 1"),
	some("--target portable"), some("--external-data"), some("--skip-pass common-subexpressions,dedupe-initializers"),
	some("--stop-after fold-constants"), some("--stop-after recognize"), some("--check --check-seed 7"),
}

var ofOptimize = []corpusChoice{
	all(""), some("--skip-pass fold-batchnorm"), some("--skip-pass recognize-shift"), some("--stop-after dead-code"),
	some("--check --check-seed 7"), some("--external-data"),
}

// ofAgain are the flags of convert for an AFNet that afc wrote.
var ofAgain = []corpusChoice{
	all(""), all("--lowering mask"), all("--lowering gather"), all("--lowering branch"), all("--lowering topk --budget 1"),
	some("--frames 3"), some("--unselected zero"), some("--outputs masks"), some("--sampling gumbel"), some("--target cuda"),
	some("--external-data"), some("--frames 12 --unselected zero --outputs masks"),
}

// exports adds testmodels/exports: convert and optimize of each, and every
// AFNet of a few converted again, by itself and with trained weights.
func (c *corpus) exports(t *testing.T) {
	dir := filepath.Join(testutil.Root(t), "testmodels", "exports")
	raw, err := os.ReadFile(filepath.Join(dir, "facts.json"))
	if err != nil {
		t.Fatal(err)
	}
	var facts map[string]exportFacts
	if err := json.Unmarshal(raw, &facts); err != nil {
		t.Fatal(err)
	}
	var accepted, refused, every []corpusInput
	for _, name := range sortedKeys(facts) {
		f, file := facts[name], filepath.Join(dir, name+".onnx")
		in := corpusInput{name, []string{file}}
		every = append(every, in)
		if f.Flag && !f.Refused {
			in.args = append(in.args, "--source-frames", fmt.Sprint(f.Frames))
		}
		if f.Refused {
			refused = append(refused, in)
		} else {
			accepted = append(accepted, in)
		}
	}
	c.addTo("convert", accepted, ofConvert)
	c.addTo("convert", refused, []corpusChoice{all("")})
	c.addTo("optimize", every, ofOptimize)

	var again []corpusInput
	for _, in := range accepted {
		if oneIn(8, in.name) {
			again = append(again, c.compiled(t, in, "--lowering", "gather", "--outputs", "masks"))
		}
		if oneIn(16, in.name) {
			af := again[len(again)-1]
			weights := filepath.Join(c.dir, in.name+".safetensors")
			mustRun(t, "export", af.args[0], "-o", weights)
			again = append(again, corpusInput{af.name + " with weights", append(af.args, "--weights", weights)})
			c.addTo("convert", []corpusInput{{in.name + " with weights", append(in.args, "--weights", weights)}},
				[]corpusChoice{all(""), all("--frames 5 --lowering mask"), all("--unselected zero"), all("--lowering topk --budget 1")})
		}
	}
	c.addTo("convert", again, ofAgain)
}

// compiled converts an input and returns the AFNet as one.
func (c *corpus) compiled(t *testing.T, in corpusInput, flags ...string) corpusInput {
	t.Helper()
	out := filepath.Join(c.dir, in.name+".af.onnx")
	mustRun(t, slices.Concat([]string{"convert"}, in.args, []string{"-o", out}, flags)...)
	return corpusInput{"AF of " + in.name, []string{out}}
}

// built adds models as testmodels spells them, in Go.
func (c *corpus) built(t *testing.T) {
	base := testmodels.Spec{Blocks: []int{3, 2, 2}, Width: 8, Frames: 4, Size: 33, Classes: 3, Seed: 5}
	var in []corpusInput
	for shift := testmodels.NoShift; shift <= testmodels.ShiftGather; shift++ {
		for head := testmodels.MeanAfterFC; head <= testmodels.PerFrameScores; head++ {
			if int(head)%3 != int(shift)%3 {
				continue
			}
			s := base
			s.Shift, s.Head, s.Input = shift, head, testmodels.Input(int(head)%3)
			s.Basic, s.ShiftBlock, s.Dynamic = head%2 == 0, shift%2 == 0, shift == testmodels.ShiftPad
			s.BN, s.Pixels = testmodels.BN(int(head)%2), shift == testmodels.ShiftConcat
			path := filepath.Join(c.dir, fmt.Sprintf("built_%d_%d.onnx", shift, head))
			if err := os.WriteFile(path, encodedSpec(t, s), 0o644); err != nil {
				t.Fatal(err)
			}
			in = append(in, corpusInput{strings.TrimSuffix(filepath.Base(path), ".onnx"), []string{path, "--source-frames", "4"}})
		}
	}
	c.addTo("convert", in, ofConvert)
	for i := range in {
		in[i].args = in[i].args[:1]
	}
	c.addTo("optimize", in, ofOptimize)
}

func encodedSpec(t *testing.T, s testmodels.Spec) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.Build().Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// checkpoints adds trained AFNet weights without a model, in every format that
// afc reads, and those of plain networks.
func (c *corpus) checkpoints(t *testing.T) {
	specs := []testmodels.AFSpec{
		{Depth: 18, Width: 8, Frames: 4, Classes: 3, Seed: 1},
		{Blocks: []int{3, 2, 2, 2}, Width: 16, Frames: 3, Classes: 4, Alpha: 4, Groups: 1, Seed: 2},
		{Blocks: []int{2, 3, 1}, Basic: true, Width: 8, Frames: 5, Classes: 3, Dense: true, Prefix: "base_model.", FC: "new_fc", Seed: 3},
	}
	var in []corpusInput
	for i, spec := range specs {
		entries := spec.Checkpoint()
		for format, write := range checkpointFormats {
			name := fmt.Sprintf("checkpoint_%d.%s", i, format)
			path := filepath.Join(c.dir, name)
			if err := os.WriteFile(path, write(t, entries), 0o644); err != nil {
				t.Fatal(err)
			}
			in = append(in, corpusInput{name, []string{"--weights", path}})
		}
	}
	slices.SortFunc(in, func(x, y corpusInput) int { return strings.Compare(x.name, y.name) })
	plain := c.compiled(t, corpusInput{"plain", []string{modelFile(t, small)}}).args[0]
	exported := filepath.Join(c.dir, "exported.safetensors")
	mustRun(t, "export", plain, "-o", exported)
	in = append(in, corpusInput{"exported.safetensors", []string{"--weights", exported}})
	c.addTo("convert", in, []corpusChoice{
		all("--size 40"), all("--size 40 --lowering mask"), some("--size 40 --lowering gather"), some("--size 40x56 --lowering branch"),
		some("--size 40 --lowering topk --budget 2"), some("--size 32 --shift"), some("--size 32 --shift --shift-div 4"),
		some("--size 32 --unselected zero"), some("--size 32 --stride-at source"), some("--frames 6 --size 32"),
		some("--size 32 --outputs masks --sampling gumbel"), some("--size 32 --target tensorrt"), some("--size 32 --external-data"),
		some(""),
	})
}

// run carries out the jobs and returns a line for each.
func (c *corpus) run(t *testing.T) []string {
	lines := make([]string, len(c.jobs))
	next := make(chan int)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		dir := t.TempDir()
		wg.Go(func() {
			for i := range next {
				lines[i] = c.line(t, dir, c.jobs[i])
			}
		})
	}
	for i := range c.jobs {
		next <- i
	}
	close(next)
	wg.Wait()
	return lines
}

// line is what a job comes to: the digest of what it wrote, or why not.
func (c *corpus) line(t *testing.T, dir string, j corpusJob) string {
	out := filepath.Join(dir, "out.onnx")
	o := tryRun(t, append(j.args, "-o", out)...)
	files, err := filepath.Glob(out + "*")
	if err != nil {
		t.Error(err)
	}
	if o.code != exitOK {
		if len(files) > 0 {
			t.Errorf("%s: exit %d, but it wrote %q", j.name, o.code, files)
		}
		said := strings.NewReplacer(c.dir, "DIR", dir, "OUT", testutil.Root(t), "ROOT").Replace(strings.TrimSpace(o.stderr))
		said = temporaryName.ReplaceAllString(said, "out.onnx")
		return fmt.Sprintf("%s: exit %d: %q", j.name, o.code, said)
	}
	digest := sha256.New()
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
		}
		digest.Write(raw)
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
	}
	return fmt.Sprintf("%s: %x", j.name, digest.Sum(nil)[:16])
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
