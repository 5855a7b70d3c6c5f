package codegen_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// TestWeightsComeBack: a written model gives back every weight bit for bit,
// however a lowering cuts or repeats it.
func TestWeightsComeBack(t *testing.T) {
	for _, s := range networks {
		net := newNetwork(s)
		want, err := weights.Export(net)
		if err != nil {
			t.Fatal(err)
		}
		for _, lowering := range codegen.Lowerings {
			t.Run(fmt.Sprintf("%s/%s", s.name, lowering), func(t *testing.T) {
				if s.size[0] == 0 && !anySize(lowering) {
					t.Skip("needs to know the size")
				}
				m, _, err := codegen.Lower(net, codegen.Options{Lowering: lowering, Budget: budgetFor(lowering, 1)})
				if err != nil {
					t.Fatal(err)
				}
				file, err := graph.EncodeBytes(m)
				if err != nil {
					t.Fatal(err)
				}
				if m, err = graph.Decode(file); err != nil {
					t.Fatal(err)
				}
				back, _, err := compiled.ReadModel(m)
				if err != nil {
					t.Fatal(err)
				}
				got, err := weights.Export(back)
				if err != nil {
					t.Fatal(err)
				}
				if got.Len() != want.Len() {
					t.Fatalf("%d tensors, want %d", got.Len(), want.Len())
				}
				for name, w := range want.All() {
					g := got.Tensor(name)
					if g == nil {
						t.Errorf("%s is missing", name)
						continue
					}
					a, errA := g.Bytes()
					b, errB := w.Bytes()
					if errA != nil || errB != nil || !bytes.Equal(a, b) {
						t.Errorf("%s differs (%v, %v)", name, errA, errB)
					}
				}
			})
		}
	}
}

// budgetFor is the budget that a lowering needs.
func budgetFor(l codegen.Lowering, frames int) []int {
	if l == codegen.TopK {
		return []int{frames}
	}
	return nil
}

// TestOpsets: a model reads alike under every opset that codegen may write it
// in, from the oldest to the newest that ONNX Runtime reads.
func TestOpsets(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	s := spec{name: "tsm", frames: 3, size: [2]int{70, 66}, width: 8, af: []int{3, 3}, plain: []int{1}, shift: true}
	still := s
	still.name, still.shift = "tsn", false
	for _, s := range []spec{s, still} {
		for _, lowering := range codegen.Lowerings {
			t.Run(fmt.Sprintf("%s/%s", s.name, lowering), func(t *testing.T) {
				var want *graph.Tensor
				for _, opset := range []int64{13, 14, 15, 16, 18, 19, 21, 23, 24, 25, 26} { // those that change an operator used
					m, _, err := codegen.Lower(newNetwork(s), codegen.Options{Lowering: lowering, Budget: budgetFor(lowering, 1), MasksOutput: true})
					if err != nil {
						t.Fatal(err)
					}
					m.Opsets[0].Version, m.IRVersion = opset, 10
					sess, err := ort.NewSession(m, ort.SessionOptions{Threads: 1})
					if err != nil {
						t.Fatalf("opset %d: %v", opset, err)
					}
					got, _ := runner{sess}.run(t, map[string]*graph.Tensor{afblock.DefaultInput: clip(2, s)})
					sess.Close()
					if want == nil {
						want = got
					}
					same(t, fmt.Sprintf("logits in opset %d", opset), got, want, verify.Reordered)
				}
			})
		}
	}
}

// TestReadBackWhole: of a grouped convolution whose frames are written out, a
// whole group's kernel stands behind zeros; it is read back as any other.
func TestReadBackWhole(t *testing.T) {
	plain, err := recognize.Network(testmodels.Spec{
		Blocks: []int{2, 2}, Width: 16, Frames: 4, Size: 96, Classes: 3, Shift: testmodels.ShiftPad, BN: testmodels.BNKept,
	}.Build(), recognize.Options{})
	if err != nil {
		t.Fatal(err)
	}
	net, err := afblock.Rewrite(plain, afblock.RewriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := codegen.Lower(net, codegen.Options{Lowering: codegen.Branch})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := compiled.ReadModel(m); err != nil {
		t.Error(err)
	}
}
