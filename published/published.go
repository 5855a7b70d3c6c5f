package published

import (
	"fmt"
	"slices"
	"strings"
)

// Row is one figure of a paper.
type Row struct {
	Method string  `json:"method"`
	Frames string  `json:"frames"` // as the paper counts them
	Score  float64 `json:"score"`  // in percent, see DataSet
	// GFLOPs as papers count them: 10⁹ multiply–accumulates.
	GFLOPs float64 `json:"gflops"`
}

// DataSet is what is reported on one data set.
type DataSet struct {
	Name   string `json:"name"`
	Score  string `json:"score"`  // what Row.Score is
	Source string `json:"source"` // of the figures
	Rows   []Row  `json:"rows"`
}

const (
	something = "Uni-AdaFocus, table 4; AdaFocusV2, table 5; the READMEs of AFNet and TSM"
	untrimmed = "Uni-AdaFocus, table 2"
)

// DataSets are those that there are figures of, the first under its short name
// "sthv1" and so on (Names).
var dataSets = []struct {
	name string
	DataSet
}{
	{"sthv1", DataSet{"Something-Something V1", "top-1, %", something, []Row{
		{"TSN R50", "8", 19.7, 33.2}, {"AR-Net", "8", 18.9, 41.4}, {"TSM R50", "8", 46.1, 32.7}, {"AdaFuse-TSM", "8", 46.8, 31.5},
		{"AdaFocusV2-TSM 128²", "8+12", 47.0, 18.5}, {"AdaFocusV2-TSM 176²", "8+12", 49.6, 33.7},
		{"Uni-AdaFocus-TSM 96²", "8+12", 48.9, 8.8}, {"Uni-AdaFocus-TSM 128²", "8+16", 51.0, 18.8},
		{"AFNet (TSN) RT 0.25", "8", 27.7, 18.3}, {"AFNet (TSN) RT 0.5", "8", 26.8, 19.5},
		{"AFNet-TSM R50 RT 0.4", "12", 49.0, 27.9}, {"AFNet-TSM R50 RT 0.8", "12", 49.9, 31.7},
		{"AFNet-TSM MNv3 RT 0.4", "12", 45.3, 2.2}, {"AFNet-TSM MNv3 RT 0.8", "12", 45.9, 2.3},
	}}},
	{"sthv2", DataSet{"Something-Something V2", "top-1, %", something, []Row{
		{"TSN R50", "8", 27.8, 33.2}, {"TSM R50", "8", 59.1, 32.7}, {"AdaFuse-TSM", "8", 59.8, 31.3},
		{"AdaFocusV2-TSM 128²", "8+12", 59.6, 18.5}, {"AdaFocusV2-TSM 176²", "8+12", 61.3, 33.7},
		{"Uni-AdaFocus-TSM 96²", "8+12", 62.5, 8.8}, {"Uni-AdaFocus-TSM 128²", "8+16", 64.2, 18.8},
	}}},
	{"activitynet", DataSet{"ActivityNet", "mAP, %", untrimmed, []Row{
		{"AR-Net", "", 73.8, 33.5}, {"AdaFuse", "", 73.1, 61.4}, {"FrameExit R50", "", 76.1, 26.1},
		{"AFNet R50", "", 75.6, 24.6}, {"AdaFocusV2 128²", "", 79.0, 27.0}, {"Uni-AdaFocus 128²", "", 80.4, 18.1},
	}}},
	{"minikinetics", DataSet{"Mini-Kinetics", "top-1, %", untrimmed, []Row{
		{"AR-Net", "", 71.7, 32.0}, {"AdaFuse", "", 72.3, 23.0}, {"FrameExit R50", "", 72.8, 19.7},
		{"AFNet R50", "", 73.5, 22.0}, {"Uni-AdaFocus 128²", "", 75.7, 18.1},
	}}},
}

// Names are the short names of data sets.
func Names() []string {
	var names []string
	for _, d := range dataSets {
		names = append(names, d.name)
	}
	return names
}

// Of returns what is reported on a data set.
func Of(name string) (*DataSet, error) {
	for _, d := range dataSets {
		if d.name == name {
			d.Rows = slices.Clone(d.Rows)
			return &d.DataSet, nil
		}
	}
	return nil, fmt.Errorf("no figures of %q, but of %s", name, strings.Join(Names(), ", "))
}
