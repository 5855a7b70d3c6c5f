package verify

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/interpret"
)

// Variant is a network like the one in a file, written in the file's way, and
// the same network to interpret.
type Variant struct {
	Model   *graph.Model
	Network *interpret.Network
	Blocks  []names.Focal
	Budget  []int // as Subject.Budget
	Masks   bool  // as Subject.Masks
}

// checkInterpreter holds the file's own graph, on the clips, to the interpreter.
func (p *prover) checkInterpreter() (Check, error) {
	if p.s.Network == nil {
		return Check{}, &InapplicableError{"the model is not an AFNet that afc wrote"}
	}
	return p.interpret("interpreter", trial{clips: p.clips})
}

// variants are written for sizes that are odd, not square, and even ones where
// every step of codegen applies; one has a single frame and answers skipped
// frames in the way that the file does not; one is so flat that maps of one row
// meet. The last, of a file that takes one
// clip at a time, has maps so large that its frames may be written out.
var variants = []interpret.Variant{
	{Seed: 1, Size: [2]int{45, 67}},
	{Seed: 2, Size: [2]int{67, 35}, Frames: 1, Otherwise: true},
	{Seed: 3, Size: [2]int{64, 96}, Frames: 3},
	{Seed: 4, Size: [2]int{8, 96}, Frames: 2},
	{Seed: 5, Size: [2]int{80, 84}, Frames: 3, OneClip: true},
}

// checkCompiler holds networks like the file's, but with random navigation,
// gates and transforms, written as the file is, to the interpreter: what
// transplanted weights leave idle is at work in them.
func (p *prover) checkCompiler() (Check, error) {
	if p.s.Variant == nil {
		return Check{}, &InapplicableError{"the model is not an AFNet that afc wrote"}
	}
	var worst Check
	runs := 0
	for _, v := range variants {
		batches := []int{3, 1}
		if v.OneClip {
			if p.input.Batch() != 1 {
				continue
			}
			batches = []int{1}
		}
		q, err := p.proverOf(v)
		if err != nil {
			return Check{}, fmt.Errorf("%s: %w", v, err)
		}
		defer q.sessions.close()
		for _, f := range forcings(q.s.Blocks, q.frames) {
			for _, n := range batches {
				if n == 1 && f.choose != nil && !v.OneClip {
					continue
				}
				t := trial{
					name:  fmt.Sprintf("%s, %s, batch %d: ", v, f.name, n),
					clips: vividClips(v.Seed, n, q.frames, q.channels, v.Size),
					force: f.choose, cells: f.cells,
				}
				if q.s.Dial && f.choose == nil {
					margin := float32(0.3 * float64(n-2)) // either way
					t.margin = &margin
				}
				c, err := q.interpret("compiler", t)
				if err != nil || c.Status == Fail {
					return c, err
				}
				if runs++; c.size >= worst.size {
					worst = c
				}
			}
		}
	}
	worst.Figure += fmt.Sprintf(" in %d runs", runs)
	return worst, nil
}

// proverOf makes a prover of a variant of the subject.
func (p *prover) proverOf(v interpret.Variant) (*prover, error) {
	made, err := p.s.Variant(v)
	if err != nil {
		return nil, err
	}
	s := &Subject{
		Model: made.Model, Path: v.String(), Lowering: p.s.Lowering, Frames: made.Network.Frames, Channels: p.channels,
		Blocks: made.Blocks, Size: v.Size, Budget: made.Budget, Masks: made.Masks, Dial: p.s.Dial, Network: made.Network,
		Unit: p.s.Unit, Rounding: p.s.Rounding,
	}
	return &prover{
		ctx: p.ctx, s: s, opt: p.opt, r: p.r, frames: s.Frames, perSample: s.Frames, crops: 1, channels: p.channels,
		h: v.Size[0], w: v.Size[1], showing: map[*graph.Model]*graph.Model{}, seed: v.Seed,
	}, nil
}

// forcing is a way to choose frames.
type forcing struct {
	name   string
	choose [][]uint8 // [block][frame]; nil: navigation chooses
	cells  [][]uint8 // [block][cell] of each frame, likewise
}

// forcings are navigation's own choice, no frame, every frame, one, and
// patterns by which every two blocks are told apart; where there are cells inside
// the frames, patterns of those.
func forcings(focal []names.Focal, frames int) []forcing {
	blocks := len(focal)
	pattern := func(name string, on func(block, frame int) bool) forcing {
		choose := make([][]uint8, blocks)
		for b := range choose {
			choose[b] = make([]uint8, frames)
			for t := range choose[b] {
				if on(b, t) {
					choose[b][t] = 1
				}
			}
		}
		return forcing{name, choose, nil}
	}
	all := []forcing{
		{"navigation's choice", nil, nil},
		pattern("no frame", func(int, int) bool { return false }),
		pattern("every frame", func(int, int) bool { return true }),
		pattern("one frame", func(b, t int) bool { return t == b%frames }),
	}
	// A block's number in binary, as many digits a run as there are frames.
	for digit := 0; blocks>>digit > 0; digit += frames {
		all = append(all, pattern(fmt.Sprintf("pattern %d", digit/frames), func(b, t int) bool { return b>>(digit+t)&1 == 1 }))
	}
	if slices.ContainsFunc(focal, func(b names.Focal) bool { return b.Grid > 0 }) {
		for _, p := range cellPatterns {
			f := pattern(p.name, func(b, t int) bool { return (b+t)%3 != 0 })
			f.cells = cellPattern(focal, p.on)
			all = append(all, f)
		}
	}
	return all
}

// vividClips makes clips whose frames differ in brightness and contrast, so
// that navigation chooses differently from frame to frame and clip to clip.
func vividClips(seed uint64, n, frames, channels int, size [2]int) [][]float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	clips := make([][]float32, n)
	for i := range clips {
		for range frames {
			contrast, brightness := 0.3+1.7*r.Float64(), r.NormFloat64()
			for range channels * size[0] * size[1] {
				clips[i] = append(clips[i], float32(brightness+contrast*r.NormFloat64()))
			}
		}
	}
	return clips
}

// trial is one run of the prover's model beside its network.
type trial struct {
	name  string // before messages
	clips [][]float32
	force [][]uint8 // nil: navigation chooses
	cells [][]uint8 // [block][cell] with force, likewise
	calm  bool      // the clips have been made calmer

	margin *float32 // given to the dial; nil: nothing is
}

// interpret runs the model and the network on clips and compares choices, the
// outputs that show them, and the scores.
func (p *prover) interpret(check string, t trial) (Check, error) {
	c := Check{Status: Pass, Limit: p.tol(Interpreted).String()}
	run, err := p.runBeside(t)
	if err != nil {
		return c, fmt.Errorf("%s%w", t.name, err)
	}
	figure, where, err := run.differs()
	if err != nil {
		return c, fmt.Errorf("%s%w", t.name, err)
	}
	if figure != "" {
		c.Status, c.Figure, c.Where = Fail, figure, t.name+where
		if figure == aFlip {
			c.Where += p.place(run)
		}
		return c, nil
	}
	tol := p.tol(Interpreted)
	if t.calm {
		tol = p.tol(Reordered)
	}
	tol = tol.atLeast(run.dtype(run.got.names[0]))
	d, err := run.compare(tol)
	if err != nil {
		return c, fmt.Errorf("%s%w", t.name, err)
	}
	if !d.OK() && d.NonFinite == 0 {
		moved, err := run.rounding()
		if err != nil {
			return c, err
		}
		if roundings*moved > maxRounding && !t.calm {
			return p.interpret(check, t.calmer())
		}
		tol = tol.easedBy(moved, roundings, maxRounding)
		if d, err = run.compare(tol); err != nil {
			return c, fmt.Errorf("%s%w", t.name, err)
		}
	}
	shown := d
	shown.Check = check
	p.r.Errors = append(p.r.Errors, shown)
	c.Limit = tol.String()
	c.Figure, c.Where, c.size = d.Figure(), t.name+d.Where(), d.Needed
	if !d.OK() {
		c.Status = Fail
		c.Where += p.place(run)
	}
	return c, nil
}

// beside is a run of a model and of the network it should be.
type beside struct {
	p       *prover
	t       trial
	model   *graph.Model // with choices forced
	got     *outcome     // all outputs, those that show choices too
	masks   [][][]uint8  // what the model chose; nil where it does not show it
	cells   cellMasks    // inside the frames, likewise
	frames  [][]float32  // clips as the network reads them
	h, w    int
	answers []*interpret.Answer
	trunk   []*interpret.Map // what the last stage makes of all frames
}

// runBeside runs a trial.
func (p *prover) runBeside(t trial) (*beside, error) {
	b := &beside{p: p, t: t, model: p.s.Model, h: p.h, w: p.w}
	var err error
	if t.force != nil {
		if b.model, err = p.forced(b.model, t.force, t.cells, false); err != nil {
			return nil, err
		}
	}
	if b.got, err = p.runTrial(p.shown(b.model), t, p.s.TrunkIn, p.s.TrunkOut); err != nil {
		return nil, err
	}
	seen := &outcome{names: b.got.names, outputs: maps.Clone(b.got.outputs)}
	delete(seen.outputs, names.Masks)
	if err := p.readMasks(seen, len(t.clips)); err != nil {
		return nil, err
	}
	b.masks, b.cells = seen.masks, seen.cells
	if err := b.readFrames(); err != nil {
		return nil, err
	}
	for i := range b.frames {
		g := b.given(i)
		g.See = func(key string, maps []*interpret.Map) {
			if key == interpret.Trunk {
				b.trunk = append(b.trunk, maps...)
			}
		}
		a, err := p.s.Network.Clip(b.frames[i], b.h, b.w, g)
		if err != nil {
			return nil, err
		}
		b.answers = append(b.answers, a)
	}
	return b, nil
}

// runTrial runs a model on a trial's clips, with more of its values among the
// outputs, as far as a node makes them.
func (p *prover) runTrial(m *graph.Model, t trial, values ...string) (*outcome, error) {
	m = m.Clone()
	for _, name := range values {
		if v := m.Graph.Value(name); v != nil && v.Producer() != nil && !v.IsOutput() {
			if v.Type.Elem == graph.Undefined { // ONNX Runtime infers it
				v.Type = graph.Type{}
			}
			m.Graph.AddOutput(v)
		}
	}
	var fresh sessionCache
	defer fresh.close()
	so, beside := dialled(p.unoptimised(), t.margin)
	s, err := fresh.open(m, so)
	if err != nil {
		return nil, err
	}
	inputs, err := p.inputs(m, s, t.clips, beside)
	if err != nil {
		return nil, err
	}
	for i, io := range s.Inputs() {
		if io.Name == names.Noise && t.force == nil {
			inputs[i] = p.noise(len(t.clips) * p.crops)
		}
	}
	return p.runSession(s, inputs)
}

// noise draws Gumbel noise as the input of that name takes it.
func (p *prover) noise(clips int) *graph.Tensor {
	r := rand.New(rand.NewPCG(p.seed, 2))
	v := make([]float32, clips*len(p.s.Blocks)*p.frames*2)
	for i := range v {
		v[i] = float32(-math.Log(-math.Log(1 - r.Float64())))
	}
	return graph.Float32s([]int64{int64(clips), int64(len(p.s.Blocks)), int64(p.frames), 2}, v...)
}

// readFrames finds what the network reads: what the model's own stem does,
// where the model has a shell of its own around the trunk.
func (b *beside) readFrames() error {
	b.frames = b.t.clips
	x := b.got.outputs[b.p.s.TrunkIn]
	if x == nil && b.p.crops == 1 {
		return nil
	}
	if x == nil || len(x.Dims) != 4 {
		return &InapplicableError{"what the trunk reads does not show at the model's top level"}
	}
	v, err := x.Float32s()
	if err != nil {
		return err
	}
	clips := len(b.t.clips) * b.p.crops
	if len(v)%clips != 0 {
		return fmt.Errorf("the trunk reads %v, which is not %d clips", x.Dims, clips)
	}
	b.frames, b.h, b.w = nil, int(x.Dims[2]), int(x.Dims[3])
	for size := len(v) / clips; len(v) > 0; v = v[size:] {
		b.frames = append(b.frames, v[:size])
	}
	return nil
}

// given is what clip i is interpreted with: the model's own choices, so that a
// tie that falls the other way does not look like a wrong number.
func (b *beside) given(i int) interpret.Given {
	g := interpret.Given{Budget: b.p.s.Budget}
	if b.t.force != nil {
		g.Force = bools(b.t.force)
	}
	if b.t.margin != nil {
		g.Margin = float64(*b.t.margin)
	}
	if b.masks != nil {
		g.Follow = bools(b.masks[i])
	}
	if b.t.cells != nil {
		g.ForceCells = bools(b.t.cells)
	}
	if b.cells != nil {
		for k, row := range b.cells[i] {
			var frames [][]bool
			if grid := b.p.s.Blocks[k].Grid; grid > 0 {
				for cells := range slices.Chunk(row, grid*grid) {
					frames = append(frames, bools([][]uint8{cells})[0])
				}
			}
			g.FollowCells = append(g.FollowCells, frames)
		}
	}
	if v := b.p.s.Model.Graph.Value(names.Noise); v != nil && b.t.force == nil {
		noise, _ := b.p.noise(len(b.frames)).Float32s() // made here
		g.Noise = make([][][2]float64, len(b.p.s.Blocks))
		for k := range g.Noise {
			g.Noise[k] = make([][2]float64, b.p.frames)
			for t := range g.Noise[k] {
				at := ((i*len(g.Noise)+k)*b.p.frames + t) * 2
				g.Noise[k][t] = [2]float64{float64(noise[at]), float64(noise[at+1])}
			}
		}
	}
	return g
}

func bools(bits [][]uint8) [][]bool {
	out := make([][]bool, len(bits))
	for b, row := range bits {
		out[b] = make([]bool, len(row))
		for t, bit := range row {
			out[b][t] = bit == 1
		}
	}
	return out
}

// aFlip is the figure of a choice that the network would not make.
const aFlip = "a flip"

// differs looks for choices that the network would not make, and for outputs
// that show them wrongly. The figure is "" if there are none.
func (b *beside) differs() (figure, where string, err error) {
	scale := 0.0
	for _, a := range b.answers {
		for _, row := range a.Margins {
			for _, m := range row {
				scale = max(scale, math.Abs(m))
			}
		}
	}
	for i, a := range b.answers {
		for k, row := range a.Chosen {
			for t, on := range row {
				if b.masks != nil && (b.masks[i][k][t] == 1) != on && math.Abs(a.Margins[k][t]) > b.p.tieMargin()*scale {
					return aFlip, fmt.Sprintf("%s, clip %d, frame %d: chosen %d, want %v, margin %.2e",
						names.InWords(b.p.s.Blocks[k].Key), i, t, b.masks[i][k][t], on, a.Margins[k][t]), nil
				}
			}
		}
	}
	if where := b.cellFlip(); where != "" {
		return aFlip, where, nil
	}
	if b.p.s.Masks {
		for k, block := range b.p.s.Blocks {
			if block.Grid > 0 {
				if where, err := b.shows(names.Cells(k), b.chosenCells(k)); where != "" || err != nil {
					return "output " + names.Cells(k), where, err
				}
			}
		}
		if where, err := b.shows(names.Masks, b.chosen()); where != "" || err != nil {
			return "output masks", where, err
		}
	}
	if b.p.s.Budget != nil {
		if where, err := b.shows(names.Dropped, b.dropped()); where != "" || err != nil {
			return "output dropped", where, err
		}
	}
	return "", "", nil
}

// cellFlip says where the model chooses a cell of a selected frame that the
// network would not, or leaves one out; "" if nowhere.
func (b *beside) cellFlip() string {
	scale := 0.0
	for _, a := range b.answers {
		for _, block := range a.CellMargins {
			for _, row := range block {
				for _, m := range row {
					scale = max(scale, math.Abs(m))
				}
			}
		}
	}
	if b.cells == nil {
		return ""
	}
	for i, a := range b.answers {
		for k, block := range a.Cells {
			for t, row := range block {
				for c, on := range row {
					got := b.cells[i][k][t*len(row)+c] == 1
					if got != on && (b.masks == nil || b.masks[i][k][t] == 1) && math.Abs(a.CellMargins[k][t][c]) > b.p.tieMargin()*scale {
						return fmt.Sprintf("%s, clip %d, frame %d, cell %d: chosen %v, want %v, margin %.2e", names.InWords(b.p.s.Blocks[k].Key), i, t, c, got, on, a.CellMargins[k][t][c])
					}
				}
			}
		}
	}
	return ""
}

// chosenCells is what the output of a block's choices inside the frames has to
// show, [N, T, g, g].
func (b *beside) chosenCells(k int) *graph.Tensor {
	var v []float32
	for i, a := range b.answers {
		for t, row := range a.Cells[k] {
			frame := a.Chosen[k][t]
			if b.masks != nil {
				frame = b.masks[i][k][t] == 1
			}
			for c, on := range row {
				if b.cells != nil {
					on = b.cells[i][k][t*len(row)+c] == 1
				}
				v = append(v, 0)
				if on && frame {
					v[len(v)-1] = 1
				}
			}
		}
	}
	g := int64(b.p.s.Blocks[k].Grid)
	return graph.Float32s([]int64{int64(len(b.answers)), int64(b.p.frames), g, g}, v...)
}

// chosen is what the output "masks" has to show, [N, blocks, T].
func (b *beside) chosen() *graph.Tensor {
	var v []float32
	for i, a := range b.answers {
		for k, row := range a.Chosen {
			for t, on := range row {
				if b.masks != nil {
					on = b.masks[i][k][t] == 1
				}
				v = append(v, 0)
				if on {
					v[len(v)-1] = 1
				}
			}
		}
	}
	return graph.Float32s([]int64{int64(len(b.answers)), int64(len(b.p.s.Blocks)), int64(b.p.frames)}, v...)
}

// dropped is what the output "dropped" has to show, [N, blocks].
func (b *beside) dropped() *graph.Tensor {
	var v []float32
	for _, a := range b.answers {
		for _, n := range a.Dropped {
			v = append(v, float32(n))
		}
	}
	return graph.Float32s([]int64{int64(len(b.answers)), int64(len(b.p.s.Blocks))}, v...)
}

// shows says where an output is not what it has to be, "" if it is.
func (b *beside) shows(name string, want *graph.Tensor) (string, error) {
	got := b.got.outputs[name]
	if got == nil {
		return fmt.Sprintf("there is no output %q", name), nil
	}
	got, err := b.p.inFloat32(got, want)
	if err != nil {
		return "", err
	}
	d, err := Compare(name, got, want, Exact)
	if err != nil { // another type or shape
		return err.Error(), nil
	}
	if d.OK() {
		return "", nil
	}
	if len(d.Index) != 2 && len(d.Index) != 3 {
		return d.Where(), nil
	}
	return fmt.Sprintf("%s, clip %d: %s", names.InWords(b.p.s.Blocks[d.Index[1]].Key), d.Index[0], d.Where()), nil
}

// compare holds the scores to the network's. Where a clip is cut into crops,
// whose scores the model puts together in its own way, it holds what the trunk
// makes instead.
func (b *beside) compare(tol Tolerance) (Difference, error) {
	if b.p.crops > 1 {
		trunk := b.got.outputs[b.p.s.TrunkOut]
		if trunk == nil {
			return Difference{}, &InapplicableError{"what the trunk makes does not show at the model's top level"}
		}
		return layer{b.p.s.TrunkOut, b.trunk}.compare(trunk, tol)
	}
	var scores []float64
	for _, a := range b.answers {
		for _, row := range a.Scores {
			scores = append(scores, row...)
		}
	}
	name := b.got.names[0]
	got := b.got.outputs[name]
	if int64(len(scores)) != product(got.Dims) {
		return Difference{}, fmt.Errorf("output %q is %v, the network has %d scores for %d clips", name, got.Dims, len(scores), len(b.answers))
	}
	d := Difference{Output: name, Dims: got.Dims}
	g, err := float64s(got)
	if err != nil {
		return d, err
	}
	d.compare(g, scores, tol)
	return d, nil
}

func (b *beside) dtype(output string) graph.DataType { return b.got.outputs[output].DType }
