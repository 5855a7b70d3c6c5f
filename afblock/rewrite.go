package afblock

import (
	"fmt"

	"github.com/afc-project/afc/graph"
)

// RewriteOptions are the choices of Rewrite.
type RewriteOptions struct {
	Frames     int // T of the AFNet; 0: the source's
	Alpha      int // channel reduction of the ample branch; 0: 2
	Groups     int // groups of the focal convolutions, 1 or 2; 0: 2
	Navigation Pattern
	StrideAt   StrideAt
	Unselected Unselected
	// GateOpen sets the gate fully to the focal side. With Groups 1,
	// StrideSource and every frame selected the AFNet computes exactly what
	// the source computes.
	GateOpen bool
	// NoAmple leaves ample branches, navigation, gates and all that mixes them
	// out. What is made is no AFNet, but plain stages in which what would be focal
	// blocks compute the frames of Navigation alone.
	NoAmple bool
}

// identity reports whether the options leave the function of the network as it
// was.
func (o RewriteOptions) identity() bool {
	return o.GateOpen && o.Groups == 1 && o.StrideAt == StrideSource && o.Navigation.Ratio == 1
}

// Rewrite turns a plain network into an AFNet of the same depth and width,
// with weights transplanted from it. Every stage of two blocks or more, but
// for the last stage, becomes an AF module:
//
//   - focal branch: all blocks but the last; with groups, each convolution
//     keeps the diagonal blocks of its weight, out of each group of inputs its
//     own group of outputs.
//   - fusion: the last block.
//   - ample branch: the same blocks as the focal branch, each cut down to its
//     leading 1/α channels, inside and out, the first at half the resolution.
//     Where its residual path needs a 1×1 convolution that the source has not,
//     it passes the leading channels on.
//   - base transform: ample channels to the leading output channels, zero to
//     the rest.
//   - gate: the squeeze averages neighbouring channels, the excite is zero: both branches count
//     half until it is trained. (Both zero would never train.)
//   - navigation: a fixed pattern in the second convolution's bias; its weight
//     is zero. The first convolution averages even and odd channels.
//
// With StrideFusion the stride between two AF modules moves from the first
// block of the second, where ResNets have it, to the fusion block of the first;
// with it go the residual paths: a block that loses its stride keeps its 1×1
// convolution at stride 1, one that has a stride takes a 3×3 average pool
// before the 1×1 convolution, as the authors have it (stage 4 too), and strides
// sit in the 3×3 convolution. With StrideSource nothing moves, and the ample
// branch, whose first block always halves, works at the focal branch's
// resolution where that halves as well.
//
// The temporal shift stays where the source has it, in the ample branch with
// the same share of channels. The network must be fine-tuned before it predicts
// well (FineTune), unless the options leave its function unchanged. The source
// is not changed.
func Rewrite(net *Network, opt RewriteOptions) (*Network, error) {
	if opt.Alpha == 0 {
		opt.Alpha = 2
	}
	if opt.Groups == 0 {
		opt.Groups = 2
	}
	if opt.Frames == 0 {
		opt.Frames = net.Frames
	}
	r := &rewriter{net: net, opt: opt}
	if err := r.check(); err != nil {
		return nil, err
	}
	out := *net
	out.Frames, out.Unselected, out.FineTune = opt.Frames, opt.Unselected, !opt.identity()
	out.Keys = KeyStyle{Prefix: "module.base_model.", FC: "module.new_fc"}
	out.Head.FC.Key = "new_fc"
	out.Stem.Conv = *r.renamed(&net.Stem.Conv, "conv1")
	out.Stages = nil

	af, entry := make([]bool, len(net.Stages)), make([]int, len(net.Stages))
	for i, s := range net.Stages {
		af[i] = len(s.Blocks) >= 2 && i < len(net.Stages)-1
		entry[i] = s.Blocks[0].Stride()
	}
	first, last := StrideLayout(af, entry, opt.StrideAt)
	for i, s := range net.Stages {
		stage := &Stage{Name: fmt.Sprintf("layer%d", i+1)}
		switch {
		case af[i] && opt.NoAmple:
			stage.Blocks = r.scheduled(stage.Name, s.Blocks, first[i], last[i])
		case af[i]:
			stage.AF = r.module(stage.Name, s.Blocks, first[i], last[i])
		default:
			for n, b := range s.Blocks {
				stride := 1
				if n == 0 {
					stride = first[i]
				}
				stage.Blocks = append(stage.Blocks, r.block(b, fmt.Sprintf("%s.%d", stage.Name, n), stride))
			}
		}
		out.Stages = append(out.Stages, stage)
	}
	if r.err != nil {
		return nil, r.err
	}
	return &out, nil
}

// rewriter transplants one network. Its first error stops nothing but is the
// answer.
type rewriter struct {
	net    *Network
	opt    RewriteOptions
	blocks int // focal blocks made so far
	err    error
}

// refuse notes that the network cannot be rewritten because of a layer.
func (r *rewriter) refuse(key, format string, args ...any) {
	if r.err != nil {
		return
	}
	file := ""
	if m := r.net.Shell.Model(); m != nil {
		file = m.Path
	}
	r.err = &graph.Error{File: file, Node: key, Reason: fmt.Sprintf(format, args...)}
}

// check refuses what Rewrite's rules do not cover, before anything is made.
func (r *rewriter) check() error {
	modules := 0
	for i, s := range r.net.Stages {
		if s.AF != nil {
			r.refuse(s.Name, "is an AF module already")
		}
		if len(s.Blocks) >= 2 && i < len(r.net.Stages)-1 {
			modules++
		}
		for n, b := range s.Blocks {
			if n > 0 && b.Stride() != 1 {
				r.refuse(b.Key, "block %d of its stage has stride %d, expected 1", n, b.Stride())
			}
			for _, c := range b.Convs() {
				if c.Groups != 1 {
					r.refuse(c.Key, "has %d groups, expected a dense convolution", c.Groups)
				}
			}
		}
	}
	if r.err == nil && modules == 0 {
		r.refuse("", "no stage before the last has two blocks or more; there is nothing to rewrite")
	}
	if r.err == nil && r.opt.NoAmple && r.opt.Navigation.Ratio <= 0 {
		r.refuse("", "without ample branches and with no frame selected nothing is left of what would be focal blocks")
	}
	if r.err == nil && r.opt.Frames < 1 {
		r.refuse("", "frames a clip: expected 1 or more, found %d", r.opt.Frames)
	}
	return r.err
}

// module makes an AF module of a stage's blocks.
func (r *rewriter) module(name string, blocks []*Block, first, last int) *AFModule {
	n := len(blocks) - 1 // of each branch
	in, out := blocks[0].In(), blocks[n].Out()
	m := &AFModule{Alpha: r.opt.Alpha, Groups: r.opt.Groups, Act: ReLU}
	a := in
	for i, b := range blocks[:n] {
		act, stride := ReLU, 1
		if i == n-1 && n > 1 {
			act = Identity
		}
		if i == 0 {
			stride = first
		}
		focal := r.grouped(r.block(b, fmt.Sprintf("%s.refine_module.%d", name, i), stride))
		ample := r.ample(b, fmt.Sprintf("%s.base_module.%d", name, i), a, i == 0)
		focal.Act, ample.Act = act, act
		m.Navigation = append(m.Navigation, r.navigation(fmt.Sprintf("%s.list_gen.%d", name, i), a))
		m.Focal, m.Ample = append(m.Focal, focal), append(m.Ample, ample)
		a = out / r.opt.Alpha
	}
	transform := passOn(name+".base_transform.0", out, a)
	m.Transform = &transform
	m.Gate = r.gate(name+".att_gen", out)
	m.Fusion = r.block(blocks[n], name+".fusion.0", last)
	return m
}

// scheduled makes blocks with a schedule of all of a stage's but the last, as
// module makes focal blocks of them.
func (r *rewriter) scheduled(name string, blocks []*Block, first, last int) []*Block {
	var out []*Block
	for i, b := range blocks[:len(blocks)-1] {
		stride := 1
		if i == 0 {
			stride = first
		}
		focal := r.grouped(r.block(b, fmt.Sprintf("%s.%d", name, i), stride))
		focal.Schedule = &Schedule{r.opt.Navigation, r.blocks}
		r.blocks++
		out = append(out, focal)
	}
	n := len(blocks) - 1
	return append(out, r.block(blocks[n], fmt.Sprintf("%s.%d", name, n), last))
}

// navigation makes a navigation over in channels that spells the pattern.
func (r *rewriter) navigation(key string, in int) *Navigation {
	w := make([]float32, 2*in)
	for c := range in {
		w[c%2*in+c] = 2 / float32(in)
	}
	n := &Navigation{
		Key:    key,
		Look:   Conv{Key: key + ".conv_pool", Weight: graph.Float32s([]int64{2, int64(in), 1, 1}, w...), Stride: 1, Groups: 1},
		Choice: Conv{Key: key + ".conv_gs", Stride: 1},
	}
	r.opt.Navigation.spell(n, r.opt.Frames, r.blocks)
	r.blocks++
	return n
}

// gateClosed is a logit whose sigmoid is 0 in float32.
const gateClosed = -200

func (r *rewriter) gate(key string, out int) Gate {
	hidden := max(out/16, 1)
	w1 := make([]float32, hidden*out)
	for c := range out {
		w1[c*hidden/out*out+c] = float32(hidden) / float32(out)
	}
	g := Gate{
		Squeeze: Linear{Key: key + ".fc.0", Weight: graph.Float32s([]int64{int64(hidden), int64(out)}, w1...)},
		Excite:  Linear{Key: key + ".fc.2", Weight: graph.Float32s([]int64{int64(out), int64(hidden)}, make([]float32, out*hidden)...)},
	}
	if r.opt.GateOpen {
		g.Excite.Bias = fill(out, gateClosed)
	}
	return g
}
