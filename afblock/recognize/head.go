package recognize

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/dataflow"
)

// headTolerance is how far a head may be from the mean it is held to, as a
// part of the largest value: float32 sums over a map and a clip, float16 ones
// where the model computes in float16.
const (
	headTolerance     = 1e-4
	headToleranceHalf = 1e-2
)

// A head is run on tensors of at most probedFree elements, and one more for
// every probedBytes of weights: a small file that declares a large input must
// not cost more than its size allows. ResNet-50 can so have maps of 250 frames
// (25 clips of 10 crops) at 7×7 and 2048 channels.
const probedFree, probedBytes = 1 << 20, 4

// probeable reports whether the head may be run on a tensor of these
// dimensions.
func (r *recognizer) probeable(dims []int64) bool {
	n := dataflow.Elements(dims)
	return n > 0 && n <= probedFree+r.WeightBytes()/probedBytes
}

// head reads the linear layer behind the trunk's output x and tells the
// consensus by computing: what stands before and after the linear layer is run
// on random numbers and compared with what a mean over frames gives.
func (r *recognizer) head(x *graph.Value) (*headFound, error) {
	r.where = "head"
	fc := r.linearNode(x)
	if fc == nil {
		rs, _ := r.readers(x)
		var n *graph.Node
		if len(rs) > 0 {
			n = rs[0].node
		}
		found, hint := listReaders(rs), ""
		if !r.multiplies(x) {
			found, hint = "none: the model ends in features", "export the network with its classifier"
		}
		return nil, r.refuse(n, "a linear layer behind the trunk", found, hint)
	}
	layer, scores, err := r.linear(fc)
	if err != nil {
		return nil, err
	}
	layer.Key = "fc"
	r.net.Head.FC = layer
	before, err := r.pooling(x, fc)
	if err != nil {
		return nil, err
	}
	found := &headFound{fc: fc, scores: scores}
	if fc.Is("Conv") {
		found.kernel = r.Constant(fc.Input(1)).Dims[2:]
	}
	if err := r.consensus(found); err != nil {
		return nil, err
	}
	r.net.Head.Softmax = found.mean.softmax
	switch found.averaged = found.mean.group; {
	case before > 1:
		r.net.Head.Consensus, found.averaged = afblock.MeanBeforeFC, before
	case found.averaged > 1:
		r.net.Head.Consensus = afblock.MeanAfterFC
	default:
		r.net.Head.Consensus = afblock.PerFrame
	}
	return found, nil
}

// headFound is where a head's parts stand and what it averages.
type headFound struct {
	fc       *graph.Node
	kernel   []int64      // of a linear layer spelled as a convolution
	scores   *graph.Value // what the linear layer makes, bias and all
	answer   *graph.Value // the output made from the scores
	mean     mean         // behind the scores
	tail     bool         // more than that lies between scores and answer
	averaged int          // consecutive frames averaged, before or behind the linear layer; 1: none
}

// linearNode returns the first node behind x that multiplies by a constant
// matrix.
func (r *recognizer) linearNode(x *graph.Value) *graph.Node {
	behind := map[*graph.Value]bool{x: true}
	for n := range r.Model.Graph.Nodes() {
		if !r.Live(n) {
			continue
		}
		reached := false
		for _, in := range n.Inputs() {
			reached = reached || behind[in]
		}
		if !reached {
			continue
		}
		if n.Is("Gemm", "MatMul", "Conv") && behind[n.Input(0)] && r.Constant(n.Input(1)) != nil && !r.moved(n.Output(0)) {
			return n
		}
		for _, o := range n.Outputs() {
			if o != nil {
				behind[o] = true
			}
		}
	}
	return nil
}

// multiplies reports whether anything behind x multiplies matrices.
func (r *recognizer) multiplies(x *graph.Value) bool {
	for _, o := range r.Model.Graph.Outputs() {
		for _, n := range between(x, o) {
			if n.Is("Gemm", "MatMul", "Conv", "Einsum") {
				return true
			}
		}
	}
	return false
}

// linear reads weight [out, in] and bias of the linear layer fc, and returns
// the value that holds what it makes.
func (r *recognizer) linear(fc *graph.Node) (l afblock.Linear, scores *graph.Value, err error) {
	w := r.Constant(fc.Input(1))
	scores = fc.Output(0)
	bias := fc.Input(2)
	transposed := fc.Is("MatMul") || fc.Is("Gemm") && fc.AttrInt("transB", 0) == 0
	if fc.Is("Conv") {
		if len(w.Dims) < 2 || dataflow.Elements(w.Dims[2:]) != 1 || fc.AttrInt("group", 1) != 1 {
			return l, nil, r.refuse(fc, "a linear layer, which a 1×1 convolution may spell", fmt.Sprintf("a convolution with weights %v", w.Dims), "")
		}
		w = w.Reshaped(w.Dims[0], w.Dims[1])
	}
	if len(w.Dims) != 2 || !w.DType.IsFloat() {
		return l, nil, r.refuse(fc, "a weight matrix", fmt.Sprintf("%s %v", w.DType, w.Dims), "")
	}
	if fc.Is("Gemm") && (fc.AttrFloat("alpha", 1) != 1 || bias != nil && fc.AttrFloat("beta", 1) != 1 || fc.AttrInt("transA", 0) != 0) {
		return l, nil, r.refuse(fc, "Gemm with alpha = beta = 1 and rows of features", "another scaling or a transposed input", "")
	}
	if transposed {
		t, err := transpose(w)
		if err != nil {
			return l, nil, r.refuse(fc, "a readable weight matrix", err.Error(), "")
		}
		w = t
	}
	if fc.Is("MatMul") { // its bias is a sum behind it
		if rs, _ := r.readers(scores); len(rs) == 1 && rs[0].node.Is("Add") && rs[0].value == scores {
			other := rs[0].node.Input(1 - rs[0].index)
			if t := r.Constant(other); t != nil && dataflow.Elements(t.Dims) == w.Dims[0] {
				bias, scores = other, rs[0].node.Output(0)
			}
		}
	}
	l.Weight = w
	if bias != nil {
		b := r.Constant(bias)
		if b == nil || dataflow.Elements(b.Dims) != w.Dims[0] {
			return l, nil, r.refuse(fc, fmt.Sprintf("a constant bias of %d elements", w.Dims[0]), bias.Name(), "")
		}
		l.Bias = b.Reshaped(w.Dims[0])
	}
	r.progress++
	return l, scores, nil
}

// transpose returns the transpose of a matrix.
func transpose(w *graph.Tensor) (*graph.Tensor, error) {
	b, err := w.Bytes()
	if err != nil {
		return nil, err
	}
	size, rows, cols := w.DType.Size(), int(w.Dims[0]), int(w.Dims[1])
	t := make([]byte, len(b))
	for i := range rows {
		for j := range cols {
			copy(t[(j*rows+i)*size:][:size], b[(i*cols+j)*size:])
		}
	}
	return graph.NewTensor(w.DType, []int64{w.Dims[1], w.Dims[0]}, t)
}

// pooling runs what lies between trunk and linear layer. It must average each
// frame's map, and may average groups of frames: it returns their size.
func (r *recognizer) pooling(x *graph.Value, fc *graph.Node) (int, error) {
	d, features := r.Dims(x), fc.Input(0)
	if len(d) != 4 || !r.probeable(d) {
		return 0, r.refuse(fc, "maps of known size from the trunk", x.Type.Shape.String(), "")
	}
	given := randomTensor(x.Type.Elem, d)
	got, err := r.Run(features, map[*graph.Value]*graph.Tensor{x: given})
	if err != nil {
		return 0, r.refuse(fc, "features computed from the trunk's output", err.Error(), "")
	}
	channels := r.net.Head.FC.Weight.Dims[1]
	frames, err := given.Float32s()
	if err != nil {
		return 0, err
	}
	have, err := got.Float32s()
	if err != nil {
		return 0, err
	}
	expected := fmt.Sprintf("rows of %d averaged features", d[1])
	rows := int64(len(have)) / max(channels, 1)
	if channels != d[1] || rows == 0 || d[0]%rows != 0 || int64(len(have)) != rows*channels {
		return 0, r.refuse(fc, expected, fmt.Sprintf("shape %v from %v", got.Dims, d), "")
	}
	image := int(d[2] * d[3])
	means := make([]float32, d[0]*d[1])
	for i := range means {
		var s float64
		for _, f := range frames[i*image : (i+1)*image] {
			s += float64(f)
		}
		means[i] = float32(s / float64(image))
	}
	group := int(d[0] / rows)
	if worst := distance(have, meanRows(means, int(channels), group)); worst > tolerance(x.Type.Elem) {
		return 0, r.refuse(fc, "features averaged over each frame's map", fmt.Sprintf("something else (off by %.2g)", worst), "")
	}
	return group, nil
}

// consensus runs what lies behind the linear layer, whose scores are given,
// and finds how many consecutive frames it averages. Where the output is no
// mean, the value nearest to it that is one is taken, and what follows is a
// tail (log-softmax, sigmoid, arg-max …), kept as it is: it must leave the rows
// alone.
func (r *recognizer) consensus(found *headFound) error {
	fc, scores := found.fc, found.scores
	answer := r.answer(scores)
	if answer == nil {
		return r.refuse(fc, "an output made from its scores", "none", "")
	}
	found.answer = answer
	d := r.Dims(scores)
	classes := r.net.Head.FC.Weight.Dims[0]
	if classes <= 0 || !r.probeable(d) || dataflow.Elements(d)%classes != 0 {
		return r.refuse(fc, fmt.Sprintf("rows of %d scores", classes), scores.Type.Shape.String(), "")
	}
	given := map[*graph.Value]*graph.Tensor{scores: randomTensor(scores.Type.Elem, d)}
	got, err := r.Run(answer, given)
	if err != nil {
		return r.refuse(fc, "an output computed from the scores", err.Error(), "")
	}
	if m := r.mean(scores, answer, given); m.group > 0 {
		found.mean = m
		return nil
	}
	for _, v := range valuesBefore(scores, answer) {
		m := r.mean(scores, v, given)
		rows := dataflow.Elements(d) / classes
		if n := dataflow.Elements(got.Dims); m.group > 0 && (n == rows/int64(m.group)*classes || n == rows/int64(m.group)) {
			found.mean, found.tail = m, true
			return nil
		}
	}
	for _, n := range slices.Backward(between(scores, answer)) {
		if n.Is("Gemm", "MatMul", "Conv") && r.Constant(n.Input(1)) != nil {
			return r.refuse(n, "one linear layer behind the trunk", fmt.Sprintf("a second one behind %s", fc), "afc knows heads of one linear layer")
		}
	}
	return r.refuse(answer.Producer(), "a mean over frames, softmax or not", "another consensus", "")
}

// mean is what lies between scores and a value: an average over groups of
// consecutive frames, softmax behind it or not. Group 0: something else.
type mean struct {
	group   int
	softmax bool
}

// mean reads what was computed for v from the scores given. Softmax may stand
// last, or between a mean over a clip's frames and one over its crops.
func (r *recognizer) mean(scores, v *graph.Value, given map[*graph.Value]*graph.Tensor) mean {
	if given[v] == nil || !given[v].DType.IsFloat() {
		return mean{}
	}
	in, err1 := given[scores].Float32s()
	out, err2 := given[v].Float32s()
	width := int(r.net.Head.FC.Weight.Dims[0])
	if err1 != nil || err2 != nil || len(out) == 0 || len(out)%width != 0 || len(in)%len(out) != 0 {
		return mean{}
	}
	group := len(in) / len(out)
	tol := max(tolerance(given[v].DType), tolerance(scores.Type.Elem))
	if distance(out, meanRows(in, width, group)) <= tol {
		return mean{group: group}
	}
	for clip := group; clip > 0; clip-- { // frames a clip; group/clip crops are averaged behind softmax
		if group%clip != 0 {
			continue
		}
		p := meanRows(in, width, clip)
		softmaxRows(p, width)
		if distance(out, meanRows(p, width, group/clip)) <= tol {
			return mean{clip, true}
		}
	}
	return mean{}
}

// valuesBefore lists the values between from and to, the nearest to to first,
// from last.
func valuesBefore(from, to *graph.Value) []*graph.Value {
	var list []*graph.Value
	for _, n := range between(from, to) {
		for _, v := range n.Inputs() {
			if v != nil && v != from && v.Producer() != nil && !slices.Contains(list, v) {
				list = append(list, v)
			}
		}
	}
	return append(list, from)
}

// answer returns the first output of the graph that depends on the scores.
func (r *recognizer) answer(scores *graph.Value) *graph.Value {
	for _, o := range r.Model.Graph.Outputs() {
		if o == scores {
			return o
		}
		for _, n := range between(scores, o) {
			if slices.Contains(n.Inputs(), scores) {
				return o
			}
		}
	}
	return nil
}

// randomTensor makes numbers in [0, 1), the same every time.
func randomTensor(elem graph.DataType, dims []int64) *graph.Tensor {
	rng := rand.New(rand.NewPCG(1, uint64(dataflow.Elements(dims))))
	x := make([]float32, dataflow.Elements(dims))
	for i := range x {
		x[i] = rng.Float32()
	}
	return graph.Float32s(dims, x...)
}

// meanRows averages groups of consecutive rows.
func meanRows(x []float32, width, group int) []float32 {
	out := make([]float32, len(x)/group)
	for i := range out {
		var s float64
		for k := range group {
			s += float64(x[(i/width*group+k)*width+i%width])
		}
		out[i] = float32(s / float64(group))
	}
	return out
}

// softmaxRows applies softmax to each row in place.
func softmaxRows(x []float32, width int) {
	for ; len(x) >= width; x = x[width:] {
		var s float64
		for _, f := range x[:width] {
			s += math.Exp(float64(f))
		}
		for i, f := range x[:width] {
			x[i] = float32(math.Exp(float64(f)) / s)
		}
	}
}

// distance is the largest difference as a part of the largest value, infinite
// where lengths differ or numbers are not finite.
func distance(got, want []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var worst, scale float64
	for i := range want {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		worst, scale = max(worst, d), max(scale, math.Abs(float64(want[i])))
	}
	return worst / max(scale, math.SmallestNonzeroFloat32)
}

func tolerance(elem graph.DataType) float64 {
	if elem == graph.Float16 || elem == graph.BFloat16 {
		return headToleranceHalf
	}
	return headTolerance
}
