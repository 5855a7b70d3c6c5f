package schema

import (
	"math"
	"testing"
)

func TestLookup(t *testing.T) {
	for _, c := range []struct {
		domain, op string
		opset      int64
		since      int64 // 0: there is none
	}{
		{"", "Conv", 1, 1}, {"", "Conv", 10, 1}, {"", "Conv", 11, 11}, {"", "Conv", 21, 11}, {"", "Conv", 28, 22},
		{"", "Upsample", 9, 9}, {"", "Upsample", 10, 0}, // deprecated for Resize
		{"", "Gelu", 19, 0}, {"", "Gelu", 20, 20},
		{"ai.onnx.ml", "LabelEncoder", 2, 2}, {"", "LabelEncoder", 13, 0}, {"com.example", "Conv", 13, 0},
	} {
		var since int64
		if op := Lookup(c.domain, c.op, c.opset); op != nil {
			since = op.Since
		}
		if since != c.since {
			t.Errorf("%s.%s in opset %d is of %d, want %d", c.domain, c.op, c.opset, since, c.since)
		}
	}
	if got := First("", "ReduceMean"); got != 1 {
		t.Errorf("ReduceMean came with opset %d, want 1", got)
	}
	if got := Newest(""); got < 28 {
		t.Errorf("the newest opset is %d, want 28 or later", got)
	}
}

func TestOp(t *testing.T) {
	cast := Lookup("", "Cast", 13)
	if to := cast.Attribute("to"); to == nil || to.Type != "INT" || !to.Required {
		t.Errorf("Cast's attribute to is %+v, want a required INT", to)
	}
	if got := cast.Attribute("from"); got != nil {
		t.Errorf("Cast has an attribute from: %+v", got)
	}
	concat := Lookup("", "Concat", 13)
	if concat.MinInputs != 1 || concat.MaxInputs != math.MaxInt {
		t.Errorf("Concat takes %d to %d inputs, want 1 or more", concat.MinInputs, concat.MaxInputs)
	}
}
