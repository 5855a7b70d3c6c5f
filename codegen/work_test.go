package codegen_test

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/verify/ort"
)

// TestWork holds what Work says of each focal block to the products that ONNX
// Runtime has traced in its convolutions: boxes, tiles and whole frames, halos
// included.
func TestWork(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	for _, tc := range boxed {
		if tc.shift { // whose pieces are not run at a clip's ends
			continue
		}
		for _, trained := range []bool{false, true} {
			net := withCells(t, tc.spec, tc.grids, trained)
			for _, lowering := range []codegen.Lowering{codegen.Mask, codegen.Gather, codegen.Branch, codegen.TopK} {
				t.Run(fmt.Sprintf("%s, trained %v, %s", tc.name, trained, lowering), func(t *testing.T) {
					opt := codegen.Options{Lowering: lowering, MasksInput: true, Budget: budgetFor(lowering, 1)}
					for _, kind := range cellKinds {
						holdWork(t, net, tc.spec, opt, kind.name, kind.on)
					}
				})
			}
		}
	}
}

func holdWork(t *testing.T, net *afblock.Network, s spec, opt codegen.Options, name string, on func(row, col, last, frame int) bool) {
	t.Helper()
	w, err := codegen.NewWork(net, opt)
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := codegen.Lower(net, opt)
	if err != nil {
		t.Fatal(err)
	}
	session, err := ort.NewSession(m, ort.SessionOptions{Threads: 1, OptLevel: ort.OptNone, ProfilePrefix: filepath.Join(t.TempDir(), "trace")})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	in := boxInputs(net, s.size, on)
	if _, err := session.RunNamed(context.Background(), in); err != nil {
		t.Fatal(err)
	}
	profile, err := session.EndProfile()
	if err != nil {
		t.Fatal(err)
	}
	bits := func(v []float32) []uint8 {
		b := make([]uint8, len(v))
		for i, x := range v {
			b[i] = uint8(x)
		}
		return b
	}
	masks, cells := make([][]uint8, len(net.Navigation())), make([][]uint8, len(net.Navigation()))
	for b := range masks {
		masks[b] = bits(floatsOf(in[names.MasksIn])[b*net.Frames : (b+1)*net.Frames])
		cells[b] = bits(floatsOf(in[names.CellsIn(b)]))
	}
	cost, err := net.Cost(afblock.CostOptions{Cells: []float64{1}})
	if err != nil {
		t.Fatal(err)
	}
	shares, block := w.Shares(masks, cells), 0
	for _, item := range cost.Items {
		if item.Part != afblock.PartFocal {
			continue
		}
		traced := 0.0
		for _, e := range profile.Events {
			if strings.HasPrefix(e.Node, item.Key+".conv") {
				traced += float64(e.MACs())
			}
		}
		if want := shares[block] * item.Full.MACs; math.Abs(traced-want) > 1e-9*item.Full.MACs {
			t.Errorf("%s: %s executes %.0f products, Work says %.0f (share %.3f)", name, item.Key, traced, want, shares[block])
		}
		block++
	}
}

// TestExecutedCostOfCells: of fixed cells what a lowering executes lies between what
// the network needs, without halos, and that with all cells; more with more cells.
func TestExecutedCostOfCells(t *testing.T) {
	for _, shift := range []bool{false, true} {
		s := spec{name: "cells", frames: 4, size: [2]int{160, 176}, width: 16, af: []int{3, 4, 3}, plain: []int{1}, shift: shift}
		for _, lowering := range []codegen.Lowering{codegen.Gather, codegen.Branch, codegen.TopK} {
			last := 0.0
			for _, ratio := range []float64{0, 0.1, 1} {
				net, err := newNetwork(s).FixCells([]int{4, 3, 2}, afblock.CellPattern{Kind: "center", Ratio: ratio})
				if err != nil {
					t.Fatal(err)
				}
				net.Shell = oneClip{}
				opt := codegen.Options{Lowering: lowering, Budget: budgetFor(lowering, 1)}
				got, err := codegen.ExecutedCost(net, opt, []float64{0.5})
				if err != nil {
					t.Fatalf("%s, center:%g: %v", lowering, ratio, err)
				}
				cost, err := net.Cost(afblock.CostOptions{Ratios: []float64{0.5}})
				if err != nil {
					t.Fatal(err)
				}
				need := cost.Total().MACs
				if lowering != codegen.TopK && float64(got.MACs) < need {
					t.Errorf("%s, center:%g: executes %d products, the network needs %.0f", lowering, ratio, got.MACs, need)
				}
				if float64(got.MACs) < last || lowering != codegen.TopK && float64(got.MACs) == last {
					t.Errorf("%s, center:%g: executes %d products, with fewer cells %.0f", lowering, ratio, got.MACs, last)
				}
				last = float64(got.MACs)
			}
		}
	}
}
