package train

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
	"github.com/afc-project/afc/passes"
)

// opset is what training graphs are written in.
const opset = 18

// Selection says where the masks of focal blocks come from while training.
type Selection string

const (
	// Learned masks are navigation's, sampled with Gumbel noise; gradients pass
	// the choice straight through.
	Learned Selection = "learned"
	// Given masks are an input: a schedule, or drawn at random.
	Given Selection = "given"
)

// Norm says what batch normalisation goes by while training.
type Norm string

const (
	Batch  Norm = "batch"  // the batch's statistics, which the running ones follow
	Frozen Norm = "frozen" // the running statistics, which stay
)

// momentum of running statistics: the part that each batch takes.
const statisticsMomentum = 0.1

// StepOptions say what a training step computes.
type StepOptions struct {
	Clips     int          // of a step
	Size      afblock.Size // of a frame
	Groups    []Group      // that learn
	Multiples Multiples
	Selection Selection
	Norm      Norm
	Labels    float64 // weight of the cross-entropy
	Distill   float64 // weight of the distance to the teacher's scores
	Dropout   bool    // an input multiplies what the linear layer reads
	Update    Update  // zero: the gradient is an output, and nothing is updated

	smooth bool
}

// Names of a step's inputs and outputs. Which there are depends on the options;
// Step.Inputs has them in order.
const (
	FramesIn    = "frames"          // [N·T, C, H, W], as the stem reads them
	WeightsIn   = "weights"         // vector, by the layout
	StatsIn     = "statistics"      // vector of running statistics
	MomentsIn   = "moments"         // of the update: momentum, or AdamW's two
	ClassesIn   = "classes"         // [N, classes]: 1 at the label, a row of zeros without
	TeacherIn   = "teacher"         // [N·T, classes]: the teacher's scores of the frames
	MasksIn     = "masks"           // [N, blocks, T]
	NoiseIn     = "noise"           // [N, blocks, T, 2], Gumbel samples
	TauIn       = "tau"             // temperature of the choice
	RatioIn     = "target_ratio"    // R_T
	LambdaIn    = "lambda"          // weight of the ratio's loss
	DropoutIn   = "dropout"         // [N·T, features]
	RateIn      = "rate"            // learning rate
	CorrectIn   = "corrections"     // [2]: 1 − β₁ᵗ and 1 − β₂ᵗ of AdamW's step t
	FactsOut    = "facts"           // vector, see Step.Facts
	ScoresOut   = "scores"          // [N, classes]
	ChoicesOut  = "choices"         // [N, blocks, T], what was computed
	GradientOut = "gradient"        // vector, by the layout
	WeightsOut  = "next_weights"    //
	MomentsOut  = "next_moments"    //
	StatsOut    = "next_statistics" //
)

// Step is one step of training as a graph.
type Step struct {
	Model  *graph.Model
	Layout *Layout
	// Facts names the elements of the output "facts": loss, its terms, the norm of
	// the gradient, and the selected ratio of each block.
	Facts  []string
	Blocks int // focal blocks
}

// NewStep writes the step of a network: what it answers to clips, the loss, its
// gradient, and what the weights become.
func NewStep(net *afblock.Network, opt StepOptions) (*Step, error) {
	if !opt.Size.Known() {
		return nil, fmt.Errorf("the frames' size is not known")
	}
	if opt.Selection == Given {
		opt.Groups = slices.DeleteFunc(slices.Clone(opt.Groups), func(g Group) bool { return g == Navigation })
	}
	layout, err := NewLayout(net, opt.Groups, opt.Multiples)
	if err != nil {
		return nil, err
	}
	if len(layout.Weights) == 0 {
		return nil, fmt.Errorf("no weights to learn")
	}
	m := graph.NewModel("training step", graph.IRVersionOf(opset), opset)
	s := &stepWriter{
		forward: &forward{
			builder: &builder{m.Graph, map[string]*graph.Value{}}, net: net, clips: int64(opt.Clips), tensors: map[string]*graph.Value{},
			learning: opt.Norm == Batch, smooth: opt.smooth,
		},
		model: m, opt: opt, layout: layout,
	}
	if err := s.write(); err != nil {
		return nil, err
	}
	if err := passes.Merge(m); err != nil {
		return nil, err
	}
	return &Step{Model: m, Layout: layout, Facts: s.names, Blocks: len(s.masks)}, nil
}

// stepWriter writes one step.
type stepWriter struct {
	*forward
	model    *graph.Model
	opt      StepOptions
	layout   *Layout
	straight map[*graph.Value]*graph.Value // what the gradient of a hard choice passes to

	names []string
	facts []*graph.Value // [1] or more each
}

func (s *stepWriter) input(name string, dims ...int64) *graph.Value {
	return s.g.AddInput(name, graph.TensorType(graph.Float32, graph.ShapeOf(dims...)))
}

// fact notes a number or a row of them for the output "facts".
func (s *stepWriter) fact(v *graph.Value, names ...string) {
	s.facts = append(s.facts, s.reshape(v, "facts."+names[0], int64(len(names))))
	s.names = append(s.names, names...)
}

func (s *stepWriter) write() error {
	net, opt := s.net, s.opt
	frames := s.clips * int64(net.Frames)
	in := s.input(FramesIn, frames, int64(net.Stem.Conv.In()), int64(opt.Size[0]), int64(opt.Size[1]))
	weights := s.vector(WeightsIn, s.layout.Weights)
	if s.learning && len(s.layout.Statistics) > 0 {
		s.vector(StatsIn, s.layout.Statistics)
	}
	if opt.Dropout {
		s.dropout = s.input(DropoutIn, frames, net.Head.FC.Weight.Dims[1])
	}
	s.selection()
	answer, err := s.network(in, opt.Size)
	if err != nil {
		return err
	}
	choices := s.choices()
	loss, err := s.loss(answer)
	if err != nil {
		return err
	}
	gradient, err := s.differentiate(loss)
	if err != nil {
		return err
	}
	s.output(answer.clips, ScoresOut)
	if choices != nil {
		s.output(choices, ChoicesOut)
	}
	s.runningStatistics()
	norm := s.unary("Sqrt", "gradient.norm", s.squares(gradient))
	s.fact(norm, "gradient_norm")
	if opt.Update == (Update{}) {
		s.output(gradient, GradientOut)
	} else {
		s.update(opt.Update, weights, gradient, norm)
	}
	s.output(s.concat(0, FactsOut, s.facts...), FactsOut)
	if r := op.Infer(s.model); !r.OK() || len(r.Conflicts) > 0 {
		return fmt.Errorf("BUG: the training step does not hold together: %s", r)
	}
	return nil
}

// vector makes an input of a vector, and its pieces the network's tensors.
func (s *stepWriter) vector(name string, list []Tensor) *graph.Value {
	v := s.input(name, size(list))
	var sizes []int64
	for _, t := range list {
		sizes = append(sizes, t.elements())
	}
	for i, piece := range s.split(v, name+".pieces", 0, sizes...) {
		s.tensors[list[i].Key] = s.reshape(piece, list[i].Key, list[i].Dims...)
	}
	return v
}

// selection makes the inputs of choices and what chooses.
func (s *stepWriter) selection() {
	blocks, frames := int64(len(s.net.Navigation())), int64(s.net.Frames)
	if blocks == 0 {
		return
	}
	if s.opt.Selection == Given {
		masks := s.input(MasksIn, s.clips, blocks, frames)
		s.choose = func(f *forward, i int, n *afblock.Navigation, _ *graph.Value) *graph.Value {
			return f.reshape(f.slice(masks, n.Key+".given", 1, int64(i), int64(i+1)), n.Key+".choice", -1)
		}
		return
	}
	noise, tau := s.input(NoiseIn, s.clips, blocks, frames, 2), s.input(TauIn)
	s.straight = map[*graph.Value]*graph.Value{}
	s.choose = func(f *forward, i int, n *afblock.Navigation, pooled *graph.Value) *graph.Value {
		drawn := f.reshape(f.slice(noise, n.Key+".noise", 1, int64(i), int64(i+1)), n.Key+".noise_rows", -1, 2)
		logits := f.binary("Div", n.Key+".cooled", f.binary("Add", n.Key+".noisy", f.logits(n, pooled), drawn), tau)
		soft := f.node("Softmax", n.Key+".softmax", []*graph.Value{logits}, graph.Int("axis", 1))
		parts := f.split(soft, n.Key+".soft", 1, 1, 1)
		hard := f.node("Cast", n.Key+".hard", []*graph.Value{f.binary("Greater", n.Key+".chosen", parts[1], parts[0])}, graph.Int("to", int64(graph.Float32)))
		s.straight[hard] = parts[1]
		return f.reshape(hard, n.Key+".choice", -1)
	}
}

// logits are navigation's, [N·T, 2]: of leaving a frame out, of selecting it.
func (f *forward) logits(n *afblock.Navigation, pooled *graph.Value) *graph.Value {
	look := f.relu(f.conv(pooled, &n.Look), n.Key+".look")
	clips := f.reshape(look, n.Key+".clips", f.clips, int64(2*f.net.Frames), 1, 1)
	return f.reshape(f.conv(clips, &n.Choice), n.Key+".logits", f.clips*int64(f.net.Frames), 2)
}

// choices joins what the focal blocks computed to [N, blocks, T]; nil without any.
func (s *stepWriter) choices() *graph.Value {
	var rows []*graph.Value
	for _, m := range s.masks {
		rows = append(rows, s.reshape(m, "choices.rows", s.clips, 1, int64(s.net.Frames)))
	}
	if rows == nil {
		return nil
	}
	return s.concat(1, ChoicesOut, rows...)
}

// differentiate returns the gradient of the loss, by the layout.
func (s *stepWriter) differentiate(loss *graph.Value) (*graph.Value, error) {
	if r := op.Infer(s.model); !r.OK() {
		return nil, fmt.Errorf("BUG: shapes of the network: %s", r)
	}
	if err := s.takeMoments(); err != nil {
		return nil, err
	}
	var of []*graph.Value
	for _, t := range s.layout.Weights {
		of = append(of, s.tensors[t.Key])
	}
	grads, err := gradient(loss, of, s.straight)
	if err != nil {
		return nil, err
	}
	s.infer()
	var flat []*graph.Value
	for i, t := range s.layout.Weights {
		g := grads[i]
		if g == nil { // the loss does not depend on it
			g = s.g.NewInitializer("zeros", graph.Float32s(t.Dims, make([]float32, t.elements())...))
		}
		flat = append(flat, s.reshape(g, "gradient."+t.Key, -1))
	}
	return s.concat(0, GradientOut, flat...), nil
}

// squares is the sum of a vector's squares, [1].
func (s *stepWriter) squares(v *graph.Value) *graph.Value {
	row, column := s.reshape(v, "gradient.row", 1, -1), s.reshape(v, "gradient.column", -1, 1)
	return s.row(s.binary("MatMul", "gradient.squares", row, column), "gradient.square")
}

// runningStatistics makes the output of the running statistics, which follow the
// batch's: the variance without bias, as PyTorch has it.
func (s *stepWriter) runningStatistics() {
	if len(s.moments) == 0 {
		return
	}
	next := map[string]*graph.Value{}
	follow := func(key string, batch *graph.Value, by float64) {
		old := s.scaled(s.tensors[key], 1-statisticsMomentum, key+".kept")
		next[key] = s.binary("Add", key+".next", old, s.scaled(batch, by*statisticsMomentum, key+".batch"))
	}
	for _, m := range s.moments {
		follow(m.norm.Key+".running_mean", m.mean, 1)
		follow(m.norm.Key+".running_var", m.variance, float64(m.count)/float64(max(m.count-1, 1)))
	}
	var list []*graph.Value
	for _, t := range s.layout.Statistics {
		list = append(list, next[t.Key])
	}
	s.output(s.concat(0, StatsOut, list...), StatsOut)
}
