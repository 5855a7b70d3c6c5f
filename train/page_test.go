package train

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/afc-project/afc/internal/testutil"
)

func TestPage(t *testing.T) {
	right, agrees, lost := 0.79, 0.93, 0.0274
	score := &Score{Clips: 100, Selected: 0.5, Right: &right, Agrees: &agrees, Error: &lost, Frames: [][]float64{{1, 0, 0.5, 0.5}, {0, 1, 0.25, 0.75}}}
	r := &Result{Clips: 300, Steps: 5, Before: score, Best: score, Of: 1, Last: score, Blocks: []string{"layer1.list_gen.0", "layer1.list_gen.1"}, Scores: []Moment{{Step: 2, Val: score}, {Step: 5, Val: score}}}
	for i := range 5 {
		x := float64(i)
		r.Curve = add(r.Curve, 5, i+1, Progress{Tau: 1 / (1 + x), Target: 0.5, Rate: 1e-3, Facts: map[string]float64{
			"loss": 0.2 - x/50, "loss_teacher": 0.15 - x/50, "loss_ratio": 0.05, "gradient_norm": 3 - x/5, "selected_0": 0.5, "selected_1": 0.4 + x/20,
		}})
	}
	p := &Page{Model: "tuned.onnx", From: "af.onnx", Source: "<b>model.onnx", Program: "afc", How: "tuned", Tune: r}
	var b bytes.Buffer
	if err := p.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	testutil.Golden(t, "page.html", b.String())
	if strings.Contains(b.String(), "<b>model") {
		t.Error("a file's name is not escaped")
	}
	for _, figure := range []string{">Loss<", "Temperature", "First classes of", "Scores of the clips", "over the steps", "at the end"} {
		if !strings.Contains(b.String(), figure) {
			t.Errorf("there is no figure %q", figure)
		}
	}
	d := xml.NewDecoder(&b)
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestCurve: a curve of many steps has few moments, each the mean of its steps.
func TestCurve(t *testing.T) {
	const steps = 3*maxMoments - 1 // three a moment, two in the last
	var curve []Moment
	for i := range steps {
		curve = add(curve, steps, i+1, Progress{Facts: map[string]float64{"loss": float64(i)}, Rate: float64(i)})
	}
	if len(curve) != maxMoments {
		t.Fatalf("%d moments, want %d", len(curve), maxMoments)
	}
	for k, m := range curve {
		n, last, mean := 3, 3*k+3, float64(3*k+1)
		if k == maxMoments-1 {
			n, last, mean = 2, steps, float64(3*k)+0.5
		}
		if m.Steps != n || m.Step != last || m.Facts["loss"] != mean || m.Rate != float64(last-1) {
			t.Errorf("moment %d: %+v", k, m)
		}
	}
}
