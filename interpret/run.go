package interpret

import (
	"fmt"
	"math"
	"slices"

	"github.com/afc-project/afc/afblock"
)

// Given is what a clip is run with beside its pixels.
type Given struct {
	// Force replaces what navigation answers, [block][frame]: a margin of 1 where
	// a frame is to be computed, −1 where not. nil: navigation answers.
	Force [][]bool
	// Follow replaces what is chosen, [block][frame], but not the margins: the
	// network goes on from these choices, and says what it would have chosen.
	Follow [][]bool
	// ForceCells and FollowCells do the same for what is chosen inside the frames:
	// [block][cell] for all frames alike, and [block][frame][cell], cells row by
	// row; nil for blocks that choose whole frames.
	ForceCells  [][]bool
	FollowCells [][][]bool
	// Noise is added to navigation's logits, [block][frame][2]; nil: none.
	Noise [][][2]float64
	// Margin is added to every logit of selecting a frame.
	Margin float64
	// Budget is how many frames, or of cells inside the frames as many as these
	// frames have, each block computes at most, those with the
	// largest margins, of equal ones the first; a frame beyond it is answered as
	// if it had not been chosen. Where a block chooses inside the frames it is how
	// many cells of a clip. nil: no limit.
	Budget []int
	// Single has each convolution sum in float32, product by product, and rounds
	// what its batch normalisation makes of that: a network whose answers this
	// moves far is one that no runtime computes exactly.
	Single bool
	// See is shown what the network makes on the way, in the order it is made:
	// the maps of all frames, under the key of the layer. nil: nobody looks.
	See func(key string, maps []*Map)

	gate func(stage string, logits []float64) // is shown a gate's logits, frame by frame, perhaps several at a time
}

// Trunk is the key under which Given.See is shown what the last stage makes.
const Trunk = "trunk"

// Answer is what a network makes of a clip.
type Answer struct {
	Scores  [][]float64 // one row, or one for each frame without consensus
	Chosen  [][]bool    // [block][frame], by navigation
	Margins [][]float64 // [block][frame]: keep − drop, with noise and margin
	Dropped []int       // [block]: frames, or cells of them, chosen or followed beyond the budget

	Cells       [][][]bool    // [block][frame][cell], selected frame or not; nil for blocks of whole frames
	CellMargins [][][]float64 // likewise
}

// run is a clip on its way.
type run struct {
	net    *Network
	given  Given
	answer *Answer
}

// Clip runs one clip of frames [T, C, H, W]. It fails on pixels and choices
// that do not fit.
func (n *Network) Clip(pixels []float32, h, w int, given Given) (*Answer, error) {
	size := n.channels * h * w
	if len(pixels) != n.Frames*size {
		return nil, fmt.Errorf("a clip of %d numbers, want %d frames of %d×%d×%d", len(pixels), n.Frames, n.channels, h, w)
	}
	maps := make([]*Map, n.Frames)
	for t := range maps {
		maps[t] = newMap(n.channels, h, w)
		maps[t].single = given.Single
		for i, x := range pixels[t*size : (t+1)*size] {
			maps[t].V[i] = float64(x)
		}
	}
	for _, blocks := range []int{len(given.Force), len(given.Follow), len(given.ForceCells), len(given.FollowCells)} {
		if blocks != 0 && blocks != len(n.Blocks) {
			return nil, fmt.Errorf("choices of %d blocks, the network has %d", blocks, len(n.Blocks))
		}
	}
	if given.See == nil {
		given.See = func(string, []*Map) {}
	}
	if given.gate == nil {
		given.gate = func(string, []float64) {}
	}
	r := &run{n, given, &Answer{}}
	x := r.trunk(maps)
	given.See(Trunk, x)
	r.answer.Scores = n.head.scores(x)
	return r.answer, nil
}

// trunk runs stem and stages.
func (r *run) trunk(x []*Map) []*Map {
	n := r.net
	x = each(x, func(_ int, m *Map) *Map {
		m = n.stem.apply(m).each(n.act)
		if n.pool.kernel > 0 {
			m = n.pool.maximum(m)
		}
		return m
	})
	r.given.See("maxpool", x)
	for _, s := range n.stages {
		if s.af != nil {
			x = r.module(s.name, s.af, x)
			continue
		}
		for i := range s.blocks {
			var chosen *picked
			if on := s.blocks[i].schedule; on != nil {
				chosen = &picked{frames: on(len(x))}
			}
			x = r.block(&s.blocks[i], x, chosen)
		}
	}
	if c := n.head.last; c != nil {
		x = each(x, func(_ int, m *Map) *Map { return c.apply(m).each(n.head.act) })
	}
	return x
}

// module runs an AF module: beside each focal block an ample block, whose input
// its navigation looks at.
func (r *run) module(name string, m *module, x []*Map) []*Map {
	ample, focal := x, x
	for i := range m.focal {
		chosen := r.choose(&m.navigation[i], ample)
		ample = r.block(&m.ample[i], ample, nil)
		focal = r.block(&m.focal[i], focal, chosen)
	}
	if m.transform != nil {
		ample = each(ample, func(_ int, a *Map) *Map { return m.transform.apply(a) })
		r.given.See(name+".base_transform", ample)
	}
	mixed := each(ample, func(t int, a *Map) *Map {
		return m.gate.mix(a.nearest(focal[t].H, focal[t].W), focal[t], func(l []float64) { r.given.gate(name, l) }).each(m.act)
	})
	r.given.See(name+".att_gen", mixed)
	return r.block(&m.fusion, mixed, nil)
}

// mix is g·a + (1−g)·f, g = sigmoid(W2·relu(W1·mean(a+f))).
func (g *gate) mix(a, f *Map, see func(logits []float64)) *Map {
	hidden := g.squeeze.apply(a.plus(f).means())
	for i, x := range hidden {
		hidden[i] = max(x, 0)
	}
	out := f.like(f.C, f.H, f.W)
	logits := g.excite.apply(hidden)
	see(logits)
	for c, logit := range logits {
		share := 1 / (1 + math.Exp(-logit))
		to, ample, focal := out.plane(c), a.plane(c), f.plane(c)
		for i := range to {
			to[i] = share*ample[i] + (1-share)*focal[i]
		}
	}
	return out
}

// block runs a residual block; chosen, if given, says which frames its main
// path sees, and which cells of its answer count: elsewhere it answers F(0), or
// nothing.
func (r *run) block(b *block, x []*Map, chosen *picked) []*Map {
	shifted := shift(x, b.fold, b.pastFirst)
	unchosen := newMap(0, 0, 0)
	if chosen != nil && (chosen.grid > 0 || slices.Contains(chosen.frames, false)) {
		unchosen = b.main(x[0].like(x[0].C, x[0].H, x[0].W))
		if r.net.zero {
			clear(unchosen.V)
		}
	}
	out := each(x, func(t int, m *Map) *Map {
		main := unchosen
		switch {
		case chosen == nil:
			main = b.main(shifted[t])
		case chosen.frames[t]:
			main = chosen.blend(t, b.main(shifted[t]), unchosen)
		}
		if b.alone {
			return main.clone().each(b.act)
		}
		if b.shiftResidual {
			m = shifted[t]
		}
		if b.pool != nil {
			m = b.pool.average(m)
		}
		if b.residual != nil {
			m = b.residual.apply(m)
		}
		return main.plus(m).each(b.act)
	})
	r.given.See(b.key, out)
	return out
}

// main is F: the block's convolutions with what stands behind each.
func (b *block) main(m *Map) *Map {
	for i := range b.convs {
		m = b.convs[i].apply(m)
		for _, s := range b.behind[i] {
			if s.weigh != nil {
				s.weigh.apply(m)
			}
			m.each(s.act)
		}
	}
	return m
}

// apply weighs a map's channels, in place: by a sigmoid of straight pieces, 0 up
// to −3 and 1 from 3 on.
func (e *excitation) apply(m *Map) {
	hidden := e.squeeze.apply(m.means())
	for i, x := range hidden {
		hidden[i] = max(x, 0)
	}
	for c, x := range e.excite.apply(hidden) {
		weight := math.Min(math.Max(x/6+0.5, 0), 1)
		p := m.plane(c)
		for i := range p {
			p[i] *= weight
		}
	}
}

// shift gives each frame its channels [0, fold) from the frame behind it and
// [fold, 2·fold) from the one before it, or the other way round, zero at the
// clip's ends.
func shift(x []*Map, fold int, pastFirst bool) []*Map {
	if fold == 0 {
		return x
	}
	out := make([]*Map, len(x))
	for t, m := range x {
		out[t] = m.clone()
		for c := range 2 * fold {
			from := t + 1
			if c >= fold != pastFirst {
				from = t - 1
			}
			if p := out[t].plane(c); from < 0 || from >= len(x) {
				clear(p)
			} else {
				copy(p, x[from].plane(c))
			}
		}
	}
	return out
}

// choose says which frames a block computes, and which cells of them: where
// navigation's second logit exceeds its first, and the budget reaches.
func (r *run) choose(n *navigation, ample []*Map) *picked {
	block := len(r.answer.Chosen)
	margins := r.margins(n, block, ample)
	chosen := make([]bool, len(ample))
	for t, m := range margins {
		chosen[t] = m > 0
	}
	r.answer.Chosen, r.answer.Margins = append(r.answer.Chosen, chosen), append(r.answer.Margins, margins)
	if r.given.Follow != nil {
		chosen = r.given.Follow[block]
	}
	all := picked{frames: chosen}
	if all.cells = r.chooseCells(n.cells, block, ample); n.cells != nil {
		all.grid = n.cells.grid
	}
	computed := all
	switch {
	case r.given.Budget == nil:
	case n.cells == nil:
		computed.frames = within(chosen, margins, r.budget(block))
	default:
		computed = all.withinCells(margins, r.answer.CellMargins[block], r.budget(block)*all.grid*all.grid)
	}
	r.answer.Dropped = append(r.answer.Dropped, all.count()-computed.count())
	return &computed
}

// margins says how far each frame's keep exceeds its drop.
func (r *run) margins(n *navigation, block int, ample []*Map) []float64 {
	margins := make([]float64, len(ample))
	if r.given.Force != nil {
		for t := range margins {
			if margins[t] = -1; r.given.Force[block][t] {
				margins[t] = 1
			}
		}
		return margins
	}
	for t, logits := range n.logits(ample) {
		margins[t] = logits[1] - logits[0] + r.given.Margin
		if r.given.Noise != nil {
			margins[t] += r.given.Noise[block][t][1] - r.given.Noise[block][t][0]
		}
	}
	return margins
}

func (r *run) budget(block int) int {
	if len(r.given.Budget) == 1 {
		return r.given.Budget[0]
	}
	return r.given.Budget[block]
}

// logits are navigation's answers, drop and keep, for each frame.
func (n *navigation) logits(ample []*Map) [][2]float64 {
	var seen []float64 // two numbers a frame
	for _, m := range ample {
		mean := &Map{C: m.C, H: 1, W: 1, V: m.means(), single: m.single}
		seen = append(seen, n.look.apply(mean).relu().V...)
	}
	out := make([][2]float64, len(ample))
	for t := range out {
		x := seen
		if n.choose.in != len(seen) {
			x = seen[2*t : 2*t+2]
		}
		for k := range out[t] {
			row := 2*t + k
			out[t][k] = n.choose.bias[row]
			for i, w := range n.choose.weight[row*n.choose.in : (row+1)*n.choose.in] {
				out[t][k] += w * x[i]
			}
		}
	}
	return out
}

// within leaves, of the chosen frames, those that are among the clip's largest
// margins, as many as the budget has.
func within(chosen []bool, margins []float64, budget int) []bool {
	order := make([]int, len(chosen))
	for t := range order {
		order[t] = t
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case margins[a] > margins[b]:
			return -1
		case margins[a] < margins[b]:
			return 1
		}
		return 0
	})
	kept := make([]bool, len(chosen))
	for _, t := range order[:min(budget, len(order))] {
		kept[t] = chosen[t]
	}
	return kept
}

func count(on []bool) int {
	n := 0
	for _, x := range on {
		if x {
			n++
		}
	}
	return n
}

// scores are the head's answer to the frames' maps.
func (h *head) scores(x []*Map) [][]float64 {
	var rows [][]float64
	for _, m := range x {
		rows = append(rows, m.means())
	}
	if h.mean == afblock.MeanBeforeFC {
		rows = average(rows)
	}
	for i := range rows {
		if h.hidden != nil {
			rows[i] = (&Map{C: h.hidden.out, H: 1, W: 1, V: h.hidden.apply(rows[i])}).each(h.act).V
		}
		rows[i] = h.apply(rows[i])
	}
	if h.mean == afblock.MeanAfterFC {
		rows = average(rows)
	}
	if h.softmax {
		for _, row := range rows {
			softmax(row)
		}
	}
	return rows
}

func average(rows [][]float64) [][]float64 {
	mean := make([]float64, len(rows[0]))
	for _, row := range rows {
		for i, x := range row {
			mean[i] += x / float64(len(rows))
		}
	}
	return [][]float64{mean}
}

func softmax(row []float64) {
	peak, sum := slices.Max(row), 0.0
	for i, x := range row {
		row[i] = math.Exp(x - peak)
		sum += row[i]
	}
	for i := range row {
		row[i] /= sum
	}
}
