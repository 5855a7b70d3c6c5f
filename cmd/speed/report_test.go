package main

import (
	"testing"

	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/internal/testutil"
)

func TestMarkdown(t *testing.T) {
	r := report{
		Date: "2026-01-02", Machine: "Abacus", Cores: 2, Load: "0.10 0.20 0.30", Runtime: "1.2.3", Go: "go1.26", Rounds: 9,
		Figures: []figure{
			{Of: "AFNet", Over: "TSN", Size: 224, Batch: 1, Threads: 2, Floor: 0.51, Bar: 0.7, Goal: 0.58, Ratio: 0.641, Low: 0.63, Up: 0.66, Minima: 0.635, CPU: 0.64},
			{Of: "AFNet without chains", Over: "AFNet", Size: 64, Batch: 4, Threads: 1, Floor: 1, Ratio: 1.1, Low: 1.08, Up: 1.12, Minima: 1.09},
		},
	}
	testutil.Golden(t, "table.md", string(r.markdown()))
}

// TestWorths: every step of codegen is measured.
func TestWorths(t *testing.T) {
	measured := map[codegen.Step]bool{}
	for _, c := range worths() {
		measured[c.of.without[0]] = true
	}
	for _, info := range codegen.Steps {
		if !measured[info.Step] {
			t.Errorf("%s is not measured", info.Step)
		}
	}
}
