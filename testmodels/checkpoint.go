package testmodels

import (
	"fmt"
	"math"

	"github.com/afc-project/afc/graph"
)

// AFSpec says which AFNet checkpoint to make. Numbers left zero are filled in.
type AFSpec struct {
	Depth   int   // 18, 34, 50, 101 or 152; 0: Blocks and Basic say
	Blocks  []int // residual blocks of each stage; 2 at least but in the last
	Basic   bool
	Width   int // channels behind the stem; 64 as published
	Frames  int // T; 8
	Alpha   int // channel reduction of the ample branch; 2
	Groups  int // groups of the focal convolutions; 2
	Classes int // 400
	Dense   bool
	Cells   bool   // navigation chooses cells inside the frames
	Prefix  string // before backbone keys; "module.base_model."
	FC      string // the linear layer's key; "module.new_fc"
	Seed    uint64
}

// Entry is one tensor of a state dict.
type Entry struct {
	Key    string
	Tensor *graph.Tensor
}

// checkpoint collects a state dict in the order in which the authors' modules
// register their tensors.
type checkpoint struct {
	AFSpec
	entries []Entry
}

// Checkpoint makes the state dict of a random AFNet under the authors' keys.
func (s AFSpec) Checkpoint() []Entry {
	base := Spec{Depth: s.Depth, Blocks: s.Blocks, Basic: s.Basic, Width: s.Width, Frames: s.Frames, Classes: s.Classes}
	if err := base.Validate(); err != nil {
		panic("BUG: testmodels: " + err.Error())
	}
	base = base.filled()
	s.Blocks, s.Basic, s.Width, s.Frames, s.Classes = base.Blocks, base.Basic, base.Width, base.Frames, base.Classes
	if s.Alpha == 0 {
		s.Alpha = 2
	}
	if s.Groups == 0 {
		s.Groups = 2
	}
	if s.Prefix == "" && s.FC == "" {
		s.Prefix, s.FC = "module.base_model.", "module.new_fc"
	}
	c := &checkpoint{AFSpec: s}
	st := c.conv("conv1", "bn1", stat{0, 1}, convShape{in: 3, out: s.Width, kernel: 7, groups: 1}, 1).relu()
	in := s.Width
	for stage, blocks := range s.Blocks {
		out, name := base.channels(stage), fmt.Sprintf("layer%d", stage+1)
		if stage < len(s.Blocks)-1 {
			st = c.module(name, blocks, in, out, st)
		} else {
			for i := range blocks {
				st = c.block(fmt.Sprintf("%s.%d", name, i), in, out, 1, false, st).relu()
				in = out
			}
		}
		in = out
	}
	w := filter(rng(s.Seed, "fc.weight"), s.Classes, in)
	for i := range w {
		w[i] *= 4 / float32(math.Sqrt(st.variance)) // pooling took most of the variance
	}
	c.put(s.FC+".weight", graph.Float32s(dims(s.Classes, in), w...))
	c.put(s.FC+".bias", vector(around(rng(s.Seed, "fc.bias"), s.Classes, 0, 0.1)))
	return c.entries
}

func (c *checkpoint) put(key string, t *graph.Tensor) { c.entries = append(c.entries, Entry{key, t}) }

// module adds an AF module of the given number of residual blocks.
func (c *checkpoint) module(name string, blocks, in, out int, st stat) stat {
	ample := out / c.Alpha
	width := func(i, later int) int {
		if i == 0 {
			return in
		}
		return later
	}
	for i := range blocks - 1 {
		c.navigation(fmt.Sprintf("%s.list_gen.%d", name, i), width(i, ample), st)
	}
	a, f := st, st
	for i := range blocks - 1 {
		a = c.block(fmt.Sprintf("%s.base_module.%d", name, i), width(i, ample), ample, 1, i == 0, a)
		if i < blocks-2 || blocks == 2 {
			a = a.relu()
		}
	}
	for i := range blocks - 1 {
		f = c.block(fmt.Sprintf("%s.refine_module.%d", name, i), width(i, out), out, c.Groups, false, f)
		if i < blocks-2 || blocks == 2 {
			f = f.relu()
		}
	}
	a = c.conv(name+".base_transform.0", name+".base_transform.1", a, convShape{in: ample, out: out, kernel: 1, groups: 1}, 1)
	hidden := max(out/16, 1)
	c.put(c.Prefix+name+".att_gen.fc.0.weight", graph.Float32s(dims(hidden, out), filter(rng(c.Seed, name+".gate1"), hidden, out)...))
	c.put(c.Prefix+name+".att_gen.fc.2.weight", graph.Float32s(dims(out, hidden), filter(rng(c.Seed, name+".gate2"), out, hidden)...))
	mixed := stat{(a.mean + f.mean) / 2, (a.variance + f.variance) / 4}.relu()
	return c.block(name+".fusion.0", out, out, 1, false, mixed).relu()
}

// navigation adds a navigation module on c channels. Its normalisation is
// scaled to what a global average leaves of a map's variance, so that frames
// are told apart.
func (c *checkpoint) navigation(name string, channels int, st stat) {
	const left = 0.02
	r := rng(c.Seed, name)
	c.put(c.Prefix+name+".conv_pool.weight", graph.Float32s(dims(2, channels, 1, 1), filter(r, 2, channels)...))
	c.bnorm(name+".bn", newBNorm(r, 2, st.variance*left, 1))
	t, per := 2*c.Frames, 2
	if c.Dense {
		per = t
	}
	c.put(c.Prefix+name+".conv_gs.weight", graph.Float32s(dims(t, per, 1, 1), around(r, t*per, 0, 1)...))
	c.put(c.Prefix+name+".conv_gs.bias", vector(around(r, t, 0, 0.3)))
	if c.Cells {
		c.conv(name+".conv_spatial", name+".bn_spatial", st, convShape{in: channels, out: channels, kernel: 3, groups: 1}, 1)
		c.put(c.Prefix+name+".conv_sgs.weight", graph.Float32s(dims(2, channels, 1, 1), filter(r, 2, channels)...))
		c.put(c.Prefix+name+".conv_sgs.bias", vector(around(r, 2, 0, 0.3)))
	}
}

// block adds a residual block and returns what stands before its last ReLU.
// A pooled block's residual path has an average pool, which shifts the keys of
// its convolution by one.
func (c *checkpoint) block(name string, in, out, groups int, pooled bool, st stat) stat {
	inner := out / 4
	convs := []convShape{
		{in: in, out: inner, kernel: 1, groups: groups},
		{in: inner, out: inner, kernel: 3, groups: groups},
		{in: inner, out: out, kernel: 1, groups: groups},
	}
	if c.Basic {
		convs = []convShape{{in: in, out: out, kernel: 3, groups: groups}, {in: out, out: out, kernel: 3, groups: groups}}
	}
	main := st
	for i, shape := range convs {
		gain := 1.0
		if i == len(convs)-1 {
			gain = branchGain
		}
		main = c.conv(fmt.Sprintf("%s.conv%d", name, i+1), fmt.Sprintf("%s.bn%d", name, i+1), main, shape, gain)
		if i < len(convs)-1 {
			main = main.relu()
		}
	}
	if in != out {
		at := 0
		if pooled {
			at = 1
		}
		shape := convShape{in: in, out: out, kernel: 1, groups: 1}
		st = c.conv(fmt.Sprintf("%s.downsample.%d", name, at), fmt.Sprintf("%s.downsample.%d", name, at+1), st, shape, 1)
	}
	return main.plus(st)
}

// conv adds a convolution's weight and its batch normalisation.
func (c *checkpoint) conv(key, bnKey string, st stat, s convShape, gain float64) stat {
	taps := s.in / s.groups * s.kernel * s.kernel
	c.put(c.Prefix+key+".weight", graph.Float32s(dims(s.out, s.in/s.groups, s.kernel, s.kernel), filter(rng(c.Seed, key), s.out, taps)...))
	c.bnorm(bnKey, newBNorm(rng(c.Seed, bnKey), s.out, st.throughFilter(taps), gain))
	return stat{0, gain * gain}
}

func (c *checkpoint) bnorm(key string, bn bnorm) {
	key = c.Prefix + key
	c.put(key+".weight", vector(bn.gamma))
	c.put(key+".bias", vector(bn.beta))
	c.put(key+".running_mean", vector(bn.mean))
	c.put(key+".running_var", vector(bn.variance))
	c.put(key+".num_batches_tracked", graph.Int64s(nil, 1000))
}
