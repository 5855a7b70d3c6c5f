package pytorch

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/testmodels"
)

var small = testmodels.Spec{Depth: 18, Width: 8, Frames: 4, Size: 32, Classes: 5}

func recognized(t *testing.T, m *graph.Model) *afblock.Network {
	t.Helper()
	net, err := recognize.Network(m, recognize.Options{Frames: 4})
	if err != nil {
		t.Fatal(err)
	}
	return net
}

func rewritten(t *testing.T, src *afblock.Network) *afblock.Network {
	t.Helper()
	net, err := afblock.Rewrite(src, afblock.RewriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return net
}

func TestWrite(t *testing.T) {
	spec := small
	spec.Shift = testmodels.ShiftScatter
	src := recognized(t, spec.Build())
	dir := filepath.Join(t.TempDir(), "deep", "net")
	if err := Write(dir, rewritten(t, src), src, "test"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"afnet.py", "data.py", "train.py", "README.md", "weights.safetensors", "teacher.json", "teacher.safetensors"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	config, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	testutil.Golden(t, "config.json", string(config))
	if err := Write(dir, rewritten(t, src), nil, "test"); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("written over a folder that is in use: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*")); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

// Every head and layout that afnet.py knows passes, in every spelling.
func TestPlain(t *testing.T) {
	for _, input := range []testmodels.Input{testmodels.FramesInChannels, testmodels.FramesOwnAxis, testmodels.FramesInBatch} {
		for _, head := range []testmodels.Head{testmodels.MeanAfterFC, testmodels.MeanBeforeFC, testmodels.SumDiv, testmodels.PoolConsensus, testmodels.PerFrameScores} {
			for _, softmax := range []bool{false, true} {
				spec := small
				spec.Input, spec.Head, spec.Softmax = input, head, softmax
				if err := plain(recognized(t, spec.Build())); err != nil {
					t.Errorf("input %d, head %d, softmax %v: %v", input, head, softmax, err)
				}
			}
		}
	}
}

func TestPlainRefuses(t *testing.T) {
	pixels := small
	pixels.Pixels = true
	tail := recognized(t, small.Build())
	tail.Head.Softmax = true // which the model itself does not have
	for name, c := range map[string]struct {
		net  *afblock.Network
		want string
	}{
		"pixels": {recognized(t, pixels.Build()), "prepares pixels itself"},
		"tail":   {tail, "what lies behind the last block"},
	} {
		if err := plain(c.net); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// The configuration has the same words as afnet.py asks for.
func TestConfigKeysAreKnown(t *testing.T) {
	python, err := files.ReadFile("files/afnet.py")
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(configOf(rewritten(t, recognized(t, small.Build())), "test").json(), &fields); err != nil {
		t.Fatal(err)
	}
	for name := range fields {
		if !bytes.Contains(python, []byte(`"`+name+`"`)) {
			t.Errorf("afnet.py does not know %q", name)
		}
	}
}
