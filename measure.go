package afc

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/verify"
)

// MeasureOptions say what to run.
type MeasureOptions struct {
	Model string // path of an AFNet that afc wrote
	Clips Clips  // to run it on
	Run   Runtime

	// Margins are turns of the dial to measure beside the file's own choices; nil:
	// half and a quarter either way, where the file has a dial.
	Margins []float64

	Progress func(step string) // is told what is being done; nil: nobody
}

// usualMargins are turns of the dial: of a schedule, a quarter or half of the
// frames fewer, or more.
var usualMargins = []float64{-0.5, -0.25, 0.25, 0.5}

// Measure runs clips through an AFNet on ONNX Runtime and counts what it really
// selected.
func Measure(ctx context.Context, opt MeasureOptions) (*MeasureReport, error) {
	step := PassOptions{Progress: opt.Progress}.step
	step("reading " + opt.Model)
	s, _, err := subjectOf(opt.Model)
	if err != nil {
		return nil, err
	}
	if len(s.Blocks) == 0 {
		return nil, filef("%s: no block of it selects frames; measure takes an AFNet that afc wrote", opt.Model)
	}
	if !s.Dial && opt.Margins != nil {
		return nil, optionf("Margins", nil, "%s has no dial; convert it with --dial yes", opt.Model)
	}
	vopt := opt.Run.options()
	if vopt.Videos, err = opt.Clips.videos(ctx, s, step); err != nil {
		return nil, err
	}
	net, _, err := compiled.ReadModel(s.Model)
	if err != nil {
		return nil, err
	}
	vopt.Progress = func(what string, done, total int) { step(fmt.Sprintf("%s %d of %d", what, done+1, total)) }
	measured, err := verify.Measure(ctx, s, vopt)
	if err != nil {
		return nil, err
	}
	r, err := newMeasureReport(net, s, vopt.Videos, measured)
	if err != nil || !s.Dial {
		return r, err
	}
	if opt.Margins == nil {
		opt.Margins = usualMargins
	}
	return r, r.turn(ctx, net, s, vopt, opt.Margins)
}

// turn measures at other margins.
func (r *MeasureReport) turn(ctx context.Context, net *afblock.Network, s *verify.Subject, opt verify.Options, margins []float64) error {
	of := func(margin float64, m *MeasureReport) DialPoint {
		return DialPoint{margin, m.Ratio.Mean, m.Executed.Mean, m.ExecutedGMACs.Mean, m.Millis.Mean}
	}
	points := []DialPoint{of(0, r)}
	for _, margin := range margins {
		given := float32(margin)
		opt.Margin = &given
		measured, err := verify.Measure(ctx, s, opt)
		if err != nil {
			return err
		}
		at, err := newMeasureReport(net, s, opt.Videos, measured)
		if err != nil {
			return err
		}
		points = append(points, of(margin, at))
	}
	slices.SortStableFunc(points, func(a, b DialPoint) int { return cmp.Compare(a.Margin, b.Margin) })
	r.Dial = points
	return nil
}

// MeasureReport is what Measure found.
type MeasureReport struct {
	Model  string       `json:"model"`
	Inputs string       `json:"inputs"`
	Clips  int          `json:"clips"`
	Blocks []BlockRatio `json:"blocks"`
	Ratio  Spread       `json:"ratio"`   // of frames selected, all blocks, over clips
	GMACs  Spread       `json:"gmacs"`   // of a clip, 10⁹ multiply–accumulates
	GFLOPs Spread       `json:"gflops"`  // 2 × MAC + elementwise
	Author Spread       `json:"authors"` // as the AFNet authors count, 10⁹
	All    float64      `json:"gmacs_all_selected"`
	// Executed is the share of frames that the file's lowering computes, selected
	// or not: mask all of them, topk its budget, and of frames with cells the part
	// that it computes, halos too. ExecutedGMACs counts those.
	Executed      Spread         `json:"executed"`
	ExecutedGMACs Spread         `json:"gmacs_executed"`
	Millis        Spread         `json:"milliseconds"` // of a clip
	Bins          []HistogramBin `json:"histogram"`    // of clips by GMACs
	Dial          []DialPoint    `json:"dial,omitempty"`
}

// DialPoint is what a model does, in the mean over clips, where its dial is given a
// margin.
type DialPoint struct {
	Margin        float64 `json:"margin"`
	Selected      float64 `json:"selected"` // share of the frames
	Executed      float64 `json:"executed"` // of those computed
	ExecutedGMACs float64 `json:"gmacs_executed"`
	Millis        float64 `json:"milliseconds"`
}

// BlockRatio is the share of frames that a block selected, over clips.
type BlockRatio struct {
	Block string `json:"block"`
	Spread
}

// Spread is how a figure is spread over clips.
type Spread struct {
	Mean float64 `json:"mean"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
}

func spreadOf(v []float64) Spread {
	s := Spread{Min: slices.Min(v), Max: slices.Max(v)}
	for _, x := range v {
		s.Mean += x / float64(len(v))
	}
	return s
}

// HistogramBin counts clips from From up to the next bin.
type HistogramBin struct {
	From  float64 `json:"from"`
	Clips int     `json:"clips"`
}

// histogram counts values in equal bins from the least to the largest.
func histogram(v []float64, bins int) []HistogramBin {
	low, high := slices.Min(v), slices.Max(v)
	if low == high {
		return []HistogramBin{{low, len(v)}}
	}
	h := make([]HistogramBin, bins)
	for i := range h {
		h[i].From = low + (high-low)*float64(i)/float64(bins)
	}
	for _, x := range v {
		h[min(bins-1, int((x-low)/(high-low)*float64(bins)))].Clips++
	}
	return h
}

// executedShares is, for each focal block, the share of all frames' work that a file
// executes for a clip, halos of cells counted.
func executedShares(s *verify.Subject, net *afblock.Network) (func(m verify.Measured) []float64, error) {
	if !net.HasCells() || !net.Size.Known() {
		return func(m verify.Measured) []float64 {
			ratios, _ := sharesOf(net, m)
			return executedRatios(s, ratios)
		}, nil
	}
	w, err := codegen.NewWork(net, codegen.Options{Lowering: codegen.Lowering(s.Lowering), Budget: s.Budget})
	if err != nil {
		return nil, err
	}
	return func(m verify.Measured) []float64 { return w.Shares(m.Masks, m.Cells) }, nil
}

// executedMACs is what a clip of frames of a size takes where each focal block
// executes its share.
func executedMACs(net *afblock.Network, size afblock.Size, shares []float64) (float64, error) {
	all := make([]float64, len(shares))
	for i := range all {
		all[i] = 1
	}
	cost, err := net.Cost(afblock.CostOptions{Size: size, Cells: all})
	if err != nil {
		return 0, err
	}
	sum, block := 0.0, 0
	for _, item := range cost.Items {
		if item.Part != afblock.PartFocal {
			sum += item.Ops.MACs
			continue
		}
		sum += shares[block] * item.Full.MACs
		block++
	}
	return sum, nil
}

func newMeasureReport(net *afblock.Network, s *verify.Subject, videos clips.Videos, measured []verify.Measured) (*MeasureReport, error) {
	executes, err := executedShares(s, net)
	if err != nil {
		return nil, err
	}
	r := &MeasureReport{Model: s.Path, Inputs: videos.String(), Clips: len(measured)}
	blocks := make([][]float64, len(s.Blocks))
	var total, macs, flops, authors, millis, executed, ran []float64
	size := net.FrameSize() // as clips of models of any size are made
	for _, clip := range measured {
		ratios, inside := sharesOf(net, clip)
		sum := 0.0
		for b, ratio := range ratios {
			blocks[b] = append(blocks[b], ratio)
			sum += ratio / float64(len(blocks))
		}
		cost, err := net.Cost(afblock.CostOptions{Size: size, Ratios: ratios, Cells: inside})
		if err != nil {
			return nil, err
		}
		ops := cost.Total()
		computed := executes(clip)
		worked, err := executedMACs(net, size, computed)
		if err != nil {
			return nil, err
		}
		executed, ran = append(executed, mean(computed)), append(ran, worked/1e9)
		total = append(total, sum)
		macs = append(macs, ops.MACs/1e9)
		flops = append(flops, ops.Count(afblock.CountFLOPs)/1e9)
		authors = append(authors, ops.Authors/1e9)
		millis = append(millis, clip.Time.Seconds()*1e3)
	}
	for b, block := range s.Blocks {
		r.Blocks = append(r.Blocks, BlockRatio{block.Key, spreadOf(blocks[b])})
	}
	full, err := net.Cost(afblock.CostOptions{Size: size})
	if err != nil {
		return nil, err
	}
	r.Ratio, r.GMACs, r.GFLOPs, r.Author, r.Millis = spreadOf(total), spreadOf(macs), spreadOf(flops), spreadOf(authors), spreadOf(millis)
	r.Executed, r.ExecutedGMACs = spreadOf(executed), spreadOf(ran)
	r.All, r.Bins = full.Total().MACs/1e9, histogram(macs, 8)
	return r, nil
}

// sharesOf is, for each focal block, the share of a clip's frames that it selects
// and the share of cells that it selects of those.
func sharesOf(net *afblock.Network, m verify.Measured) (frames, cells []float64) {
	for b, s := range net.Selections() {
		selected, inside := 0.0, 0.0
		for _, bit := range m.Masks[b] {
			selected += float64(bit)
		}
		share := 1.0
		if m.Cells[b] != nil && selected > 0 {
			for _, bit := range m.Cells[b] {
				inside += float64(bit)
			}
			share = inside / (selected * float64(s.Cells()))
		}
		frames, cells = append(frames, selected/float64(len(m.Masks[b]))), append(cells, share)
	}
	return frames, cells
}

// executedRatios is the share of frames that each block computes, given what it
// selects: what verify's check skipping counts in the runtime's trace.
func executedRatios(s *verify.Subject, selected []float64) []float64 {
	executed := slices.Clone(selected)
	for b := range executed {
		switch {
		case s.Lowering == string(codegen.Mask):
			executed[b] = 1
		case len(s.Budget) > 0:
			executed[b] = float64(min(s.Budget[min(b, len(s.Budget)-1)], s.Frames)) / float64(s.Frames)
		}
	}
	return executed
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}
