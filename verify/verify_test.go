package verify_test

import (
	"fmt"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify"
)

// network makes a tiny AFNet of random weights: two AF modules, ten channels
// and 33×33 pixels, so that maps have odd sizes.
func network(t testing.TB, shiftDiv int) *afblock.Network {
	t.Helper()
	spec := testmodels.AFSpec{Blocks: []int{3, 3, 2}, Width: 16, Frames: 4, Classes: 7, Dense: true, Seed: 3}
	sd := afblock.NewStateDict()
	for _, e := range spec.Checkpoint() {
		sd.Set(e.Key, e.Tensor)
	}
	net, err := afblock.FromStateDict(sd, afblock.CheckpointOptions{Frames: 4, Size: [2]int{33, 33}, ShiftDiv: shiftDiv})
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// subject lowers a network and says what there is to prove about it.
func subject(t testing.TB, net *afblock.Network, lowering codegen.Lowering) *verify.Subject {
	t.Helper()
	if _, err := verify.Version(); err != nil {
		t.Skip(err)
	}
	m, err := codegen.Lower(net, codegen.Options{Lowering: lowering, Budget: []int{net.Frames}})
	if err != nil {
		t.Fatal(err)
	}
	s := &verify.Subject{
		Model: m, Path: "af.onnx", Lowering: string(lowering), Frames: net.Frames, Size: net.Size,
		Reference: func(masksIn bool) (*graph.Model, error) {
			return codegen.Lower(net, codegen.Options{Lowering: codegen.Mask, MasksInput: masksIn, MasksOutput: true})
		},
	}
	if lowering == codegen.TopK {
		s.Budget = []int{net.Frames}
	}
	for _, b := range codegen.FocalBlocks(net) {
		s.Blocks = append(s.Blocks, verify.FocalBlock(b))
	}
	return s
}

// prove runs the checks with few threads and rounds.
func prove(t testing.TB, s *verify.Subject, only ...string) *verify.Report {
	t.Helper()
	r, err := verify.Verify(t.Context(), s, verify.Options{Only: only, Videos: verify.Random{Count: 3, Seed: 1}, Threads: 1, Rounds: 3, Batch: 3})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func row(t testing.TB, r *verify.Report, name string) verify.Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("the report has no row %q", name)
	return verify.Check{}
}

func TestVerifyCorrect(t *testing.T) {
	for _, shiftDiv := range []int{0, 8} {
		net := network(t, shiftDiv)
		for _, lowering := range codegen.Lowerings {
			t.Run(fmt.Sprintf("%s/shift %d", lowering, shiftDiv), func(t *testing.T) {
				r := prove(t, subject(t, net, lowering))
				for _, c := range r.Checks {
					if c.Status == verify.Fail {
						t.Errorf("%s: %s (limit %s) %s", c.Name, c.Figure, c.Limit, c.Where)
					}
				}
				for _, name := range []string{"file", "onnx-go", "load", "reference", "masks", "none", "all", "mixed", "tie", "repeat", "batch", "permute", "isolation", "optimised", "skipping"} {
					if name == "skipping" && lowering == codegen.Mask || name == "onnx-go" && lowering == codegen.Branch {
						continue // computes every frame; has subgraphs
					}
					if c := row(t, r, name); c.Status != verify.Pass {
						t.Errorf("%s is %s: %s", name, c.Status, c.Where)
					}
				}
				if testing.Verbose() {
					r.WriteText(t.Output())
				}
			})
		}
	}
}
