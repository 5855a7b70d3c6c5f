package verify

import (
	"math"
	"slices"
)

// Statistics are what there is to say of two outputs and of how they differ, over
// the elements that are finite on both sides.
type Statistics struct {
	Got  Spread `json:"got"`
	Want Spread `json:"want"`
	Abs  Spread `json:"abs"` // of |got − want|
	Rel  Spread `json:"rel"` // of |got − want| / |want|, want ≠ 0
}

// Spread is how numbers are spread.
type Spread struct {
	Mean   float64 `json:"mean"`
	Std    float64 `json:"std"`
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// statisticsOf takes them of two outputs, element by element.
func statisticsOf(got, want []float64) *Statistics {
	var g, w, abs, rel []float64
	for i := range want {
		if !finite(got[i]) || !finite(want[i]) {
			continue
		}
		e := math.Abs(got[i] - want[i])
		g, w, abs = append(g, got[i]), append(w, want[i]), append(abs, e)
		if want[i] != 0 {
			rel = append(rel, e/math.Abs(want[i]))
		}
	}
	return &Statistics{spreadOf(g), spreadOf(w), spreadOf(abs), spreadOf(rel)}
}

// spreadOf sorts x. Of no numbers all is zero.
func spreadOf(x []float64) (s Spread) {
	if len(x) == 0 {
		return s
	}
	slices.Sort(x)
	n := float64(len(x))
	for _, v := range x {
		s.Mean += v / n
	}
	for _, v := range x {
		s.Std += (v - s.Mean) * (v - s.Mean) / n
	}
	s.Std = math.Sqrt(s.Std)
	s.Min, s.Median, s.P90, s.P99, s.Max = x[0], quantile(x, 0.5), quantile(x, 0.9), quantile(x, 0.99), x[len(x)-1]
	return s
}

// quantile is a quantile of sorted numbers, between two of them by the line.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// ErrorStats are the figures of an error that a tolerance may be about: every
// element, or one of all of them.
var ErrorStats = []string{elementwise, "max", "mean", "median", "p90", "p99"}

const elementwise = "elemwise"

// of is the figure of a spread by its name.
func (s Spread) of(stat string) float64 {
	switch stat {
	case "mean":
		return s.Mean
	case "median":
		return s.Median
	case "p90":
		return s.P90
	case "p99":
		return s.P99
	}
	return s.Max
}
