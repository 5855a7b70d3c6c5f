package codegen_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/interpret"
	"github.com/afc-project/afc/verify"
)

// float64s is the tolerance against the network in float64.
var float64s = verify.Tolerance{Name: "float64", Scale: 2e-5}

// withSchedule makes focal and fusion blocks of a network plain ones, the focal
// ones with a schedule.
func withSchedule(net *afblock.Network, p afblock.Pattern) *afblock.Network {
	nth := 0
	for _, s := range net.Stages {
		if s.AF == nil {
			continue
		}
		for _, b := range s.AF.Focal {
			b.Act, b.Schedule = afblock.ReLU, &afblock.Schedule{Pattern: p, Nth: nth}
			nth++
		}
		s.Blocks, s.AF = append(s.AF.Focal, s.AF.Fusion), nil
	}
	return net
}

// TestSchedules holds blocks with a schedule, computed and masked, to their
// definition in float64, for batches of any size, and what they execute to what
// the network needs.
func TestSchedules(t *testing.T) {
	for _, s := range networks {
		for _, ratio := range []float64{0.5, 0.3, 1} {
			net := withSchedule(newNetwork(s), afblock.Pattern{Ratio: ratio})
			reference, err := interpret.New(net)
			if err != nil {
				t.Fatal(err)
			}
			for _, lowering := range []codegen.Lowering{codegen.Mask, codegen.Gather, codegen.Branch} {
				t.Run(fmt.Sprintf("%s/%g/%s", s.name, ratio, lowering), func(t *testing.T) {
					opt := codegen.Options{Lowering: lowering}
					if !net.Size.Known() && (s.unselected == afblock.UnselectedBias && lowering != codegen.Mask || lowering == codegen.Branch) {
						if _, _, err := codegen.Lower(net, opt); err == nil {
							t.Fatal("the answer to a skipped frame is told for maps of any size")
						}
						return
					}
					r := open(t, net, opt)
					for _, batch := range []int64{1, 3} {
						if testing.Short() && batch > 1 {
							continue
						}
						x := clip(batch, s)
						got, _ := r.run(t, map[string]*graph.Tensor{"video": x})
						same(t, "logits", got, scoresOf(t, reference, x), float64s)
					}
					if net.Size.Known() {
						executesWhatItNeeds(t, net, opt, lowering == codegen.Mask)
					}
				})
			}
		}
	}
}

// scoresOf runs a network in float64 on clips [N, T, C, H, W].
func scoresOf(t *testing.T, n *interpret.Network, x *graph.Tensor) *graph.Tensor {
	t.Helper()
	v, err := x.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	var scores []float32
	per := len(v) / int(x.Dims[0])
	for i := range int(x.Dims[0]) {
		a, err := n.Clip(v[i*per:(i+1)*per], int(x.Dims[3]), int(x.Dims[4]), interpret.Given{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range a.Scores[0] {
			scores = append(scores, float32(s))
		}
	}
	return graph.Float32s([]int64{x.Dims[0], int64(len(scores)) / x.Dims[0]}, scores...)
}

func executesWhatItNeeds(t *testing.T, net *afblock.Network, opt codegen.Options, all bool) {
	t.Helper()
	got, err := codegen.ExecutedCost(net, opt, nil)
	if err != nil {
		t.Fatal(err)
	}
	table, err := net.Cost(afblock.CostOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := table.Total().MACs
	if all {
		want = 0
		for _, i := range table.Items {
			want += i.Full.MACs
		}
	}
	if more := float64(got.MACs)/want - 1; more < -1e-3 || more > 2e-2 { // casts of layout
		t.Errorf("executes %d MACs, the network needs %.0f: %.2f %% more", got.MACs, want, 100*more)
	}
}

// TestSchedulesComeBack: a file says which frames its blocks compute, and writes
// itself anew to the same bytes.
func TestSchedulesComeBack(t *testing.T) {
	net := withSchedule(newNetwork(networks[1]), afblock.Pattern{Ratio: 0.5})
	m, choice, err := codegen.Lower(net, codegen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if choice.Lowering != codegen.Branch {
		t.Errorf("lowering %s", choice.Lowering)
	}
	if other := codegen.Choose(net, codegen.Options{Target: codegen.CUDA}); other.Lowering != codegen.Gather {
		t.Errorf("lowering %s for CUDA", other.Lowering)
	}
	want, err := graph.EncodeBytes(m)
	if err != nil {
		t.Fatal(err)
	}
	back, file, err := compiled.ReadModel(m)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range net.Stages {
		for k, b := range s.Blocks {
			if d := cmp.Diff(b.Schedule, back.Stages[i].Blocks[k].Schedule); d != "" {
				t.Errorf("%s: %s", b.Key, d)
			}
		}
	}
	again, _, err := codegen.Lower(back, codegen.OptionsOf(file))
	if err != nil {
		t.Fatal(err)
	}
	got, err := graph.EncodeBytes(again)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("written anew it is another file")
	}
}
