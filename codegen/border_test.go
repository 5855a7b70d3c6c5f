package codegen

import "testing"

// TestBorderTaps checks each class against the taps that its place sees.
func TestBorderTaps(t *testing.T) {
	for _, classes := range [][]float64{{3, 5, 4}, {1, 7, 2, 9, 4}} {
		k := len(classes)
		taps := borderTaps(classes)
		const n = 9
		for i := range n {
			class := k / 2
			switch {
			case i < k/2:
				class = i
			case n-i <= k/2:
				class = k - (n - i)
			}
			sum := 0.0
			for j, tap := range taps {
				if at := i + j - k/2; at >= 0 && at < n {
					sum += tap
				}
			}
			if sum != classes[class] {
				t.Errorf("classes %v: place %d of %d sums to %g, want %g", classes, i, n, sum, classes[class])
			}
		}
	}
}
