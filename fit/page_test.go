package fit

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
	right, theirs := 0.79, 0.82
	p := &Page{Model: "af.onnx", Source: "<b>model.onnx", Program: "afc", SourceMACs: 2e9, MACs: 1.2e9, Fit: &Result{
		For: Schedule, Clips: 300, Held: 100, SourceRight: &theirs,
		Controls: []Control{{Name: "schedule", Selected: 0.5, Top1: 0.93, Error: 0.035, Right: &right}},
		Layers: []Layer{
			{Name: "layer1.refine_module.0.conv1", Rows: 2500, Residual: 0.14}, {Name: "layer1.refine_module.0.conv2", Rows: 2500, Residual: 0.19},
			{Name: "layer1.base_transform.0", Rows: 2500, Residual: 0.22}, {Name: "new_fc", Rows: 2400, Residual: 0.03},
		},
	}}
	var b bytes.Buffer
	if err := p.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	testutil.Golden(t, "page.html", b.String())
	if strings.Contains(b.String(), "<b>model") {
		t.Error("a file's name is not escaped")
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
