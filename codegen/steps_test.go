package codegen_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
)

// TestSteps holds each step to what it may change: nothing but the order of
// sums in the output, and in the graph what its golden file shows, operators
// counted without the step and with it.
func TestSteps(t *testing.T) {
	still := spec{name: "tsn", frames: 4, size: [2]int{96, 80}, width: 8, af: []int{4, 3, 2}, plain: []int{2}}
	moving := still
	moving.name, moving.shift = "tsm", true
	for _, info := range codegen.Steps {
		t.Run(string(info.Step), func(t *testing.T) {
			var golden strings.Builder
			for _, lowering := range info.Lowerings {
				for _, s := range []spec{still, moving} {
					opt := codegen.Options{Lowering: lowering, MasksInput: true, Budget: budgetFor(lowering, 2)}
					inputs := map[string]*graph.Tensor{
						afblock.DefaultInput: clip(2, s),
						names.MasksIn:        masksOf(2, 6, int64(s.frames), 2),
					}
					if info.Step == codegen.Unroll || info.Step == codegen.CellBoxes {
						inputs[afblock.DefaultInput] = frames(clip(1, s))
						inputs[names.MasksIn] = masksOf(1, 6, int64(s.frames), 2)
					}
					if lowering == codegen.Plain {
						s.af, s.plain, opt.MasksInput = nil, append(s.af, s.plain...), false
						delete(inputs, names.MasksIn)
					}
					net := newNetwork(s)
					switch info.Step {
					case codegen.Unroll:
						net.Shell = oneClip{}
					case codegen.CellBoxes:
						var err error
						if net, err = net.FixCells([]int{4, 2, 2}, afblock.CellPattern{Kind: "center", Ratio: 0.1}); err != nil {
							t.Fatal(err)
						}
						net.Shell = oneClip{}
						for name, cells := range boxInputs(net, s.size, cellKinds[4].on) {
							if name != names.MasksIn && name != afblock.DefaultInput {
								inputs[name] = cells
							}
						}
					case codegen.HiddenScans:
						net = mobile(t, s.frames, s.size) // which shifts
						if s.shift {
							net.Unselected = afblock.UnselectedZero
						}
						inputs[names.MasksIn] = masksOf(2, 5, int64(s.frames), 2)
					}
					without := opt
					without.Without = []codegen.Step{info.Step}
					fmt.Fprintf(&golden, "%s, %s:%s\n", s.name, lowering, opChanges(t, net, without, opt))

					want, _ := open(t, net, without).run(t, inputs)
					got, _ := open(t, net, opt).run(t, inputs)
					same(t, fmt.Sprintf("%s, %s: logits", s.name, lowering), got, want, alike)
				}
			}
			testutil.Golden(t, "steps/"+string(info.Step)+".golden", golden.String())
		})
	}
}

// opChanges lists the operators whose count differs between two ways to write a
// network, subgraphs included.
func opChanges(t *testing.T, net *afblock.Network, before, after codegen.Options) string {
	t.Helper()
	var counts [2]map[string]int
	for i, opt := range []codegen.Options{before, after} {
		counts[i] = operators(t, net, opt)
	}
	ops := maps.Clone(counts[0])
	maps.Copy(ops, counts[1])
	var out strings.Builder
	for _, op := range slices.Sorted(maps.Keys(ops)) {
		if b, a := counts[0][op], counts[1][op]; a != b {
			fmt.Fprintf(&out, "\n  %-18s %4d → %d", op, b, a)
		}
	}
	if out.Len() == 0 {
		return " as before"
	}
	return out.String()
}

// operators counts the operators of a lowered network, subgraphs included.
func operators(t *testing.T, net *afblock.Network, opt codegen.Options) map[string]int {
	t.Helper()
	m, _, err := codegen.Lower(net, opt)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for n := range m.Graph.AllNodes() {
		counts[n.OpType]++
	}
	return counts
}

// TestStepTable: each step names its file, and each golden file has its step.
func TestStepTable(t *testing.T) {
	var names []string
	for _, info := range codegen.Steps {
		names = append(names, string(info.Step)+".golden")
		if _, err := os.Stat(info.File); err != nil {
			t.Errorf("%s: %v", info.Step, err)
		}
	}
	files, err := filepath.Glob("testdata/steps/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !slices.Contains(names, filepath.Base(f)) {
			t.Errorf("%s: no such step", f)
		}
	}
	net := newNetwork(networks[0])
	if _, _, err := codegen.Lower(net, codegen.Options{Lowering: codegen.Mask, Without: []codegen.Step{"no-such"}}); err == nil {
		t.Error("an unknown step is accepted")
	}
}
