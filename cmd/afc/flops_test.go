package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify/ort"
)

func flopsJSON(t *testing.T, args ...string) afc.CostReport {
	t.Helper()
	var r afc.CostReport
	o := mustRun(t, append(append([]string{"flops", "estimate"}, args...), "--json")...)
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestFlopsEstimateText holds the tables that people read.
func TestFlopsEstimateText(t *testing.T) {
	testutil.NoOrphans(t, "flops_*")
	path := modelFile(t, testmodels.Spec{Depth: 18, Width: 8, Frames: 4, Size: 64, Classes: 5})
	for name, args := range map[string][]string{
		"stages":    nil,
		"blocks":    {"--by", "block", "--ratio", "layer1=0.25,rest=0.5", "--convention", "authors"},
		"operators": {"--by", "operator"},
		"csv":       {"--csv", "--frames", "4,6", "--ratio", "0.5"},
	} {
		t.Run(name, func(t *testing.T) {
			o := mustRun(t, append([]string{"flops", "estimate", path}, args...)...)
			testutil.Golden(t, "flops_"+name+".txt", strings.ReplaceAll(o.stdout, path, "MODEL.onnx"))
		})
	}
}

// TestFlopsPublished holds full-size networks to the multiply–accumulates
// that torchvision publishes for an image of 224×224.
func TestFlopsPublished(t *testing.T) {
	const tolerance = 0.005
	for depth, want := range map[int]float64{18: 1.814e9, 50: 4.089e9} {
		path := modelFile(t, testmodels.Spec{Depth: depth, Frames: 8})
		r := flopsJSON(t, path)
		if got := r.Clips[0].Columns[0].MACs / 8; math.Abs(got-want) > tolerance*want {
			t.Errorf("ResNet-%d: %.4g MACs a frame, published %.4g", depth, got, want)
		}
		byOperator := flopsJSON(t, path, "--by", "operator")
		if got, want := float64(byOperator.Total.MACs), r.Clips[0].Columns[0].MACs; got != want {
			t.Errorf("ResNet-%d: %g MACs by operator, %g by stage", depth, got, want)
		}
		if got, want := byOperator.Total.ActivationBytes, r.Clips[0].Columns[0].Bytes; got != want {
			t.Errorf("ResNet-%d: %d bytes of activations by operator, %d by stage", depth, got, want)
		}
	}
}

// TestFlopsOfAFNet holds the estimate of a source's AFNet to that of the file
// that convert writes, and to what its lowering executes.
func TestFlopsOfAFNet(t *testing.T) {
	source := modelFile(t, testmodels.Spec{Depth: 50, Width: 16, Frames: 4, Size: 64, Classes: 5})
	af := filepath.Join(t.TempDir(), "af.onnx")
	mustRun(t, "convert", source, "-o", af, "--lowering", "gather")
	before, after := flopsJSON(t, source).Clips[0].Columns[1:], flopsJSON(t, af, "--lowering", "gather").Clips[0].Columns
	for i, column := range after {
		if column.Name != before[i].Name || column.MACs != before[i].MACs || column.Params != before[i].Params {
			t.Errorf("%s: %g MACs and %d parameters before convert, %g and %d after", column.Name, before[i].MACs, before[i].Params, column.MACs, column.Params)
		}
		if more := float64(column.Executed.MACs)/column.MACs - 1; more < 0 || more > 0.01 {
			t.Errorf("%s: gather executes %d MACs of %g: %.2f %% more", column.Name, column.Executed.MACs, column.MACs, 100*more)
		}
	}
}

// TestFlopsPaperRows: the rows of the paper's tables out of one command each. The
// ratios are those that the reported costs imply (docs/FLOPS.md), but for
// AF-MobileNetV3, whose rows are reported at 0.4 and 0.8.
func TestFlopsPaperRows(t *testing.T) {
	for _, tc := range []struct {
		arch, frames, ratio string
		want, within        float64 // G as the authors count; half of the last digit reported
	}{
		{"tsm-resnet50", "8", "", 32.7, 0.05},
		{"af-resnet50", "8", "0.43,0.57", 18.3, 0.05}, {"af-resnet50", "8", "0.57", 19.5, 0.05},
		{"af-resnet50", "12", "0.463", 27.9, 0.05}, {"af-resnet50", "12", "0.766", 31.7, 0.05},
		{"af-mobilenetv3", "12", "0.4", 2.2, 0.05}, {"af-mobilenetv3", "12", "0.8", 2.3, 0.05},
	} {
		args := []string{"--arch", tc.arch, "--frames", tc.frames}
		column := 0
		if tc.ratio != "" {
			args, column = append(args, "--ratio", tc.ratio), 1
		}
		got := flopsJSON(t, args...).Clips[0].Columns[column].Authors / 1e9
		if math.Abs(got-tc.want) > tc.within {
			t.Errorf("%q: %.3f G, the paper reports %.1f", args, got, tc.want)
		}
	}
}

// TestFlopsRefuses holds the messages of wrong requests.
func TestFlopsRefuses(t *testing.T) {
	path := modelFile(t, testmodels.Spec{Depth: 18, Width: 8, Frames: 4, Size: 64, Classes: 5})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{path, "--ratio", "1.5"}, `--ratio 1.5: expected shares from 0 to 1`},
		{[]string{path, "--ratio", "layer9=0.5"}, `no block or stage "layer9"; there are layer1.refine_module.0`},
		{[]string{path, "--convention", "flops"}, `--convention flops: expected mac, flop or authors`},
		{[]string{path, "--by", "node"}, `--by node: expected stage, block or operator`},
		{[]string{path, "--frames", "0"}, `--frames 0: expected numbers from 1`},
		{[]string{path, "--lowering", "topk"}, `--lowering topk: needs the frames that blocks compute: --budget`},
		{nil, `flops estimate takes MODEL.onnx, got 0 arguments`},
		{[]string{path, "--arch", "af-resnet50"}, `flops estimate takes MODEL.onnx or --arch, not both`},
		{[]string{"--arch", "af-resnet18"}, `--arch af-resnet18: expected one of tsn-resnet18, tsm-resnet18`},
		{[]string{"--arch", "af-resnet50", "--lowering", "mask"}, `--lowering: a network by its name has its form, and no file to lower`},
		{[]string{"--arch", "tsm-resnet50", "--ratio", "0.5"}, `--ratio: a tsm-resnet50 computes every frame; AFNets are af-…`},
	} {
		o := tryRun(t, append([]string{"flops", "estimate"}, c.args...)...)
		if o.code != exitUsage || !strings.Contains(o.stderr, c.want) || o.stdout != "" {
			t.Errorf("%q: exit %d, want %d and %q in\n%s", c.args, o.code, exitUsage, c.want, o.stderr)
		}
	}
}

// TestFlopsPlot draws and looks whether every stage is in the legend.
func TestFlopsPlot(t *testing.T) {
	path := modelFile(t, testmodels.Spec{Depth: 18, Width: 8, Frames: 4, Size: 64, Classes: 5})
	svg := filepath.Join(t.TempDir(), "cost.svg")
	mustRun(t, "flops", "estimate", path, "--plot", svg)
	data, err := os.ReadFile(svg)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "stem", "layer1", "layer4", "head", "source", "25 %"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("the picture does not show %q", want)
		}
	}
}

// TestFlopsMeasure holds the measured ratio to the fixed pattern of the file.
func TestFlopsMeasure(t *testing.T) {
	if _, err := ort.Find(); err != nil {
		t.Skip(err)
	}
	source := modelFile(t, testmodels.Spec{Depth: 18, Width: 8, Frames: 4, Size: 64, Classes: 5})
	af := filepath.Join(t.TempDir(), "af.onnx")
	mustRun(t, "convert", source, "-o", af, "--navigation", "uniform:0.25")
	t.Setenv(asProgram, "1") // the guarded child is this binary
	out, err := program(t.Context(), "flops", "measure", af, "--clips", "3", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var r afc.MeasureReport
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	if r.Clips != 3 || r.Ratio.Min != 0.25 || r.Ratio.Max != 0.25 || len(r.Blocks) == 0 {
		t.Errorf("measured %+v of 3 clips that select a quarter of the frames", r)
	}
	estimate := flopsJSON(t, af, "--ratio", "0.25").Clips[0].Columns[1]
	if math.Abs(r.GMACs.Mean*1e9-estimate.MACs) > 1e-6*estimate.MACs {
		t.Errorf("measured %g GMACs, estimated %g", r.GMACs.Mean, estimate.MACs/1e9)
	}
}
