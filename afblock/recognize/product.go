package recognize

import (
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/dataflow"
)

// product is a map whose frames a mask multiplies: 1 for those selected.
type product struct {
	node *graph.Node
	flow flow         // the map: a computed value, as it is or shifted
	mask *graph.Value // holds the factors,
	at   []int64      // for each frame of the batch at this element
	next reader       // what reads the product, unmoved
}

// isProduct reports whether a node may leave some frames of a map out: by a
// factor, or by a condition.
func isProduct(n *graph.Node) bool { return n.Is("Mul", "Where") }

// productOf returns the product that alone reads v, unshifted, nil if none does.
func (r *recognizer) productOf(v *graph.Value) *product {
	rs, output := r.readers(v)
	if output || len(rs) != 1 || !isProduct(rs[0].node) {
		return nil
	}
	if p, _ := r.product(rs[0].node); p != nil && p.flow.base == v && p.flow.fold == 0 {
		return p
	}
	return nil
}

// product reads a node as the product of a map and a mask of frames, whatever
// views it works in. Both are nil where it is another product; the misfit says
// what a mask is that afc has no word for.
func (r *recognizer) product(n *graph.Node) (*product, *misfit) {
	rs, output := r.readers(n.Output(0))
	if output || len(rs) != 1 {
		return nil, nil
	}
	v := rs[0].value
	d := r.Dims(v)
	if len(d) != 4 || dataflow.Elements(d) == 0 || d[1] > maxChannels || d[0] > shiftRows || d[0]*d[1] > maxStraight {
		return nil, nil
	}
	at := frameSamples(d, d[0])
	cells := r.Trace(v, at)
	inside := make([]int64, len(at))
	for i, c := range cells {
		if c.Base != n.Output(0) {
			return nil, nil
		}
		inside[i] = c.At
	}
	p := &product{node: n, next: rs[0]}
	of, per, m := r.operands(n, d, at, inside)
	if per == nil {
		return nil, m
	}
	p.mask = per[0].Base
	for _, c := range per {
		p.at = append(p.at, c.At)
	}
	if p.flow, m = r.readShift(v, d, d[0], at, of); m != nil {
		return nil, m
	}
	return p, nil
}

// operands follows elements of a product to the map, and to the factor of each
// frame; nil where none of the operands is a mask. A condition is one where what
// it leaves out is zero.
func (r *recognizer) operands(n *graph.Node, d, at, inside []int64) (of, per []dataflow.Cell, m *misfit) {
	orders := [][2]int{{0, 1}, {1, 0}} // map and mask
	if n.Is("Where") {
		if orders = [][2]int{{1, 0}}; !r.Zero(n.Input(2)) {
			return nil, nil, nil
		}
	} else if len(n.Inputs()) != 2 {
		return nil, nil, nil
	}
	for _, o := range orders {
		of, ok1 := r.Operand(n.Output(0), o[0], inside)
		by, ok2 := r.Operand(n.Output(0), o[1], inside)
		if !ok1 || !ok2 {
			continue
		}
		per, why := factors(d, at, by)
		if per != nil {
			return of, per, nil
		}
		if why != nil {
			m = why
		}
	}
	return nil, nil, m
}

// factors returns the factor of each frame, nil where channels have their own:
// that is no mask.
func factors(d, at []int64, by []dataflow.Cell) ([]dataflow.Cell, *misfit) {
	channels, image := d[1], d[2]*d[3]
	per := make([]dataflow.Cell, d[0])
	for i, c := range by {
		frame := at[i] / (image * channels)
		switch first := &per[frame]; {
		case c.Base == nil || c.Base != by[0].Base:
			return nil, nil
		case first.Base == nil:
			*first = c
		case *first != c && samePixels(at, by, i, image, channels):
			return nil, &misfit{
				found: "a mask of pixels, as spatial navigation makes",
				hint:  "afc reads AFNets that choose frames from exports; one with spatial navigation from its checkpoint",
			}
		case *first != c:
			return nil, nil
		}
	}
	return per, nil
}

// samePixels reports whether the factors of a frame depend on the pixel alone.
func samePixels(at []int64, by []dataflow.Cell, i int, image, channels int64) bool {
	frame := at[i] / (image * channels)
	of := map[int64]dataflow.Cell{}
	for k, c := range by {
		if at[k]/(image*channels) != frame {
			continue
		}
		if first, seen := of[at[k]%image]; seen && first != c {
			return false
		}
		of[at[k]%image] = c
	}
	return len(of) > 1
}

// frameSamples are one pixel of each channel of the first rows frames of a map
// [B, C, H, W], the pixels differing.
func frameSamples(d []int64, rows int64) []int64 {
	pixels := samplePixels(d[2], d[3])
	at := make([]int64, 0, rows*d[1])
	for b := range rows {
		for c := range d[1] {
			at = append(at, (b*d[1]+c)*d[2]*d[3]+pixels[(b+c)%int64(len(pixels))])
		}
	}
	return at
}

// straight returns the computed value whose elements v has in their order, nil
// where something moves on the way.
func (r *recognizer) straight(v *graph.Value) *graph.Value {
	n := dataflow.Elements(r.Dims(v))
	if v == nil || r.Dims(v) == nil || n == 0 || n > maxStraight {
		return nil
	}
	at := make([]int64, n)
	for i := range at {
		at[i] = int64(i)
	}
	cells := r.Trace(v, at)
	base := cells[0].Base
	if base == nil || dataflow.Elements(r.Dims(base)) != n {
		return nil
	}
	for i, c := range cells {
		if c.Base != base || c.At != int64(i) {
			return nil
		}
	}
	return base
}

// maxStraight bounds the elements that straight follows: vectors of channels,
// not maps.
const maxStraight = 1 << 18
