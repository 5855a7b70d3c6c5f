package explain

import (
	"cmp"
	"image"
	"slices"
)

// Report is what was seen of clips.
type Report struct {
	Model  string // path
	Source string // path; "" if no source was run beside it
	Input  string // what the clips are, in words
	Frames int    // a clip
	Stages []Stage
	// ClassNames by class, for the page; empty: numbers stand for them.
	ClassNames []string
	Clips      []Clip
	// SourceMACs is what the source computes for a clip, 0 if it was not run.
	SourceMACs float64
	// Time is how long a clip took, side by side with the source: the median over
	// rounds of the ratio; 0 if it was not run.
	Time    float64
	Threads int // of those runs, 0: one a core
}

// Stage is an AF module.
type Stage struct {
	Name   string   // "layer1"
	Blocks []string // names of its focal blocks, in network order
}

// Clip is one clip and what was computed of it.
type Clip struct {
	Name       string
	Thumbnails []image.Image // by frame; nil where the clip has no picture
	Label      int           // -1: unknown
	Answer     int           // the class of the largest score
	Source     int           // the source's class, -1: not run
	// Computed says by focal block and frame what navigation selected.
	Computed [][]bool
	// Cells says by focal block and frame which cells of the frame's map were
	// selected, row by row; nil for a block without spatial navigation.
	Cells [][][][]bool
	MACs  float64 // multiply-accumulates executed for the clip
}

// Blocks counts the focal blocks.
func (r *Report) Blocks() int {
	n := 0
	for _, s := range r.Stages {
		n += len(s.Blocks)
	}
	return n
}

// Ratio is the part of blocks × frames that was computed.
func (c *Clip) Ratio() float64 {
	chosen, all := 0, 0
	for _, block := range c.Computed {
		for _, on := range block {
			if on {
				chosen++
			}
		}
		all += len(block)
	}
	if all == 0 {
		return 0
	}
	return float64(chosen) / float64(all)
}

// Weights returns for the blocks [from, to) of a stage, by frame, the product
// of the masks: whether every block of the stage computed the frame. Masks of
// successive blocks multiply, so that each frame has a weight of its own: the
// paper's implicit temporal modelling (section 3.3).
func (c *Clip) Weights(from, to int) []bool {
	if from == to {
		return nil
	}
	out := slices.Clone(c.Computed[from])
	for _, block := range c.Computed[from+1 : to] {
		for t := range out {
			out[t] = out[t] && block[t]
		}
	}
	return out
}

// Share returns by focal block and frame the part of the clips in which the
// frame was computed.
func (r *Report) Share() [][]float64 {
	out := make([][]float64, r.Blocks())
	for b := range out {
		out[b] = make([]float64, r.Frames)
		for _, c := range r.Clips {
			for t, on := range c.Computed[b] {
				if on {
					out[b][t] += 1 / float64(len(r.Clips))
				}
			}
		}
	}
	return out
}

// Class is what the clips of one label have in common.
type Class struct {
	Label        int
	Clips, Right int
	Ratio        float64 // mean part of blocks × frames computed
	MACs         float64 // mean of a clip
}

// Classes returns the labels that clips have, in order.
func (r *Report) Classes() []Class {
	byLabel := map[int]*Class{}
	for _, c := range r.Clips {
		if c.Label < 0 {
			continue
		}
		k := byLabel[c.Label]
		if k == nil {
			k = &Class{Label: c.Label}
			byLabel[c.Label] = k
		}
		k.Clips++
		if c.Answer == c.Label {
			k.Right++
		}
		k.Ratio += c.Ratio()
		k.MACs += c.MACs
	}
	var out []Class
	for _, k := range byLabel {
		k.Ratio /= float64(k.Clips)
		k.MACs /= float64(k.Clips)
		out = append(out, *k)
	}
	slices.SortFunc(out, func(a, b Class) int { return cmp.Compare(a.Label, b.Label) })
	return out
}

// Totals are figures over all clips.
type Totals struct {
	Clips, Labelled, Right int
	Compared, Agreed       int // with the source
	SourceRight            int // of the labelled
	Ratio, MACs            float64
}

// Totals sums up the clips.
func (r *Report) Totals() Totals {
	t := Totals{Clips: len(r.Clips)}
	for _, c := range r.Clips {
		if c.Label >= 0 {
			t.Labelled++
			t.Right += count(c.Answer == c.Label)
			t.SourceRight += count(c.Source == c.Label)
		}
		if c.Source >= 0 {
			t.Compared++
			t.Agreed += count(c.Answer == c.Source)
		}
		t.Ratio += c.Ratio() / float64(len(r.Clips))
		t.MACs += c.MACs / float64(len(r.Clips))
	}
	return t
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Extremes returns the numbers of up to n clips that cost most and least, the
// dearest and the cheapest first. Where all cost the same there are none.
func (r *Report) Extremes(n int) (most, least []int) {
	order := make([]int, len(r.Clips))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(r.Clips[b].MACs, r.Clips[a].MACs) })
	if len(order) == 0 || r.Clips[order[0]].MACs == r.Clips[order[len(order)-1]].MACs {
		return nil, nil
	}
	n = min(n, len(order)/2)
	most = order[:n]
	least = slices.Clone(order[len(order)-n:])
	slices.Reverse(least)
	return most, least
}
