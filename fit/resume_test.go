package fit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/afblock"
)

// TestResume: a fit that was interrupted in any stage and resumed ends in the
// very weights of one that was not, and leaves nothing.
func TestResume(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	in := networks(t, tiny, half, 40)
	opt := Options{Threads: 1, Rows: 3000, Held: -1}
	whole, err := Fit(t.Context(), in, opt)
	if err != nil {
		t.Fatal(err)
	}
	opt.State = filepath.Join(t.TempDir(), "af.onnx.fit")
	for _, after := range []string{"layer1.fusion", "layer2.fusion", "layer3.0.conv1"} {
		if err := interrupt(t, in, opt, after); !errors.Is(err, context.Canceled) {
			t.Fatalf("interrupted behind %s: %v", after, err)
		}
	}
	if kept, err := os.ReadDir(opt.State); err != nil || len(kept) != 1 {
		t.Fatalf("the folder of the state holds %v (%v), want one stage", kept, err)
	}
	resumed := 0
	opt.Progress = func(int, int, Layer) { resumed++ }
	r, err := Fit(t.Context(), in, opt)
	if err != nil {
		t.Fatal(err)
	}
	if resumed == 0 || resumed >= len(whole.Layers) {
		t.Errorf("%d of %d layers fitted after resuming", resumed, len(whole.Layers))
	}
	if d := cmp.Diff(whole.Layers, r.Layers); d != "" {
		t.Errorf("residuals (-whole +resumed):\n%s", d)
	}
	sameWeights(t, whole.Net, r.Net)
	if err := Forget(opt.State); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(opt.State); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state is still there: %v", err)
	}
}

// interrupt runs a fit until a layer whose name begins so is fitted and the next
// one too, which lies behind a state if the first ended a stage.
func interrupt(t *testing.T, in Input, opt Options, after string) error {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := false
	opt.Progress = func(_, _ int, l Layer) {
		if seen && !strings.HasPrefix(l.Name, after) {
			cancel()
		}
		seen = seen || strings.HasPrefix(l.Name, after)
	}
	_, err := Fit(ctx, in, opt)
	return err
}

func sameWeights(t *testing.T, a, b *afblock.Network) {
	t.Helper()
	theirs := map[string][]byte{}
	for key, v := range b.Tensors() {
		theirs[key], _ = (*v).Bytes()
	}
	for key, v := range a.Tensors() {
		if mine, _ := (*v).Bytes(); string(mine) != string(theirs[key]) {
			t.Errorf("%s differs", key)
		}
	}
}

// TestResumeRefuses: what is not the state of this very fit is not gone on from.
func TestResumeRefuses(t *testing.T) {
	in := networks(t, tiny, half, 40)
	opt := Options{Threads: 1, Rows: 3000, Held: -1, State: filepath.Join(t.TempDir(), "state")}
	if err := interrupt(t, in, opt, "layer1.fusion"); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	dir := filepath.Join(opt.State, "stage-1")
	for name, c := range map[string]struct {
		spoil func(t *testing.T, opt *Options)
		want  string
	}{
		"other options":  {func(_ *testing.T, o *Options) { o.Seed = 7 }, "with other options"},
		"a short stream": {func(t *testing.T, _ *Options) { shorten(t, filepath.Join(dir, aheadFile)) }, "bytes, expected"},
		"broken weights": {func(t *testing.T, _ *Options) { shorten(t, filepath.Join(dir, weightsFile)) }, "weights.safetensors"},
		"no JSON":        {func(t *testing.T, _ *Options) { shorten(t, filepath.Join(dir, stateFile)) }, "state.json"},
	} {
		t.Run(name, func(t *testing.T) {
			opt := opt
			opt.State = t.TempDir()
			if err := os.CopyFS(opt.State, os.DirFS(filepath.Dir(dir))); err != nil {
				t.Fatal(err)
			}
			old := dir
			dir = filepath.Join(opt.State, "stage-1")
			defer func() { dir = old }()
			c.spoil(t, &opt)
			if _, err := Fit(t.Context(), in, opt); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func shorten(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()/2); err != nil {
		t.Fatal(err)
	}
}
