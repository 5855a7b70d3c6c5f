package afblock

import (
	"math"
	"strings"
	"testing"
)

// TestArchitectures holds networks by name to counts from elsewhere: torchvision's
// parameters of its ResNets at 1000 classes, the authors' GFLOPs an image, and the
// costs of AF-MobileNetV3 on 12 frames that the paper reports at two ratios.
func TestArchitectures(t *testing.T) {
	for _, tc := range []struct {
		name            string
		frames, classes int
		ratio           float64
		gmacs, within   float64 // as the authors count, and how much the figure is rounded
		mparams         float64 // 10⁶; 0: not told
	}{
		{"tsn-resnet18", 1, 1000, 1, 1.83, 0.02, 11.690}, {"tsm-resnet34", 1, 1000, 1, 3.68, 0.02, 21.798},
		{"tsn-resnet50", 1, 1000, 1, 4.11, 0.02, 25.557}, {"tsm-resnet101", 1, 1000, 1, 7.82, 0.03, 44.549},
		{"tsn-resnet152", 1, 1000, 1, 11.53, 0.03, 60.193},
		{"af-resnet50", 1, 1000, 1, 2.9, 0.05, 0}, {"af-resnet101", 1, 1000, 1, 5.0, 0.05, 0},
		{"af-mobilenetv3", 12, 174, 0.4, 2.2, 0.05, 0}, {"af-mobilenetv3", 12, 174, 0.8, 2.3, 0.05, 0},
	} {
		net, err := Architecture(tc.name, tc.frames, tc.classes)
		if err != nil {
			t.Fatal(err)
		}
		if err := net.Check(); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		c := costOf(t, net, CostOptions{Ratios: []float64{tc.ratio}})
		if got := c.Total().Count(CountAuthors) / 1e9; math.Abs(got-tc.gmacs) > tc.within {
			t.Errorf("%s: %.3f G, expected %.2f", tc.name, got, tc.gmacs)
		}
		if got := float64(c.Params()) / 1e6; tc.mparams > 0 && math.Abs(got-tc.mparams) > 0.0005 {
			t.Errorf("%s: %.4f million parameters, published %.3f", tc.name, got, tc.mparams)
		}
		if shifts := strings.HasPrefix(tc.name, "tsm") || strings.HasPrefix(tc.name, "af"); shifts != (net.Stages[0].MainLine()[0].Shift != nil) {
			t.Errorf("%s: shifts %v", tc.name, !shifts)
		}
	}
	if _, err := Architecture("resnet50", 8, 10); err == nil || !strings.Contains(err.Error(), "tsm-resnet50") {
		t.Errorf("an architecture that there is not: %v", err)
	}
}
