package train

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/graph"
)

// batch is what one step is fed with.
type batch struct {
	inputs map[string]*graph.Tensor // all but weights, moments, statistics and schedules
}

// batches makes what each step is fed with. A batch depends on seed, epoch and
// step alone, so that runs can be repeated and resumed.
type batches struct {
	opt     *Options
	net     *afblock.Network
	videos  clips.Videos
	frames  *frames
	teacher *teacher // nil: none
	blocks  int
}

// steps is how many whole batches an epoch has.
func (b *batches) steps() int { return b.videos.Len() / b.opt.Batch }

// random is the source of numbers for some use of a step.
func (b *batches) random(use, epoch, step uint64) *rand.Rand {
	return rand.New(rand.NewPCG(b.opt.Seed, use<<56|epoch<<28|step))
}

// The uses.
const (
	ofOrder uint64 = iota
	ofClips
	ofNoise
	ofMasks
	ofDropout
)

// at makes the batch of a step.
func (b *batches) at(ctx context.Context, epoch, step int) (*batch, error) {
	order := b.random(ofOrder, uint64(epoch), 0).Perm(b.videos.Len())[step*b.opt.Batch : (step+1)*b.opt.Batch]
	shown, err := b.clips(ctx, epoch, step, order)
	if err != nil {
		return nil, err
	}
	in := map[string]*graph.Tensor{FramesIn: b.join(shown)}
	if b.opt.Labels > 0 {
		in[ClassesIn] = b.classes(order)
	}
	if b.opt.Distill > 0 {
		if in[TeacherIn], err = b.taught(ctx, shown); err != nil {
			return nil, err
		}
	}
	n, t := int64(b.opt.Batch), int64(b.net.Frames)
	if b.opt.Masks == Choose {
		in[NoiseIn] = gumbel(b.random(ofNoise, uint64(epoch), uint64(step)), n, int64(b.blocks), t, 2)
	} else {
		in[MasksIn] = b.masks(b.random(ofMasks, uint64(epoch), uint64(step)))
	}
	if b.opt.Dropout > 0 {
		in[DropoutIn] = dropout(b.random(ofDropout, uint64(epoch), uint64(step)), b.opt.Dropout, n*t, b.net.Head.FC.Weight.Dims[1])
	}
	return &batch{in}, nil
}

// shown is a clip as it is shown: which, in which variant, and its frames.
type shown struct {
	video   int
	variant int
	again   bool // the same video and variant have the same frames
	frames  []float32
}

// clips reads the clips of a batch, as many at once as there are cores.
func (b *batches) clips(ctx context.Context, epoch, step int, order []int) ([]shown, error) {
	list := make([]shown, len(order))
	errs := make([]error, len(order))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wait sync.WaitGroup
	for i, video := range order {
		rng := b.random(ofClips, uint64(epoch), uint64(step*b.opt.Batch+i))
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			list[i], errs[i] = b.clip(ctx, video, rng)
		})
	}
	wait.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("clip %d of %s: %w", order[i], b.videos, err)
		}
	}
	return list, nil
}

// clip reads one clip, at random moments where the videos can.
func (b *batches) clip(ctx context.Context, video int, rng *rand.Rand) (shown, error) {
	s := shown{video: video, again: true}
	values, err := b.frames.random(ctx, b.videos, video, rng)
	if values == nil && err == nil {
		values, err = b.frames.of(ctx, b.videos, video)
	} else {
		s.again = false
	}
	if err != nil {
		return s, err
	}
	switch {
	case b.opt.Variants:
		s.variant = rng.IntN(variants)
	case b.opt.Flip:
		s.variant = rng.IntN(2)
	}
	s.frames = vary(values, s.variant, b.frames.form)
	return s, nil
}

// variants are what one clip becomes by mirroring it either way and playing it
// backwards: the bits of a variant's number.
const variants = 8

// vary returns a variant of a clip [T, C, H, W].
func vary(x []float32, variant int, f clips.Form) []float32 {
	if variant == 0 {
		return x
	}
	out := make([]float32, 0, len(x))
	pick := func(bit, i, n int) int {
		if variant&bit != 0 {
			return n - 1 - i
		}
		return i
	}
	for t := range f.Frames {
		for c := range f.Channels {
			plane := x[(pick(4, t, f.Frames)*f.Channels+c)*f.Height*f.Width:]
			for h := range f.Height {
				row := plane[pick(2, h, f.Height)*f.Width:]
				for w := range f.Width {
					out = append(out, row[pick(1, w, f.Width)])
				}
			}
		}
	}
	return out
}

func (b *batches) join(list []shown) *graph.Tensor {
	f := b.frames.form
	values := make([]float32, 0, len(list)*len(list[0].frames))
	for _, s := range list {
		values = append(values, s.frames...)
	}
	return graph.Float32s([]int64{int64(len(list) * f.Frames), int64(f.Channels), int64(f.Height), int64(f.Width)}, values...)
}

// classes has 1 at each clip's label.
func (b *batches) classes(order []int) *graph.Tensor {
	classes := b.net.Head.FC.Out()
	v := make([]float32, len(order)*classes)
	for i, video := range order {
		v[i*classes+b.videos.Label(video)] = 1
	}
	return graph.Float32s([]int64{int64(len(order)), int64(classes)}, v...)
}

// taught is what the teacher says of the clips' frames.
func (b *batches) taught(ctx context.Context, list []shown) (*graph.Tensor, error) {
	var v []float32
	for _, s := range list {
		scores, err := b.teacher.scores(ctx, s)
		if err != nil {
			return nil, err
		}
		v = append(v, scores...)
	}
	return graph.Float32s([]int64{int64(len(list) * b.net.Frames), int64(b.net.Head.FC.Out())}, v...), nil
}

// masks are the schedule's, or random ones of the budgets.
func (b *batches) masks(rng *rand.Rand) *graph.Tensor {
	var v []float32
	frames := b.net.Frames
	for range b.opt.Batch {
		for i, n := range b.net.Navigation() {
			if b.opt.Masks == Schedule {
				v = append(v, bits(n.Fixed.Select(frames, i))...)
				continue
			}
			v = append(v, drawn(rng, frames, b.opt.Budgets[rng.IntN(len(b.opt.Budgets))])...)
		}
	}
	return graph.Float32s([]int64{int64(b.opt.Batch), int64(b.blocks), int64(frames)}, v...)
}

func bits(selected []bool) []float32 {
	v := make([]float32, len(selected))
	for i, s := range selected {
		if s {
			v[i] = 1
		}
	}
	return v
}

// drawn selects each frame with a probability.
func drawn(rng *rand.Rand, frames int, share float64) []float32 {
	v := make([]float32, frames)
	for t := range v {
		if rng.Float64() < share {
			v[t] = 1
		}
	}
	return v
}

// gumbel draws −log(−log U).
func gumbel(rng *rand.Rand, dims ...int64) *graph.Tensor {
	v := make([]float32, product(dims))
	for i := range v {
		u := min(max(rng.Float64(), 1e-10), 1-1e-7)
		v[i] = float32(-math.Log(-math.Log(u)))
	}
	return graph.Float32s(dims, v...)
}

// dropout draws what keeps values in the mean: 0, or 1/(1−p).
func dropout(rng *rand.Rand, p float64, dims ...int64) *graph.Tensor {
	v := make([]float32, product(dims))
	for i := range v {
		if rng.Float64() >= p {
			v[i] = float32(1 / (1 - p))
		}
	}
	return graph.Float32s(dims, v...)
}

// ahead makes the batches of an epoch from a step on while others are used.
func (b *batches) ahead(ctx context.Context, epoch, from int) (<-chan *batch, func() error) {
	ctx, cancel := context.WithCancel(ctx)
	made := make(chan *batch, 2)
	var failed error
	go func() {
		defer close(made)
		for step := from; step < b.steps(); step++ {
			x, err := b.at(ctx, epoch, step)
			if err != nil {
				failed = err
				return
			}
			select {
			case made <- x:
			case <-ctx.Done():
				failed = ctx.Err()
				return
			}
		}
	}()
	return made, func() error {
		cancel()
		for range made { // until the maker has ended
		}
		return failed
	}
}
