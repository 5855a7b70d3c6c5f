package recognize

import (
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
)

// TestRecognizeFixtures reads the four exports of the shared fixtures.
func TestRecognizeFixtures(t *testing.T) {
	tests := []struct {
		file     string
		frames   int
		layout   afblock.Layout
		segments int
		fold     []int // of each stage's first block; nil: none
		bn       bool
	}{
		{"tsn_r50_op13", 4, afblock.LayoutChannels, 4, nil, false},
		{"tsn_r50_bn_op11", 4, afblock.LayoutFrames, 0, nil, true},
		{"tsm_r50_zeros_op13", 8, afblock.LayoutChannels, 8, []int{2, 8, 16, 32}, false},
		{"tsm_r50_cat_op13_dyn", 8, afblock.LayoutSegments, 8, []int{2, 8, 16, 32}, false},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			m, err := graph.ReadFile(testutil.Shared(t, "fixtures", "sources", tt.file+".onnx"))
			if err != nil {
				t.Fatal(err)
			}
			net, err := Network(m, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if net.Frames != tt.frames || net.Shell.Clip().Layout != tt.layout || net.Shell.Clip().Segments != tt.segments || net.Size != (afblock.Size{64, 64}) {
				t.Errorf("T %d, layout %v, %d frames a sample, size %v; want %d, %v, %d, [64 64]",
					net.Frames, net.Shell.Clip().Layout, net.Shell.Clip().Segments, net.Size, tt.frames, tt.layout, tt.segments)
			}
			if net.Head.Consensus != afblock.MeanAfterFC || net.Head.Softmax || net.Head.FC.Weight.Dims[0] != 11 {
				t.Errorf("head %+v, want 11 classes averaged over frames", net.Head)
			}
			for i, s := range net.Stages {
				if want := []int{3, 4, 6, 3}[i]; len(s.Blocks) != want {
					t.Errorf("%s has %d blocks, want %d", s.Name, len(s.Blocks), want)
				}
				b := s.Blocks[0]
				if (b.Convs()[0].BN != nil) != tt.bn || !b.Bottleneck() || b.Act != afblock.ReLU {
					t.Errorf("%s: BN %v, %d convolutions, final ReLU %v", b.Key, b.Convs()[0].BN, len(b.Convs()), b.Act == afblock.ReLU)
				}
				switch {
				case tt.fold == nil && b.Shift != nil:
					t.Errorf("%s: shift %+v, want none", b.Key, b.Shift)
				case tt.fold != nil && (b.Shift == nil || b.Shift.Fold != tt.fold[i] || b.Shift.Residual):
					t.Errorf("%s: shift %+v, want fold %d of the main branch", b.Key, b.Shift, tt.fold[i])
				}
				if i > 0 && b.Convs()[1].Stride != 2 {
					t.Errorf("%s: strides not in the 3×3 convolution", b.Key)
				}
			}
		})
	}
}
