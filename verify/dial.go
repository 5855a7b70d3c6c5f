package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

// dialled are the options of a session whose runs give the dial a margin, and the
// input that does; nil: neither.
func dialled(so ort.SessionOptions, margin *float32) (ort.SessionOptions, map[string]*graph.Tensor) {
	if margin == nil {
		return so, nil
	}
	so.Given = []string{names.Margin}
	return so, map[string]*graph.Tensor{names.Margin: graph.Float32s(nil, *margin)}
}

// checkDial holds the file's own graph, its dial turned, to the interpreter.
func (p *prover) checkDial() (Check, error) {
	if !p.s.Dial {
		return Check{}, &InapplicableError{"the model has no dial (convert --dial yes)"}
	}
	base, err := p.baseline(0)
	if err != nil {
		return Check{}, err
	}
	var worst Check
	margins := turns(base.leads)
	for _, m := range margins {
		c, err := p.interpret("dial", trial{name: fmt.Sprintf("margin %g: ", m), clips: p.clips, margin: &m})
		if err != nil || c.Status == Fail {
			return c, err
		}
		if c.size >= worst.size {
			worst = c
		}
	}
	worst.Figure += fmt.Sprintf(" at %d margins", len(margins))
	return worst, nil
}

// ofDial reports whether a warning says that the dial has a default and is an input
// all the same, which is what it is for.
func (p *prover) ofDial(warning string) bool {
	return p.s.Dial && strings.Contains(warning, "Initializer "+names.Margin+" appears in graph inputs")
}

// turns are margins at which a model of these leads selects no frame, all frames,
// and about a quarter, half and three quarters of them; where leads do not show,
// those that do so to a schedule.
func turns(leads []float64) []float32 {
	if len(leads) == 0 {
		return []float32{-2, -0.25, 0.25, 2}
	}
	sorted := slices.Sorted(slices.Values(leads))
	low, high := sorted[0], sorted[len(sorted)-1]
	beyond := 1 + high - low
	margins := []float32{float32(-high - beyond)}
	for _, share := range []float64{0.25, 0.5, 0.75} {
		i := int((1 - share) * float64(len(sorted)-1))
		for i+1 < len(sorted)-1 && sorted[i+1] == sorted[i] {
			i++ // between two that differ
		}
		margins = append(margins, float32(-(sorted[i]+sorted[min(i+1, len(sorted)-1)])/2))
	}
	return append(margins, float32(-low+beyond))
}
