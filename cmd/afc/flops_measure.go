package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/internal/table"
	"github.com/afc-project/afc/verify"
)

// measureReport is what flops measure tells.
type measureReport struct {
	Model  string         `json:"model"`
	Inputs string         `json:"inputs"`
	Clips  int            `json:"clips"`
	Blocks []blockRatio   `json:"blocks"`
	Ratio  spread         `json:"ratio"`   // of frames selected, all blocks, over clips
	GMACs  spread         `json:"gmacs"`   // of a clip, 10⁹ multiply–accumulates
	GFLOPs spread         `json:"gflops"`  // 2 × MAC + elementwise
	Author spread         `json:"authors"` // as the AFNet authors count, 10⁹
	All    float64        `json:"gmacs_all_selected"`
	Millis spread         `json:"milliseconds"` // of a clip
	Bins   []histogramBin `json:"histogram"`    // of clips by GMACs
}

// blockRatio is the share of frames that a block selected, over clips.
type blockRatio struct {
	Block string `json:"block"`
	spread
}

// spread is how a figure is spread over clips.
type spread struct {
	Mean float64 `json:"mean"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
}

func spreadOf(v []float64) spread {
	s := spread{Min: slices.Min(v), Max: slices.Max(v)}
	for _, x := range v {
		s.Mean += x / float64(len(v))
	}
	return s
}

// histogramBin counts clips from From up to the next bin.
type histogramBin struct {
	From  float64 `json:"from"`
	Clips int     `json:"clips"`
}

// histogram counts values in equal bins from the least to the largest.
func histogram(v []float64, bins int) []histogramBin {
	low, high := slices.Min(v), slices.Max(v)
	if low == high {
		return []histogramBin{{low, len(v)}}
	}
	h := make([]histogramBin, bins)
	for i := range h {
		h[i].From = low + (high-low)*float64(i)/float64(bins)
	}
	for _, x := range v {
		h[min(bins-1, int((x-low)/(high-low)*float64(bins)))].Clips++
	}
	return h
}

// measureOptions reads the flags and argument of flops measure.
func measureOptions(c *cli.Context) (verify.Options, error) {
	if c.NArg() != 1 {
		return verify.Options{}, usagef("flops measure takes AF.onnx, got %d arguments", c.NArg())
	}
	if err := readable(c.Args().First()); err != nil {
		return verify.Options{}, err
	}
	return runOptions(c)
}

func (a *app) flopsMeasure(c *cli.Context, opt verify.Options) error {
	path := c.Args().First()
	p := a.progress()
	defer p.Stop()
	p.Step("reading %s", path)
	s, err := subjectOf(path)
	if err != nil {
		return err
	}
	if len(s.Blocks) == 0 {
		return usagef("%s: no block of it selects frames; measure takes an AFNet that afc wrote", path)
	}
	if err := givenVideos(c, s, &opt); err != nil {
		return err
	}
	net, _, err := compiled.ReadModel(s.Model)
	if err != nil {
		return err
	}
	opt.Progress = func(what string, done, total int) { p.Step("%s %d of %d", what, done+1, total) }
	clips, err := verify.Measure(c.Context, s, opt)
	if err != nil {
		return err
	}
	p.Stop()
	r, err := newMeasureReport(net, s, opt.Videos, clips)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return a.writeJSON(r)
	}
	return r.print(a.stdout)
}

func newMeasureReport(net *afblock.Network, s *verify.Subject, videos clips.Videos, clips []verify.Measured) (*measureReport, error) {
	r := &measureReport{Model: s.Path, Inputs: videos.String(), Clips: len(clips)}
	blocks := make([][]float64, len(s.Blocks))
	var total, macs, flops, authors, millis []float64
	size := net.Size
	if size[0] == 0 {
		size = [2]int{224, 224} // as clips of models of any size are made
	}
	for _, clip := range clips {
		ratios := make([]float64, len(blocks))
		sum := 0.0
		for b, mask := range clip.Masks {
			for _, bit := range mask {
				ratios[b] += float64(bit) / float64(len(mask))
			}
			blocks[b] = append(blocks[b], ratios[b])
			sum += ratios[b] / float64(len(blocks))
		}
		cost, err := net.Cost(afblock.CostOptions{Size: size, Ratios: ratios})
		if err != nil {
			return nil, err
		}
		ops := cost.Total()
		total = append(total, sum)
		macs = append(macs, ops.MACs/1e9)
		flops = append(flops, ops.Count(afblock.CountFLOPs)/1e9)
		authors = append(authors, ops.Authors/1e9)
		millis = append(millis, clip.Time.Seconds()*1e3)
	}
	for b, block := range s.Blocks {
		r.Blocks = append(r.Blocks, blockRatio{block.Name, spreadOf(blocks[b])})
	}
	full, err := net.Cost(afblock.CostOptions{Size: size})
	if err != nil {
		return nil, err
	}
	r.Ratio, r.GMACs, r.GFLOPs, r.Author, r.Millis = spreadOf(total), spreadOf(macs), spreadOf(flops), spreadOf(authors), spreadOf(millis)
	r.All, r.Bins = full.Total().MACs/1e9, histogram(macs, 8)
	return r, nil
}

func (r *measureReport) print(w io.Writer) error {
	fmt.Fprintf(w, "%s: %d clips, %s\n\n", r.Model, r.Clips, r.Inputs)
	u := unitFor(1e9 * r.All)
	t := table.New("block", "mean", "min", "max")
	percent := func(name string, s spread) {
		t.Add(name, fmt.Sprintf("%.1f %%", 100*s.Mean), fmt.Sprintf("%.1f %%", 100*s.Min), fmt.Sprintf("%.1f %%", 100*s.Max))
	}
	for _, b := range r.Blocks {
		percent(b.Block, b.spread)
	}
	t.Rule()
	percent("frames selected", r.Ratio)
	count := func(name string, s spread) { t.Add(name, u.text(1e9*s.Mean), u.text(1e9*s.Min), u.text(1e9*s.Max)) }
	count(u.letter+"MACs a clip", r.GMACs)
	count(u.letter+"FLOPs (2 × MAC + elementwise)", r.GFLOPs)
	count("authors' count, "+u.power, r.Author)
	t.Add("milliseconds a clip", fmt.Sprintf("%.2f", r.Millis.Mean), fmt.Sprintf("%.2f", r.Millis.Min), fmt.Sprintf("%.2f", r.Millis.Max))
	if err := t.Write(w, "  "); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nclips by %sMACs (every frame selected: %s)\n", u.letter, u.text(1e9*r.All))
	for _, b := range r.Bins {
		fmt.Fprintf(w, "  from %s  %4d  %s\n", u.text(1e9*b.From), b.Clips, strings.Repeat("█", (40*b.Clips+r.Clips-1)/r.Clips))
	}
	return nil
}
