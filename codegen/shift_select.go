package codegen

import (
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// Under a temporal shift a frame's first convolution reads a quarter of its
// channels from the frames beside it. Inside a Scan over frames these few are
// gathered from the whole batch for just the frames that are computed, so that
// shift and selection are one step; the rest of the convolution reads the frame
// itself, with a kernel that is zero for the channels that came from elsewhere:
//
//	conv1(shift(x)[t]) = moved(x[t+1][:fold], x[t−1][fold:2·fold]) + rest(x[t])

// neighbours says, for each frame of the batch, where its moved channels come
// from, when a frame's channels are viewed as pieces of fold channels.
type neighbours struct {
	rows    *graph.Value // int64 [N·T, 2]: the piece of the next frame and of the one before, in the shift's order
	present *graph.Value // float32 [N·T, 2]: 0 where that frame lies outside the clip
}

// gathersShift reports whether a block's shift is gathered frame by frame.
func (l *lowerer) gathersShift(blk *afblock.Block) bool {
	s := blk.Shift
	return l.opt.takes(ShiftSelect) && s != nil && !s.Residual && s.Fold > 0 && l.net.Frames > 1 &&
		blk.In()%s.Fold == 0 && 2*s.Fold <= blk.In()/blk.Convs()[0].Groups
}

// pastFirst reports whether the network's shifts take their first channels from
// the frame before.
func (l *lowerer) pastFirst() bool {
	for b := range l.net.Blocks() {
		if b.Shift != nil {
			return b.Shift.PastFirst
		}
	}
	return false
}

// neighbours returns the neighbours for frames of the given number of pieces.
// like is any value with a row a frame.
func (l *lowerer) neighbours(pieces int, like *graph.Value) neighbours {
	n, ok := l.beside[pieces]
	switch {
	case ok:
		return n
	case l.singleClip:
		n = l.clipNeighbours(int64(pieces))
	default:
		n = l.batchNeighbours(int64(pieces), like)
	}
	l.beside[pieces] = n
	return n
}

// clipNeighbours are those of one clip: constants.
func (l *lowerer) clipNeighbours(pieces int64) neighbours {
	frames := int64(l.net.Frames)
	var rows []int64
	var present []float32
	for t := range frames {
		beside := [2]int64{t + 1, t - 1}
		if l.pastFirst() {
			beside = [2]int64{t - 1, t + 1}
		}
		for piece, from := range beside {
			inside := float32(1)
			if from < 0 || from >= frames {
				from, inside = t, 0
			}
			rows, present = append(rows, from*pieces+int64(piece)), append(present, inside)
		}
	}
	return neighbours{
		rows:    l.weight(param{l.name("afc.neighbours.rows"), graph.Int64s([]int64{frames, 2}, rows...)}),
		present: l.weight(param{l.name("afc.neighbours.present"), graph.Float32s([]int64{frames, 2}, present...)}),
	}
}

// batchNeighbours are those of a batch whose size is known at run time.
func (l *lowerer) batchNeighbours(pieces int64, like *graph.Value) neighbours {
	const hint = "afc.neighbours"
	one := l.scalar(1)
	count := l.node("Gather", hint+".count", in(l.node("Shape", hint+".shape", in(like)), l.scalar(0)))
	r := l.node("Range", hint+".frame", in(l.scalar(0), count, one))
	t := l.node("Mod", hint+".time", in(r, l.scalar(int64(l.net.Frames))))
	hasNext := l.node("Less", hint+".has_next", in(t, l.scalar(int64(l.net.Frames-1))))
	hasPrevious := l.node("Greater", hint+".has_previous", in(t, l.scalar(0)))
	// A frame without a neighbour in its clip reads itself, times zero: were it
	// to read another clip, that clip's NaN would come through.
	next := l.node("Where", hint+".next", in(hasNext, l.node("Add", hint+".after", in(r, one)), r))
	previous := l.node("Where", hint+".previous", in(hasPrevious, l.node("Sub", hint+".before", in(r, one)), r))

	row := func(frame *graph.Value, piece int64, hint string) *graph.Value {
		first := l.node("Mul", hint+".rows", in(frame, l.scalar(pieces)))
		return l.reshape(l.node("Add", hint+".row", in(first, l.scalar(piece))), hint+".column", -1, 1)
	}
	flag := func(inside *graph.Value, hint string) *graph.Value {
		return l.reshape(l.node("Cast", hint+".present", in(inside), graph.Int("to", int64(graph.Float32))), hint+".flag", -1, 1)
	}
	nextPiece, previousPiece := int64(0), int64(1)
	if l.pastFirst() {
		nextPiece, previousPiece = 1, 0
	}
	both := func(hint string, next, previous *graph.Value) *graph.Value {
		columns := in(next, previous)
		if l.pastFirst() {
			slices.Reverse(columns)
		}
		return l.node("Concat", hint, columns, graph.Int("axis", 1))
	}
	return neighbours{
		rows:    both(hint+".rows", row(next, nextPiece, hint+".next"), row(previous, previousPiece, hint+".previous")),
		present: both(hint+".present", flag(hasNext, hint+".next"), flag(hasPrevious, hint+".previous")),
	}
}

// shiftScan is what a Scan body needs to shift a block's input.
type shiftScan struct {
	pieces *graph.Value // the whole batch, [N·T·C/fold, fold, h, w]; nil: moved is scanned
	moved  feature      // what each frame gets from its neighbours, all frames
	ins    []scanned
}

// shiftScan prepares the shift of x, a batch of whole clips, before blk.
func (l *lowerer) shiftScan(x feature, blk *afblock.Block) shiftScan {
	if !l.opt.Target.captures() {
		moved := l.movedMap(x, blk)
		return shiftScan{moved: moved, ins: []scanned{scannedMap(moved)}}
	}
	n := l.neighbours(x.c/blk.Shift.Fold, x.v)
	return shiftScan{
		pieces: l.reshape(x.v, blk.Key+".pieces", -1, int64(blk.Shift.Fold), int64(x.h), int64(x.w)),
		ins: []scanned{
			{n.rows, graph.TensorType(graph.Int64, graph.ShapeOf(2))},
			{n.present, graph.TensorType(graph.Float32, graph.ShapeOf(2))},
		},
	}
}

// movedMap emits the channels that all frames get from their neighbours.
func (l *lowerer) movedMap(x feature, blk *afblock.Block) feature {
	hint, moving := blk.Key+".shift", span{0, 2 * blk.Shift.Fold}
	return l.shiftMoving(l.cut(streamOf(x), moving, hint+".moving"), blk.Shift, l.net.Frames, hint)
}

// moved emits the channels that a frame gets from its neighbours; parts are the
// frame's share of shiftScan's ins.
func (b *builder) moved(x feature, s shiftScan, parts []*graph.Value, fold int, hint string) feature {
	if s.pieces == nil {
		return b.unsqueezed(parts[0], s.moved)
	}
	v := b.node("Gather", hint+".gather", in(s.pieces, parts[0]), graph.Int("axis", 0))
	v = b.node("Mul", hint+".inside", in(v, b.reshape(parts[1], hint+".present", 2, 1, 1, 1)))
	return feature{v: b.reshape(v, hint, 1, int64(2*fold), int64(x.h), int64(x.w)), c: 2 * fold, h: x.h, w: x.w}
}

// shiftedConvs emits a block's main path for a frame and its moved channels.
func (b *builder) shiftedConvs(x, moved feature, blk *afblock.Block) feature {
	first := blk.Main[0].(*afblock.Conv)
	return b.layers(b.shiftedConv(x, moved, convOf(first)), blk.Main[1:], first.Key)
}

// shiftedConv emits a block's first convolution. The moved channels all belong
// to its first group. Kernels are put together by nodes over constants, which
// ONNX Runtime computes when it loads the model, so that the file keeps the
// weights themselves.
func (b *builder) shiftedConv(x, moved feature, c conv) feature {
	cut, each := moved.c, int(c.weight.tensor.Dims[1])
	first := c.outputs(span{0, c.out() / c.groups})
	var rest *graph.Value
	if cut < each {
		kept := first.inputs(piece{feature{c: each - cut}, span{cut, each}, 0})
		rest = b.node("Pad", c.key+".rest_kernel", in(b.weight(kept.weight), b.vec(0, int64(cut), 0, 0, 0, 0, 0, 0)))
	} else {
		dims := first.weight.tensor.Dims
		zeros := make([]float32, dims[0]*dims[1]*dims[2]*dims[3])
		rest = b.weight(param{"afc." + c.key + ".zeros", graph.Float32s(dims, zeros...)})
	}
	kernel := b.weight(first.inputs(piece{moved, span{0, cut}, 0}).weight)
	if c.groups > 1 {
		others := c.outputs(span{first.out(), c.out()})
		rest = b.node("Concat", c.key+".kernel", in(rest, b.weight(others.weight)), graph.Int("axis", 0))
		kernel = b.node("Pad", c.key+".moved_kernel", in(kernel, b.vec(0, 0, 0, 0, int64(others.out()), 0, 0, 0)))
	}
	part := c.summand()
	part.key, part.groups = c.key+".moved", 1
	return b.add(b.convWith(x, c, rest), b.convWith(moved, part, kernel), c.key+".sum")
}
