package recognize_test

import (
	"fmt"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/testmodels"
)

// TestRecognizeBuilt reads models in every combination of shift spelling, input
// layout and head that testmodels writes.
func TestRecognizeBuilt(t *testing.T) {
	shifts := []testmodels.Shift{testmodels.NoShift, testmodels.ShiftScatter, testmodels.ShiftMMAction,
		testmodels.ShiftConcat, testmodels.ShiftPad, testmodels.ShiftConv1D, testmodels.ShiftGather}
	inputs := []testmodels.Input{testmodels.FramesInChannels, testmodels.FramesOwnAxis, testmodels.FramesInBatch}
	heads := []testmodels.Head{testmodels.MeanAfterFC, testmodels.MeanKeepDims, testmodels.MeanBeforeFC, testmodels.SumDiv,
		testmodels.PoolConsensus, testmodels.MatMulFC, testmodels.PerFrameScores}
	for _, shift := range shifts {
		for _, input := range inputs {
			for _, head := range heads {
				s := testmodels.Spec{Depth: 18, Width: 8, Frames: 4, Size: 32, Classes: 5, Shift: shift, Input: input, Head: head}
				t.Run(fmt.Sprintf("shift %d input %d head %d", shift, input, head), func(t *testing.T) {
					opt := recognize.Options{}
					if shift == testmodels.NoShift && input == testmodels.FramesInBatch && head == testmodels.PerFrameScores {
						opt.Frames = 4
					}
					net, err := recognize.Network(s.Build(), opt)
					if err != nil {
						t.Fatal(err)
					}
					checkBuilt(t, net, s)
				})
			}
		}
	}
}

func checkBuilt(t *testing.T, net *afblock.Network, s testmodels.Spec) {
	t.Helper()
	want := afblock.MeanAfterFC
	switch s.Head {
	case testmodels.MeanBeforeFC:
		want = afblock.MeanBeforeFC
	case testmodels.PerFrameScores:
		want = afblock.PerFrame
	}
	if net.Frames != s.Frames || net.Head.Consensus != want || net.Head.FC.Weight.Dims[0] != int64(s.Classes) || net.Backbone() != "ResNet-18" {
		t.Errorf("%s, T %d, consensus %q, %d classes; want ResNet-18, %d, %q, %d", net.Backbone(), net.Frames, net.Head.Consensus,
			net.Head.FC.Weight.Dims[0], s.Frames, want, s.Classes)
	}
	for b := range net.Blocks() {
		if (b.Shift != nil) != (s.Shift != testmodels.NoShift) || b.Shift != nil && (b.Shift.Fold != b.In()/8 || b.Shift.Residual) {
			t.Errorf("%s: shift %+v", b.Key, b.Shift)
		}
	}
}

// TestRecognizeHalvesAndSingleFrames reads shifts with empty parts: no channel
// that stays, or no frame behind the first.
func TestRecognizeHalvesAndSingleFrames(t *testing.T) {
	for _, shift := range []testmodels.Shift{testmodels.ShiftMMAction, testmodels.ShiftConcat, testmodels.ShiftGather} {
		for _, c := range []struct{ frames, div int }{{4, 2}, {1, 8}} {
			s := testmodels.Spec{Depth: 18, Width: 8, Frames: c.frames, Size: 32, Classes: 5, FoldDiv: c.div, Shift: shift}
			net, err := recognize.Network(s.Build(), recognize.Options{})
			if err != nil {
				t.Errorf("shift %d, %d frames, fold 1/%d: %v", shift, c.frames, c.div, err)
				continue
			}
			for b := range net.Blocks() {
				if b.Shift == nil || b.Shift.Fold != b.In()/c.div || net.Frames != c.frames {
					t.Errorf("shift %d: %s of %d frames has shift %+v; want %d frames, fold %d", shift, b.Key, net.Frames, b.Shift, c.frames, b.In()/c.div)
				}
			}
		}
	}
}

// TestNearMisses holds the reasons given for testmodels' near-misses.
func TestNearMisses(t *testing.T) {
	testutil.NoOrphans(t, "near_misses/*", "near_misses/frames-*")
	for _, miss := range testmodels.NearMisses() {
		t.Run(miss.Name, func(t *testing.T) {
			_, err := recognize.Network(miss.Spec.Build(), recognize.Options{})
			if err == nil {
				t.Fatalf("recognised, though %s", miss.Why)
			}
			testutil.Golden(t, "near_misses/"+miss.Name+".txt", err.Error()+"\n")
		})
	}
}

// TestFramesContradicted refuses a number of frames that the graph contradicts
// and takes one that it confirms.
func TestFramesContradicted(t *testing.T) {
	testutil.NoOrphans(t, "near_misses/frames-*")
	for _, shift := range []testmodels.Shift{testmodels.NoShift, testmodels.ShiftConcat} {
		m := testmodels.Spec{Depth: 18, Width: 8, Frames: 4, Size: 32, Classes: 5, Shift: shift, Dynamic: true}.Build()
		if _, err := recognize.Network(m, recognize.Options{Frames: 4}); err != nil {
			t.Error(err)
		}
		for _, frames := range []int{2, 3, 8} {
			_, err := recognize.Network(m, recognize.Options{Frames: frames})
			if err == nil {
				t.Errorf("shift %d: a model of 4 frames recognised as one of %d", shift, frames)
				continue
			}
			testutil.Golden(t, fmt.Sprintf("near_misses/frames-%d-%d.txt", shift, frames), err.Error()+"\n")
		}
	}
}

// BenchmarkRecognizeRaw reads the raw export of TSM-ResNet-50 in full size, 275 MB.
func BenchmarkRecognizeRaw(b *testing.B) {
	m := testmodels.Spec{Shift: testmodels.ShiftScatter}.Build()
	benchmark(b, m)
}

// BenchmarkRecognizeDeep reads TSN-ResNet-152 in full size.
func BenchmarkRecognizeDeep(b *testing.B) {
	benchmark(b, testmodels.Spec{Depth: 152}.Build())
}

func benchmark(b *testing.B, m *graph.Model) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := recognize.Network(m, recognize.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestManyFrames: a clip longer than the batches that are usual is seen whole.
func TestManyFrames(t *testing.T) {
	s := testmodels.Spec{Depth: 18, Width: 8, Frames: 257, Size: 32, Classes: 5, Shift: testmodels.ShiftConcat}
	net, err := recognize.Network(s.Build(), recognize.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if net.Frames != 257 {
		t.Errorf("%d frames, want 257", net.Frames)
	}
}
