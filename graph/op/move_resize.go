package op

import (
	"math"
	"slices"

	"github.com/afc-project/afc/graph"
)

// moveResize follows Resize and Upsample to the nearest element. Places are
// computed in float32, as ONNX Runtime computes them.
func moveResize(c *moveCall) Movement {
	d := c.dims(0)
	if d == nil || len(d) != len(c.out) || c.str("mode", "nearest") != "nearest" || c.str("keep_aspect_ratio_policy", "stretch") != "stretch" {
		return nil
	}
	scales, ok := c.scales(d)
	if !ok {
		return nil
	}
	place, round := c.placing(), c.rounding()
	if place == nil || round == nil {
		return nil
	}
	st := graph.Strides(d)
	return c.each(0, func(x []int64) int64 {
		from := int64(0)
		for k, i := range x {
			at := i
			if d[k] != c.out[k] || scales[k] != 1 {
				at = int64(round(place(float32(i), scales[k], float32(d[k]), float32(c.out[k]))))
			}
			from += min(max(at, 0), d[k]-1) * st[k]
		}
		return from
	})
}

// scales returns how much longer each axis becomes; false where that is not
// constant.
func (c *moveCall) scales(d []int64) ([]float32, bool) {
	axes := c.ints("axes")
	if axes == nil {
		axes = span(0, 1, int64(len(d)))
	}
	given, ok := c.scalesGiven(d, axes)
	if !ok || len(given) != len(axes) {
		return nil, false
	}
	scales := slices.Repeat([]float32{1}, len(d))
	for i, a := range axes {
		k, err := axis(a, len(d))
		if err != nil || !(given[i] > 0) {
			return nil, false
		}
		scales[k] = given[i]
	}
	return scales, true
}

// scalesGiven reads scales, or the sizes that stand for them: the output's.
func (c *moveCall) scalesGiven(d, axes []int64) ([]float32, bool) {
	in := 1
	if c.n.OpType == "Resize" && c.opset >= 11 {
		in = 2
		if sizes, given, ok := c.list(3, ""); !ok {
			return nil, false
		} else if given && len(sizes) > 0 {
			var scales []float32
			for _, a := range axes {
				k, err := axis(a, len(d))
				if err != nil {
					return nil, false
				}
				scales = append(scales, float32(c.out[k])/float32(d[k]))
			}
			return scales, true
		}
	}
	if c.n.Input(in) == nil {
		a := c.attr("scales", graph.AttrFloats)
		if a == nil {
			return nil, false
		}
		return a.Floats, true
	}
	t := c.known.Constant(c.n.Input(in))
	if t == nil {
		return nil, false
	}
	scales, err := t.Float32s()
	return scales, err == nil
}

// placing is where an element of the output lies on an axis of the input, nil
// for transformations that are not followed.
func (c *moveCall) placing() func(i, scale, from, to float32) float32 {
	if c.n.OpType == "Upsample" || c.opset < 11 {
		return func(i, scale, _, _ float32) float32 { return i / scale }
	}
	switch c.str("coordinate_transformation_mode", "half_pixel") {
	case "asymmetric":
		return func(i, scale, _, _ float32) float32 { return i / scale }
	case "half_pixel":
		return func(i, scale, _, _ float32) float32 { return (i+0.5)/scale - 0.5 }
	case "pytorch_half_pixel":
		return func(i, scale, _, to float32) float32 {
			if to <= 1 {
				return 0
			}
			return (i+0.5)/scale - 0.5
		}
	case "align_corners":
		return func(i, _, from, to float32) float32 {
			if to <= 1 {
				return 0
			}
			return i * (from - 1) / (to - 1)
		}
	case "tf_half_pixel_for_nn":
		return func(i, scale, _, _ float32) float32 { return (i + 0.5) / scale }
	}
	return nil
}

// rounding is how a place between two elements goes to one.
func (c *moveCall) rounding() func(float32) float64 {
	mode := "round_prefer_floor"
	if c.n.OpType == "Upsample" || c.opset < 11 {
		mode = "floor"
	} else {
		mode = c.str("nearest_mode", mode)
	}
	switch mode {
	case "floor":
		return func(x float32) float64 { return math.Floor(float64(x)) }
	case "ceil":
		return func(x float32) float64 { return math.Ceil(float64(x)) }
	case "round_prefer_floor":
		return func(x float32) float64 { return math.Ceil(float64(x) - 0.5) }
	case "round_prefer_ceil":
		return func(x float32) float64 { return math.Floor(float64(x) + 0.5) }
	}
	return nil
}
