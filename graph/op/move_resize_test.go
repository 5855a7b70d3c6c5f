package op_test

import (
	"slices"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// recordedOperands are the constants of a recorded case: all but its data.
type recordedOperands struct {
	data  *graph.Value
	known map[*graph.Value]*graph.Tensor
}

func (r recordedOperands) Dims(v *graph.Value) []int64 {
	if t := r.known[v]; t != nil {
		return t.Dims
	}
	return nil
}

func (r recordedOperands) Constant(v *graph.Value) *graph.Tensor {
	switch t := r.known[v]; {
	case v == r.data:
		return nil
	case t != nil:
		return t
	}
	return v.Const()
}

func (recordedOperands) Elements(*graph.Value, []int64) ([]float64, bool) { return nil, false }

// TestResizeMoves follows every recorded case of Resize and Upsample to the
// nearest element: what is followed is what was recorded, exactly.
func TestResizeMoves(t *testing.T) {
	claimed := func(name, _ string, _ int64) bool { return name == "Resize" || name == "Upsample" }
	followed, cases := 0, 0
	operatorCases(t, claimed, func(t *testing.T, c operatorCase) {
		n := c.model.Graph.Outputs()[0].Producer()
		if !claimed(n.OpType, "", 0) || n.AttrString("mode", "nearest") != "nearest" {
			return
		}
		cases++
		r := recordedOperands{n.Input(0), map[*graph.Value]*graph.Tensor{n.Output(0): c.want[0]}}
		for i, v := range c.model.Graph.Inputs() {
			if c.in[i] != nil {
				r.known[v] = c.in[i]
			}
		}
		move := op.Moves(n, 0, r)
		if move == nil {
			t.Logf("%s: %s, %s is not followed", c.name, n.AttrString("coordinate_transformation_mode", ""), n.AttrString("keep_aspect_ratio_policy", ""))
			return
		}
		followed++
		data, err1 := r.known[n.Input(0)].Float32s()
		want, err2 := c.want[0].Float32s()
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		at := make([]int64, len(want))
		for i := range at {
			at[i] = int64(i)
		}
		pieces, ok := move(at)
		if !ok || len(pieces) != 1 || pieces[0].Input != 0 {
			t.Fatalf("%s: pieces %v", c.name, pieces)
		}
		got := make([]float32, len(want))
		for i, k := range pieces[0].At {
			got[i] = data[k]
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	})
	t.Logf("followed %d of %d", followed, cases)
	if followed < 20 {
		t.Errorf("%d of %d recorded cases are followed", followed, cases)
	}
}
