package verify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
	"github.com/afc-project/afc/verify/subject"
)

// withDial lowers a network with a dial and says what there is to prove about it.
func withDial(t *testing.T, net *afblock.Network, lowering codegen.Lowering) *verify.Subject {
	t.Helper()
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	opt := codegen.Options{Lowering: lowering, MasksOutput: true, Dial: true}
	if lowering == codegen.TopK {
		opt.Budget = []int{2}
	}
	m, _, err := codegen.Lower(net, opt)
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := subject.Of(m)
	if err != nil {
		t.Fatal(err)
	}
	s.Path = "af.onnx"
	return s
}

// dialFaults are faults in a lowered model; each reports whether there was a place
// for it.
var dialFaults = []struct {
	name  string
	plant func(m *graph.Model) bool
}{
	{"subtracted", func(m *graph.Model) bool {
		return eachDialled(m, func(_ int, n *graph.Node) bool { n.OpType = "Sub"; return true })
	}},
	{"left out of the last block", func(m *graph.Model) bool {
		var last *graph.Node
		eachDialled(m, func(_ int, n *graph.Node) bool { last = n; return true })
		last.Output(0).ReplaceAllUses(last.Input(0))
		return true
	}},
	{"twice", func(m *graph.Model) bool {
		return eachDialled(m, func(_ int, n *graph.Node) bool {
			twice := m.Graph.NewNode("Add", "twice", []*graph.Value{n.Input(1), n.Input(1)}, 1)
			m.Graph.MoveBefore(twice, n)
			n.SetInput(1, twice.Output(0))
			return true
		})
	}},
}

// eachDialled calls f for the nodes that add the margin, and reports whether each
// call did something.
func eachDialled(m *graph.Model, f func(i int, n *graph.Node) bool) bool {
	i := 0
	for n := range m.Graph.Nodes() {
		if strings.HasSuffix(n.Output(0).Name(), ".dialled") {
			if !f(i, n) {
				return false
			}
			i++
		}
	}
	return i > 0
}

// TestVerifyDial: a model with a dial is proved at other margins too, in every
// lowering, and faults in how it adds the margin are found.
func TestVerifyDial(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for _, shiftDiv := range []int{0, 8} {
		for _, lowering := range codegen.Lowerings {
			if shiftDiv == 0 && lowering != codegen.Branch {
				continue // the others write their choices alike, shift or not
			}
			t.Run(fmt.Sprintf("%s/shift %d", lowering, shiftDiv), func(t *testing.T) {
				s := withDial(t, network(t, shiftDiv), lowering)
				checks := []string{"load", "interpreter", "dial", "skipping"}
				if lowering == codegen.Branch {
					checks = append(checks, "reference", "compiler", "masks", "tie", "optimised")
				}
				for _, c := range prove(t, s, checks...).Checks {
					if c.Status != verify.Pass && !(c.Name == "skipping" && lowering == codegen.Mask) {
						t.Errorf("%s is %s: %s (limit %s) %s", c.Name, c.Status, c.Figure, c.Limit, c.Where)
					}
				}
				for _, f := range dialFaults {
					faulty := *s
					faulty.Model = s.Model.Clone()
					if !f.plant(faulty.Model) {
						t.Fatalf("%s: there is no place for it", f.name)
					}
					if c := row(t, prove(t, &faulty, "dial"), "dial"); c.Status != verify.Fail {
						t.Errorf("the margin is %s, and the check is %s: %s", f.name, c.Status, c.Figure)
					}
				}
			})
		}
	}
}

// TestDialOfSchedule: the dial of a fixed pattern selects so many frames more or
// fewer, none and all at its ends.
func TestDialOfSchedule(t *testing.T) {
	_, plain := plainSource(t, 5)
	net, err := afblock.Rewrite(plain, afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.5}})
	if err != nil {
		t.Fatal(err)
	}
	s := withDial(t, net.Dialled(), codegen.Branch)
	var selected []float64
	for _, m := range []float32{-0.5, -0.25, 0, 0.25, 0.5} {
		measured, err := verify.Measure(t.Context(), s, verify.Options{Margin: &m})
		if err != nil {
			t.Fatal(err)
		}
		sum, all := 0.0, 0.0
		for _, mask := range measured[0].Masks {
			for _, bit := range mask {
				sum, all = sum+float64(bit), all+1
			}
		}
		selected = append(selected, sum/all)
	}
	if want := []float64{0, 0.25, 0.5, 0.75, 1}; !slices.Equal(selected, want) {
		t.Errorf("it selects %v of the frames, want %v (input %s)", selected, want, names.Margin)
	}
}
