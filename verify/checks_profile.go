package verify

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

func (p *prover) checkProvider() (Check, error) {
	if p.opt.Provider.CPU() {
		return Check{}, &InapplicableError{"the provider is the CPU"}
	}
	want, err := p.baseline(0)
	if err != nil {
		return Check{}, err
	}
	so := p.optimised()
	profile, got, err := p.profiled(p.s.Model, so, p.clips)
	strict := !so.Provider.AllowFallback
	if notHeld(err) { // once more, to say what did not go there
		so.Provider.AllowFallback = true
		profile, got, err = p.profiled(p.s.Model, so, p.clips)
	}
	if err != nil {
		return Check{}, err
	}
	p.r.Placement = profile.ByProvider()
	own := p.opt.Provider.ExecutionProvider()
	p.r.Fallbacks = profile.By(func(e ort.NodeEvent) string {
		if e.Provider == own {
			return ""
		}
		return e.Op
	})
	c, err := p.same("provider", p.clips, got, want, p.tol(Device))
	if err == nil && strict && len(p.r.Fallbacks) > 0 {
		c.Status = Fail
		c.Where = "on the CPU: " + tallyText(p.r.Fallbacks) + "; --allow-fallback lets them"
	}
	return c, err
}

// notHeld reports whether a model did not load because nodes of it would have
// run on the CPU though the provider was to take all.
func notHeld(err error) bool {
	var e *ort.RunError
	return errors.As(err, &e) && e.Call == "load" && strings.Contains(e.Text, "fallback to CPU EP has been explicitly disabled")
}

// tallyText lists names with their numbers of nodes.
func tallyText(tallies []ort.Tally) string {
	parts := make([]string, len(tallies))
	for i, t := range tallies {
		parts[i] = fmt.Sprintf("%s (%d)", t.Name, t.Nodes)
	}
	return strings.Join(parts, ", ")
}

// profiledRuns is how often a model is run for a trace of its fastest run.
const profiledRuns = 3

// profiled runs a model on clips, traced.
func (p *prover) profiled(m *graph.Model, so ort.SessionOptions, clips [][]float32) (*ort.Profile, *outcome, error) {
	dir, err := os.MkdirTemp("", "afc-profile-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	so.ProfilePrefix = filepath.Join(dir, "trace")
	s, err := ort.NewSession(m, so)
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	inputs, err := p.inputs(m, s, clips, nil)
	if err != nil {
		return nil, nil, err
	}
	var o *outcome
	for range profiledRuns {
		if o, err = p.runSession(s, inputs); err != nil {
			return nil, nil, err
		}
	}
	profile, err := s.EndProfile()
	return profile, o, err
}

// checkSkipping counts the rows that went through each convolution of the
// focal blocks: as many as frames were selected.
func (p *prover) checkSkipping() (Check, error) {
	switch {
	case len(p.s.Blocks) == 0 && p.s.Network != nil:
		return Check{}, &InapplicableError{"no block chooses frames: shapes say how many are computed"}
	case len(p.s.Blocks) == 0:
		return Check{}, &InapplicableError{"the model is not an AFNet that afc wrote"}
	case p.s.Lowering == "mask":
		return Check{}, &InapplicableError{"the mask lowering computes every frame"}
	}
	profile, o, err := p.profiled(p.shown(p.s.Model), p.unoptimised(), p.clips)
	if err != nil {
		return Check{}, err
	}
	if err := p.readMasks(o, len(p.clips)); err != nil {
		return Check{}, err
	}
	if o.masks == nil {
		return Check{}, &InapplicableError{"the model does not show its choices at its top level"}
	}
	traced := tracedOf(profile)
	c := Check{Status: Pass, Limit: "rows = selected frames"}
	if p.s.Budget != nil {
		c.Limit = "rows = budget"
	}
	spare := int64(0) // where sizes are open, F(0) is computed along, from a frame of zeros
	if p.input.Size("H") == 0 || p.input.Size("W") == 0 {
		spare = 1
		c.Limit += " and one of zeros"
	}
	convs, total := 0, 0
	for b, block := range p.s.Blocks {
		want := 0
		for _, clip := range p.framesComputed(o, b) {
			selected := 0
			for _, on := range clip {
				selected += int(on)
			}
			if p.s.Budget != nil {
				selected = p.budget(b)
			}
			want += selected
		}
		switch tiles := p.s.Model.Graph.Value(names.Tiles(block.Key)) != nil; {
		case p.s.Budget != nil && block.Grid > 0:
			if want = len(o.masks) * p.frames; tiles { // else all frames, of which cells are used
				want = len(o.masks) * p.budget(b) * block.Grid * block.Grid
			}
		case tiles:
			if want = 0; o.cells == nil {
				return Check{}, &InapplicableError{"the model does not show its cells at its top level"}
			}
			for c := range o.masks {
				for _, on := range o.selectedCellsOf(c)[b] {
					want += int(on)
				}
			}
		}
		total += want
		nodes := convsOf(p.s.Model.Graph, block.ConvWeights)
		for _, w := range block.ConvWeights {
			if len(convsOf(p.s.Model.Graph, []string{w})) == 0 {
				return c, fmt.Errorf("%s: no convolution has the weights %s", names.InWords(block.Key), w)
			}
		}
		for _, kernel := range slices.Sorted(maps.Keys(nodes)) {
			convs++
			got := int64(0)
			for _, node := range nodes[kernel] {
				got += traced.rows[node]
			}
			if got != int64(want) && got != int64(want)+spare && !(strings.Contains(kernel, "[") && slices.Contains(p.beyondClip(o, b), int64(want)-got)) {
				c.Status, c.Figure = Fail, fmt.Sprintf("%d rows", got)
				c.Where = fmt.Sprintf("convolution with %s: expected %d", kernel, want)
				return c, nil
			}
		}
		if where, figure := p.beyondBoxes(o, b, traced); where != "" {
			c.Status, c.Where, c.Figure = Fail, where, figure
			return c, nil
		}
	}
	all := len(p.clips) * len(p.s.Blocks) * p.frames * p.crops
	c.Figure = fmt.Sprintf("%d of %d frames in %d convolutions", total, all, convs)
	if p.hasCells() {
		c.Figure = fmt.Sprintf("%d rows, of frames or tiles, in %d convolutions", total, convs)
	}
	return c, nil
}

// trace is what nodes made while a model ran, by node.
type trace struct {
	rows, pixels map[string]int64   // in all: batch, and batch times height and width
	shapes       map[string][]int64 // the last time
}

func tracedOf(profile *ort.Profile) trace {
	t := trace{map[string]int64{}, map[string]int64{}, map[string][]int64{}}
	for _, e := range profile.Events {
		if len(e.OutShape) > 0 {
			t.rows[e.Node] += e.OutShape[0]
			t.shapes[e.Node] = e.OutShape
		}
		if len(e.OutShape) == 4 {
			t.pixels[e.Node] += e.OutShape[0] * e.OutShape[2] * e.OutShape[3]
		}
	}
	return t
}

// framesComputed are the frames, 0 or 1 by clip, that a block has to compute: those
// selected and, where it tells, with a cell selected.
func (p *prover) framesComputed(o *outcome, block int) [][]uint8 {
	all := make([][]uint8, len(o.masks))
	for c, clip := range o.masks {
		all[c] = clip[block]
		if o.cells == nil || p.s.Model.Graph.Value(names.SomeCell(p.s.Blocks[block].Key)) == nil {
			continue
		}
		all[c] = make([]uint8, len(clip[block]))
		cells := o.selectedCellsOf(c)[block]
		for i, on := range cells {
			all[c][i*len(all[c])/len(cells)] |= on
		}
	}
	return all
}

// beyondBoxes says where the second convolution of a block that computes boxes of
// its frames, which makes just a box, has made other pixels than the boxes around
// the cells selected have or, where the block decides by the frame, fewer than that
// or more than whole frames have.
func (p *prover) beyondBoxes(o *outcome, block int, traced trace) (where, figure string) {
	b := p.s.Blocks[block]
	size := traced.shapes[names.RestPixels(b.Key)]
	if p.s.Model.Graph.Value(names.Boxes(b.Key)) == nil || o.cells == nil || len(size) != 4 || len(b.ConvWeights) < 2 {
		return "", ""
	}
	least, most, each := int64(0), int64(0), b.Grid*b.Grid
	for c := range o.masks {
		cells := o.selectedCellsOf(c)[block]
		for f := 0; f < len(cells); f += each {
			box := boxPixels(cells[f:f+each], b.Grid, size[2], size[3])
			least, most = least+box, most+box
			if box > 0 && p.s.Model.Graph.Value(names.BoxPays(b.Key)) != nil {
				most += size[2]*size[3] - box
			}
		}
	}
	nodes := convsOf(p.s.Model.Graph, b.ConvWeights[1:2])
	for _, kernel := range slices.Sorted(maps.Keys(nodes)) {
		got := int64(0)
		for _, node := range nodes[kernel] {
			got += traced.pixels[node]
		}
		if got < least || got > most {
			return fmt.Sprintf("convolution with %s: expected %d to %d, of the boxes around cells", kernel, least, most), fmt.Sprintf("%d pixels", got)
		}
	}
	return "", ""
}

// boxPixels is how many pixels the box around the selected of grid×grid cells has on
// a map of the given size. Row y of h is of row floor(y·grid/h) of the cells.
func boxPixels(cells []uint8, grid int, h, w int64) int64 {
	area := int64(1)
	for axis, n := range [2]int64{h, w} {
		var in int64
		low, high := int64(grid), int64(-1)
		for i, on := range cells {
			if at := int64([2]int{i / grid, i % grid}[axis]); on != 0 {
				low, high = min(low, at), max(high, at)
			}
		}
		for y := range n {
			if c := y * int64(grid) / n; c >= low && c <= high {
				in++
			}
		}
		area *= in
	}
	return area
}

// beyondClip counts the selected frames of a block that have none before them,
// and none behind: a piece of a kernel that reads what a shift brings from there
// has only zeros to read, and is not run.
func (p *prover) beyondClip(o *outcome, block int) []int64 {
	if p.s.Budget != nil {
		return nil
	}
	var first, last int64
	for _, clip := range o.masks {
		first += int64(clip[block][0])
		last += int64(clip[block][p.frames-1])
	}
	return []int64{first, last}
}

// convsOf names the convolutions whose weights are of the given tensors, whole
// or in pieces ("KEY.weight[0:8]@0"), by the tensors their kernel is made of.
// Branches may each hold a copy.
func convsOf(g *graph.Graph, weights []string) map[string][]string {
	names := map[string][]string{}
	for n := range g.AllNodes() {
		if n.Is("Conv") {
			var parts []string
			kernelParts(n.Input(1), weights, &parts)
			if len(parts) > 0 {
				slices.Sort(parts)
				kernel := strings.Join(slices.Compact(parts), " + ")
				names[kernel] = append(names[kernel], n.Name)
			}
		}
	}
	return names
}

// kernelParts collects the pieces of the given tensors that a kernel is put
// together from: ONNX Runtime does so once, when it loads the model.
func kernelParts(v *graph.Value, weights []string, parts *[]string) {
	switch {
	case v == nil:
	case v.Initializer() != nil:
		if slices.ContainsFunc(weights, func(w string) bool { return v.Name() == w || strings.HasPrefix(v.Name(), w+"[") }) {
			*parts = append(*parts, v.Name())
		}
	case v.Producer() != nil && v.Producer().Is("Concat", "Pad", "Slice", "Split", "Neg", "Reshape", "Transpose", "Cast"):
		for _, in := range v.Producer().Inputs() {
			kernelParts(in, weights, parts)
		}
	}
}

// checkLatency times model and source side by side, one clip a run where they
// take any number.
func (p *prover) checkLatency() (Check, error) {
	if p.opt.Rounds < 0 {
		return Check{}, &InapplicableError{"not asked for"}
	}
	type entry struct {
		m      *graph.Model
		name   string
		frames int
	}
	entries := []entry{{p.s.Model, "model", p.sample()}}
	alone := ""
	if p.sourcePart > 0 {
		alone = fmt.Sprintf("the source takes %d of a clip's %d frames at once: not timed beside", p.sourcePart, p.sourceFrames)
	} else if p.s.Source != nil {
		entries = append(entries, entry{p.s.Source, "source", p.sourceFrames})
	}
	var contenders []ort.Contender
	defer func() {
		for _, c := range contenders {
			c.Session.Close()
		}
	}()
	clips := make([][][]float32, len(entries))
	for i, e := range entries {
		in, err := p.clipsInput(e.m, e.frames)
		if err != nil {
			return Check{}, err
		}
		if clips[i], err = p.videos(0, max(int(in.Batch()), 1), e.frames); err != nil {
			return Check{}, err
		}
		s, err := ort.NewSession(e.m, p.optimised().ForTiming())
		if err != nil {
			return Check{}, err
		}
		contenders = append(contenders, ort.Contender{Name: e.name, Session: s})
		if contenders[i].Inputs, err = p.inputs(e.m, s, clips[i], nil); err != nil {
			return Check{}, err
		}
	}
	times, err := ort.Race(p.ctx, contenders, ort.RaceOptions{Rounds: p.opt.Rounds})
	if err != nil {
		return Check{}, err
	}
	for i, t := range times {
		t.Clips = int64(len(clips[i]))
		l := latencyOf(t)
		profile, _, err := p.profiled(entries[i].m, p.optimised(), clips[i])
		if err != nil {
			return Check{}, err
		}
		if l.Resident, err = p.resident(entries[i].m, contenders[i]); err != nil {
			return Check{}, err
		}
		l.Activations, l.MACs, l.Ops, l.Stages = profile.PeakMemory, profile.MACs(), profile.ByOp(), profile.By(p.stageOf)
		slices.SortStableFunc(l.Stages, func(a, b ort.Tally) int { return strings.Compare(a.Name, b.Name) }) // in network order
		p.r.Latency = append(p.r.Latency, l)
	}
	model := &p.r.Latency[0]
	c := Check{Status: Info, Figure: fmt.Sprintf("median %.1f ms a clip", model.P50/float64(model.Clips)), Where: alone}
	if len(times) < 2 {
		return c, nil
	}
	ratio, err := times[0].RatioTo(times[1])
	if err != nil {
		return Check{}, err
	}
	perClip := float64(len(clips[1])) / float64(len(clips[0]))
	source := &p.r.Latency[1]
	model.Ratio, source.Ratio = ratio.Median*perClip, 1
	c.Figure += fmt.Sprintf(", %.3f of the source's", model.Ratio)
	if source.MACs > 0 {
		model.MACRatio, source.MACRatio = float64(model.MACs)/float64(source.MACs)*perClip, 1
		c.Figure += fmt.Sprintf(", at %.3f of its multiply–accumulates", model.MACRatio)
	}
	c.Where = fmt.Sprintf("quartiles %.3f to %.3f over %d rounds", ratio.Low*perClip, ratio.Up*perClip, len(times[0].Runs))
	return c, nil
}

// resident measures the memory that a contender's model takes, where it is a
// file and the caller says how.
func (p *prover) resident(m *graph.Model, c ort.Contender) (int64, error) {
	if p.opt.Resident == nil || m.Path == "" {
		return 0, nil
	}
	for _, v := range m.Graph.Outputs() { // see ort.NewSession: the file itself cannot be run
		if v.Type.Elem.Size() == 2 && v.Type.Elem.IsFloat() && !v.Type.Shape.Static() {
			return 0, nil
		}
	}
	return ort.Resident(p.ctx, p.opt.Resident, m.Path, c.Session, c.Inputs)
}

// stageOf is the stage whose weights' names a node's name bears. ONNX Runtime
// names the nodes it fuses after theirs.
func (p *prover) stageOf(e ort.NodeEvent) string {
	return cmp.Or(names.StageOf(e.Node, p.s.Stages), "other")
}
