package recognize

import (
	"fmt"
	"strings"

	"github.com/afc-project/afc/graph"
)

// kind names what a model is that is no TSN or TSM ResNet of floats.
type kind struct{ found, hint string }

// kindOf names the kind of a refused model where its nodes tell, nil where they
// do not. How far recognition came says little then: a quantised network fails
// at its first convolution, a MobileNet at its first activation.
func kindOf(g *graph.Graph) *kind {
	k := survey(g)
	switch {
	case k.quantised != nil:
		return &kind{fmt.Sprintf("a quantised network (%s)", k.quantised), "give the float model that it was made from, and quantise the result"}
	case k.vendor != nil:
		return &kind{fmt.Sprintf("%s, as ONNX Runtime's optimiser writes", k.vendor), "give the file as it was exported, not as ONNX Runtime saved it"}
	case k.resizes && k.sigmoid && k.chooses:
		return &kind{"what looks like an AFNet: maps brought back to size (Resize), gates (Sigmoid) and choices of frames",
			"afc reads exports of AF-ResNets; other AFNets from checkpoints, convert --weights CHECKPOINT, and those that it wrote"}
	case k.depthwise != nil && k.excites != nil:
		return &kind{fmt.Sprintf("depthwise convolutions (%s) with squeeze-and-excitation: a MobileNetV3, an EfficientNet or the like", k.depthwise), "afc rewrites ResNets"}
	case k.depthwise != nil && k.relu6 && k.adds:
		return &kind{fmt.Sprintf("a MobileNetV2: depthwise convolutions (%s) with ReLU6 between and sums behind", k.depthwise), "afc rewrites ResNets"}
	case k.depthwise != nil:
		return &kind{fmt.Sprintf("depthwise convolutions (%s): a MobileNet or the like", k.depthwise), "afc rewrites ResNets"}
	case k.excites != nil && k.spatial != nil:
		return &kind{fmt.Sprintf("attention over channels and pixels inside blocks (CBAM), %s", k.excites), "afc rewrites ResNets without attention inside their blocks"}
	case k.excites != nil:
		return &kind{fmt.Sprintf("squeeze-and-excitation, attention over channels inside blocks, %s", k.excites), "afc rewrites ResNets without attention inside their blocks"}
	case k.inception != nil:
		return &kind{fmt.Sprintf("Inception modules, branches side by side that %s joins: BNInception, GoogLeNet or the like", k.inception), "afc rewrites ResNets"}
	}
	return nil
}

// census is what a model's nodes tell of its kind: the first node of each sign.
type census struct {
	quantised, vendor, depthwise, excites, spatial, inception *graph.Node
	resizes, sigmoid, chooses, relu6, adds                    bool
}

func survey(g *graph.Graph) census {
	var k census
	note := func(at **graph.Node, n *graph.Node) {
		if *at == nil {
			*at = n
		}
	}
	for n := range g.Nodes() {
		switch {
		case strings.Contains(n.OpType, "QuantizeLinear") || strings.HasPrefix(n.OpType, "QLinear") || n.Is("ConvInteger", "MatMulInteger"):
			note(&k.quantised, n)
		case strings.HasPrefix(n.Domain, "com.microsoft"):
			note(&k.vendor, n)
		case n.Is("Conv") && depthwise(n):
			note(&k.depthwise, n)
		case n.Is("Mul") && len(n.Inputs()) == 2:
			switch of := attended(n); {
			case of.channels:
				note(&k.excites, n)
			case of.pixels:
				note(&k.spatial, n)
			}
		case n.Is("Concat") && n.AttrInt("axis", 0) == 1 && joinsBranches(n):
			note(&k.inception, n)
		}
		k.relu6 = k.relu6 || n.Is("Clip") && clipsAt(n, 6)
		k.adds = k.adds || n.Is("Add") && n.Input(0).Const() == nil && n.Input(1).Const() == nil
		k.resizes = k.resizes || n.Is("Resize", "Upsample")
		k.sigmoid = k.sigmoid || n.Is("Sigmoid", "HardSigmoid")
		k.chooses = k.chooses || n.Is("ArgMax", "Greater", "Less", "GreaterOrEqual", "OneHot", "ScatterElements")
	}
	return k
}

// clipsAt reports whether a Clip's upper bound is a constant.
func clipsAt(n *graph.Node, bound float32) bool {
	if t := n.Input(2).Const(); t != nil {
		v, err := t.Float32s()
		return err == nil && len(v) == 1 && v[0] == bound
	}
	return n.AttrFloat("max", 0) == bound
}

// depthwise reports whether a convolution takes each channel alone with a square
// window; those over time spell temporal shifts.
func depthwise(n *graph.Node) bool {
	var dims []int64
	if w := n.Input(1).Const(); w != nil {
		dims = w.Dims
	} else if p := producer(n.Input(1)); p.Is("ConstantOfShape") && p.Input(0).Const() != nil {
		dims, _ = p.Input(0).Const().Int64s() // unreadable: no dimensions
	}
	return len(dims) == 4 && n.AttrInt("group", 1) > 1 && dims[1] == 1 && dims[2] > 1 && dims[2] == dims[3]
}

// producer is the node that makes v, nil if none does.
func producer(v *graph.Value) *graph.Node {
	if v == nil {
		return nil
	}
	return v.Producer()
}

// attention is what a map's factors look at: its channels' means, or its pixels.
type attention struct{ channels, pixels bool }

// maxAttention bounds the nodes that lie between a map and its factors.
const maxAttention = 32

// attended reports whether a product weighs a map by what a sigmoid makes of that
// same map.
func attended(n *graph.Node) attention {
	for i := range 2 {
		x, factor := n.Input(i), n.Input(1-i)
		if x == nil || factor == nil {
			continue
		}
		seen := map[*graph.Node]bool{}
		work := []*graph.Value{factor}
		var sigmoid, pooled, channelMean bool
		for len(work) > 0 && len(seen) < maxAttention {
			p := work[len(work)-1].Producer()
			reached := work[len(work)-1] == x
			work = work[:len(work)-1]
			switch {
			case reached && sigmoid && pooled:
				return attention{channels: true}
			case reached && sigmoid && channelMean:
				return attention{pixels: true}
			case reached || p == nil || seen[p]:
				continue
			}
			seen[p] = true
			sigmoid = sigmoid || p.Is("Sigmoid", "HardSigmoid")
			if p.Is("GlobalAveragePool", "GlobalMaxPool") || p.Is("ReduceMean", "ReduceMax") && reducesPixels(p) {
				pooled = true
			} else if p.Is("ReduceMean", "ReduceMax") {
				channelMean = true
			}
			for _, v := range p.Inputs() {
				if v != nil {
					work = append(work, v)
				}
			}
		}
	}
	return attention{}
}

// reducesPixels reports whether a reduction is over height and width.
func reducesPixels(n *graph.Node) bool {
	axes := n.AttrInts("axes")
	if t := n.Input(1).Const(); axes == nil && t != nil {
		axes, _ = t.Int64s() // unreadable: no axes
	}
	return len(axes) == 2
}

// joinsBranches reports whether three or more operands each end in a convolution
// of their own.
func joinsBranches(n *graph.Node) bool {
	convs := map[*graph.Node]bool{}
	for _, v := range n.Inputs() {
		p := producer(v)
		for range maxAttention {
			if !p.Is("Relu", "BatchNormalization", "Clip", "LeakyRelu") {
				break
			}
			p = producer(p.Input(0))
		}
		if p.Is("Conv") {
			convs[p] = true
		}
	}
	return len(convs) >= 3
}
