package testmodels

import (
	"math"

	"github.com/afc-project/afc/graph"
)

// NearMiss is a model that looks like a TSN or TSM ResNet and is none.
type NearMiss struct {
	Name string
	Why  string // what is wrong with it, for the reader
	Spec Spec
}

// miss is what a near-miss does differently; the zero value is nothing.
type miss struct {
	grouped     bool                          // ResNeXt: grouped 3×3 convolutions
	wrongBias   string                        // key of a convolution whose bias has a channel too few
	shift       func(s *shifter) *graph.Value // another shift
	pool        bool                          // temporal pooling behind the first stage
	nonLocal    bool                          // self-attention behind the second stage
	concatenate bool                          // dense connections: Concat in place of Add
}

// NearMisses returns small models that recognition must refuse, each for its
// own reason.
func NearMisses() []NearMiss {
	tsn := Spec{Depth: 50, Width: 8, Frames: 4, Size: 32, Classes: 5}
	tsm := tsn
	tsm.Shift = ShiftScatter
	with := func(s Spec, m miss) Spec { s.miss = m; return s }
	return []NearMiss{
		{"circular-shift", "channels wrap around from the last frame to the first (roll)", with(tsm, miss{shift: (*shifter).roll})},
		{"constant-shift", "an old exporter froze the shifted tensor to zeros (temporal-shift-module#181)", with(tsm, miss{shift: (*shifter).frozen})},
		{"one-way-shift", "only the first fold is shifted (online TSM's direction)", with(tsm, miss{shift: (*shifter).oneWay})},
		{"swapped-shift", "from the third stage on the first fold comes from the frame before, the second from the next", with(tsm, miss{shift: (*shifter).swapped})},
		{"two-frame-shift", "frames come from t±2", with(tsm, miss{shift: (*shifter).twoFrames})},
		{"temporal-pool", "the clip loses half its frames behind the first stage", with(tsm, miss{pool: true})},
		{"non-local", "self-attention over all positions between two stages", with(tsn, miss{nonLocal: true})},
		{"resnext", "3×3 convolutions in four groups", with(tsn, miss{grouped: true})},
		{"dense", "blocks concatenate instead of adding", with(tsn, miss{concatenate: true})},
		{"wrong-bias", "a folded bias of the wrong length (pytorch#166797)", with(tsn, miss{wrongBias: "layer2.0.conv3"})},
	}
}

func (m miss) groups(inner int) int {
	if m.grouped && inner%4 == 0 {
		return 4
	}
	return 1
}

func (m miss) bias(key string, bias []float32) []float32 {
	if key == m.wrongBias {
		return bias[:len(bias)-1]
	}
	return bias
}

// join ends a block: main + skip, or what a near-miss has there.
func (b *builder) join(k block, main, skip *graph.Value) *graph.Value {
	if !b.miss.concatenate {
		return b.op("Add", k.path("Add"), main, skip)
	}
	half := int64(k.out / 2)
	return b.concat(k.path("Concat"), 1,
		b.slice(k.path("Slice"), main, 1, 0, half), b.slice(k.path("Slice_1"), skip, 1, half, math.MaxInt64))
}

// betweenStages emits what a near-miss has behind a stage of c channels.
func (b *builder) betweenStages(x *graph.Value, stage, c, side int) *graph.Value {
	n, t, ch, h := int64(b.Batch), int64(b.Frames), int64(c), int64(side)
	switch {
	case b.miss.pool && stage == 0:
		x = b.reshape("/net/pool/Reshape", x, n, t, ch, h, h)
		x = b.node("Transpose", "/net/pool/Transpose", []*graph.Value{x}, graph.Ints("perm", 0, 2, 1, 3, 4))
		x = b.node("MaxPool", "/net/pool/MaxPool", []*graph.Value{x}, graph.Ints("kernel_shape", 3, 1, 1),
			graph.Ints("pads", 1, 0, 0, 1, 0, 0), graph.Ints("strides", 2, 1, 1))
		x = b.node("Transpose", "/net/pool/Transpose_1", []*graph.Value{x}, graph.Ints("perm", 0, 2, 1, 3, 4))
		b.Frames = after(b.Frames, 2)
		x = b.reshape("/net/pool/Reshape_1", x, -1, ch, h, h)
	case b.miss.nonLocal && stage == 1:
		flat := b.reshape("/net/nl/Reshape", x, -1, ch, h*h)
		turned := b.node("Transpose", "/net/nl/Transpose", []*graph.Value{flat}, graph.Ints("perm", 0, 2, 1))
		affinity := b.node("Softmax", "/net/nl/Softmax", []*graph.Value{b.op("MatMul", "/net/nl/MatMul", turned, flat)}, graph.Int("axis", 2))
		y := b.op("MatMul", "/net/nl/MatMul_1", flat, affinity)
		x = b.op("Add", "/net/nl/Add", b.reshape("/net/nl/Reshape_1", y, -1, ch, h, h), x)
	}
	return x
}

// roll is the circular shift.
func (s *shifter) roll() *graph.Value {
	x := s.view4()
	left, mid := s.cut(x, 2, 0, s.fold), s.cut(x, 2, s.fold, 2*s.fold)
	left = s.concat(s.next("Concat"), 1, s.cut(left, 1, 1, math.MaxInt64), s.cut(left, 1, 0, 1))
	mid = s.concat(s.next("Concat"), 1, s.cut(mid, 1, -1, math.MaxInt64), s.cut(mid, 1, 0, -1))
	return s.back(s.concat(s.next("Concat"), 2, left, mid, s.cut(x, 2, 2*s.fold, math.MaxInt64)))
}

// frozen is the assignment lost: what is left is the zero tensor.
func (s *shifter) frozen() *graph.Value {
	return s.back(s.zeros(s.n, s.t, s.c, s.h, s.h))
}

// oneWay shifts the first fold alone.
func (s *shifter) oneWay() *graph.Value {
	x := s.view4()
	left := s.concat(s.next("Concat"), 1, s.cut(s.cut(x, 2, 0, s.fold), 1, 1, math.MaxInt64), s.zeros(s.n, 1, s.fold, s.h*s.h))
	return s.back(s.concat(s.next("Concat"), 2, left, s.cut(x, 2, s.fold, math.MaxInt64)))
}

// swapped shifts the first fold backward and the second forward, on the smaller
// maps; the others as TSM does.
func (s *shifter) swapped() *graph.Value {
	if s.h > 4 {
		return s.concatZeros()
	}
	x := s.view4()
	blank := s.zeros(s.n, 1, s.fold, s.h*s.h)
	left := s.concat(s.next("Concat"), 1, blank, s.cut(s.cut(x, 2, 0, s.fold), 1, 0, -1))
	mid := s.concat(s.next("Concat"), 1, s.cut(s.cut(x, 2, s.fold, 2*s.fold), 1, 1, math.MaxInt64), blank)
	return s.back(s.concat(s.next("Concat"), 2, left, mid, s.cut(x, 2, 2*s.fold, math.MaxInt64)))
}

// twoFrames shifts by two frames.
func (s *shifter) twoFrames() *graph.Value {
	x := s.view4()
	blank := s.zeros(s.n, 2, s.fold, s.h*s.h)
	left := s.concat(s.next("Concat"), 1, s.cut(s.cut(x, 2, 0, s.fold), 1, 2, math.MaxInt64), blank)
	mid := s.concat(s.next("Concat"), 1, blank, s.cut(s.cut(x, 2, s.fold, 2*s.fold), 1, 0, -2))
	return s.back(s.concat(s.next("Concat"), 2, left, mid, s.cut(x, 2, 2*s.fold, math.MaxInt64)))
}
