package chart

import (
	"math"
	"strconv"
)

// Scale maps values to pixels along an axis, with round steps.
type Scale struct {
	Low, High, Step float64
	From, To        float64 // pixels
}

// NewScale covers the values from low to high in about n round steps; from and
// to are the ends in pixels.
func NewScale(low, high float64, n int, from, to float64) Scale {
	if !(high > low) {
		high = low + 1
	}
	step := roundStep((high - low) / float64(n))
	return Scale{math.Floor(low/step+1e-9) * step, math.Ceil(high/step-1e-9) * step, step, from, to}
}

// At returns the pixel of a value.
func (s Scale) At(x float64) float64 {
	return s.From + (s.To-s.From)*(x-s.Low)/(s.High-s.Low)
}

// Ticks returns the values at the steps.
func (s Scale) Ticks() []float64 {
	var out []float64
	for i := 0; ; i++ {
		x := s.Low + float64(i)*s.Step
		if x > s.High+s.Step/2 {
			return out
		}
		out = append(out, x)
	}
}

// roundStep returns the smallest of 1, 2, 5, 10, … that is not below a step.
func roundStep(step float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(step)))
	for _, k := range []float64{1, 2, 5} {
		if step <= k*power*(1+1e-9) {
			return k * power
		}
	}
	return 10 * power
}

// Number writes a value of an axis.
func Number(x float64) string {
	return strconv.FormatFloat(math.Round(x*1e6)/1e6, 'g', 6, 64)
}
