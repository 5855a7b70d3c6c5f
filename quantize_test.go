package afc_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
)

// toQuantize is a small TSM.
var toQuantize = testmodels.Spec{Blocks: []int{2, 2}, Width: 16, Frames: 4, Size: 64, Classes: 3, Shift: testmodels.ShiftConcat}

// TestQuantize: what stays in float is what reads a weight of navigation or of a
// gate, as the authors' keys tell it, and what lies between; no more.
func TestQuantize(t *testing.T) {
	source := written(t, toQuantize)
	decides := regexp.MustCompile(`\.(list_gen|att_gen)\.`)
	for _, lowering := range []codegen.Lowering{codegen.Mask, codegen.Gather, codegen.TopK} {
		opt := afc.ConvertOptions{Model: source, Lowering: lowering}
		if lowering == codegen.TopK {
			opt.Budget = []int{2}
		}
		path := converted(t, opt)
		out := filepath.Join(t.TempDir(), "config.json")
		r, err := afc.Quantize(t.Context(), afc.QuantizeOptions{Model: path, Output: out})
		if err != nil {
			t.Fatal(err)
		}
		m, err := graph.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		reading, convs := 0, 0
		for n := range m.Graph.Nodes() {
			excluded := slices.Contains(r.Config.Exclude, n.Name)
			if excluded && !decides.MatchString(n.Name) {
				t.Errorf("%s: %s stays in float", lowering, n.Name)
			}
			for _, v := range n.Inputs() {
				if v != nil && v.Initializer() != nil && decides.MatchString(v.Name()) {
					if reading++; !excluded {
						t.Errorf("%s: %s computes with %s in int8", lowering, n.Name, v.Name())
					}
				}
			}
			if n.Is("Conv") && !excluded {
				convs++
			}
		}
		if reading == 0 || convs != r.Convs {
			t.Errorf("%s: %d nodes decide, %d convolutions to quantise, reported %d", lowering, reading, convs, r.Convs)
		}
		raw, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		var written afc.QuantizeConfig
		if err := json.Unmarshal(raw, &written); err != nil || !reflect.DeepEqual(written, r.Config) {
			t.Errorf("%s: the file says %+v (%v)", lowering, written, err)
		}
	}
}

// TestQuantizeRenamed: a node that another tool renamed is told by its weight.
func TestQuantizeRenamed(t *testing.T) {
	path := converted(t, afc.ConvertOptions{Model: written(t, toQuantize), Lowering: codegen.Gather})
	m, err := graph.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	renamed := 0
	for n := range m.Graph.Nodes() {
		if strings.Contains(n.Name, ".list_gen.") {
			n.Name = "node_" + strings.Repeat("x", renamed)
			renamed++
		}
	}
	other := filepath.Join(t.TempDir(), "renamed.onnx")
	f, err := os.Create(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.Encode(f), f.Close(), m.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := afc.Quantize(t.Context(), afc.QuantizeOptions{Model: other})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range r.Config.Exclude {
		if strings.HasPrefix(name, "node_") {
			found++
		}
	}
	if found == 0 || renamed == 0 {
		t.Errorf("%d of %d renamed nodes stay in float", found, renamed)
	}
}

// TestQuantizeRefuses: what the quantiser would leave as it is is refused, with
// what to do.
func TestQuantizeRefuses(t *testing.T) {
	source := written(t, toQuantize)
	for _, tc := range []struct {
		opt  afc.ConvertOptions
		want string
	}{
		{afc.ConvertOptions{Model: source, Lowering: codegen.Branch}, "--lowering gather"},
		{afc.ConvertOptions{Model: source, Lowering: codegen.Gather, Form: afc.Form{Precision: "fp16"}}, "half precision"},
	} {
		_, err := afc.Quantize(t.Context(), afc.QuantizeOptions{Model: converted(t, tc.opt)})
		var wrong *graph.Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v; want %q", err, tc.want)
		}
	}
	fast := filepath.Join(t.TempDir(), "fast.onnx")
	if _, err := afc.Optimize(t.Context(), afc.OptimizeOptions{Model: source, Output: fast}); err != nil {
		t.Fatal(err)
	}
	for _, plain := range []string{source, fast} {
		r, err := afc.Quantize(t.Context(), afc.QuantizeOptions{Model: plain})
		if err != nil || len(r.Config.Exclude) != 0 || r.Convs == 0 {
			t.Errorf("%s: %+v, %v", plain, r, err)
		}
	}
}
