package ort

import (
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	runs := []time.Duration{5, 1, 4, 2, 3, 6, 8, 7, 10, 9}
	for _, tt := range []struct {
		p    float64
		want time.Duration
	}{{0, 1}, {10, 1}, {50, 5}, {90, 9}, {99, 10}, {100, 10}} {
		if got := (Timing{Runs: runs}).Percentile(tt.p); got != tt.want {
			t.Errorf("percentile %g of 1…10 is %d, want %d", tt.p, got, tt.want)
		}
	}
}

func TestRatio(t *testing.T) {
	ref := Timing{Name: "ref", Runs: []time.Duration{10, 20, 40}, CPU: []time.Duration{10, 10, 10}}
	got := Timing{Name: "got", Runs: []time.Duration{8, 10, 36}, CPU: []time.Duration{5, 5, 5}}
	r, err := got.RatioTo(ref)
	if err != nil {
		t.Fatal(err)
	}
	// Round by round 0.8, 0.5, 0.9: a busy third round does not count four times.
	if r.Median != 0.8 || r.Minima != 0.8 || r.CPU != 0.5 || r.Low != 0.5 || r.Up != 0.9 {
		t.Errorf("ratio %+v", r)
	}
	if _, err := got.RatioTo(Timing{Runs: ref.Runs[:2]}); err == nil {
		t.Error("races of different length are compared")
	}
}

func TestThroughput(t *testing.T) {
	timing := Timing{Clips: 4, Runs: []time.Duration{time.Second, 2 * time.Second, 9 * time.Second}}
	if got := timing.Throughput(); got != 2 {
		t.Errorf("throughput %g clips/s, want 2", got)
	}
}
