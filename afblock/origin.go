package afblock

import (
	"fmt"
	"strings"
)

// Fitted is what is known of weights that were regressed onto a source's
// activations (package fit), for whoever meets the network later.
type Fitted struct {
	For    string  `json:"for"`    // "schedule", of Masks alone, or "any" selection
	Masks  string  `json:"masks"`  // the pattern that navigation spelled
	Clips  int     `json:"clips"`  // fitted on
	Seed   uint64  `json:"seed"`   // of positions, and of random selections
	Held   int     `json:"held"`   // clips held back; 0: nothing was measured
	Agrees float64 `json:"agrees"` // part of them with the source's first class
	Error  float64 `json:"error"`  // squared error of the scores there, in parts of their spread
	// Residuals are what each layer leaves of its targets, in parts of their
	// spread, in the order fitted.
	Residuals []LayerResidual `json:"residuals"`
}

// LayerResidual is what is left of a layer's targets.
type LayerResidual struct {
	Layer string  `json:"layer"`
	Left  float64 `json:"left"`
}

// Check refuses what no fit wrote: a file's metadata may say anything.
func (f *Fitted) Check() error {
	if f.For != "schedule" && f.For != "any" {
		return fmt.Errorf("fit for %.20q is unknown", f.For)
	}
	_, err := ParsePattern(f.Masks)
	return err
}

// Origin says in a word how a network's weights came about: transplanted from
// a network that computed every frame, fitted to its activations, tuned by afc,
// or trained elsewhere.
func (net *Network) Origin() string {
	switch {
	case net.Tune != nil:
		return "tuned"
	case net.Fit != nil:
		return "fitted"
	case net.FineTune:
		return "transplanted"
	}
	if net.Exporter != "" {
		return "trained, read from a " + net.Exporter + " export"
	}
	return "trained"
}

// ExporterOf names the program that exported a model, by what the model says of
// its producer: "PyTorch", or "foreign" of any other.
func ExporterOf(producer string) string {
	if strings.HasPrefix(strings.ToLower(producer), "pytorch") {
		return Exporters[0]
	}
	return Exporters[1]
}

// Exporters are all that ExporterOf names.
var Exporters = []string{"PyTorch", "foreign"}

// String says what a fit was in plain words.
func (f *Fitted) String() string {
	what := "the schedule " + f.Masks
	if f.For == "any" {
		what = "any selection of frames"
	}
	s := fmt.Sprintf("fitted for %s on %d clips (seed %d)", what, f.Clips, f.Seed)
	if f.Held > 0 {
		s += fmt.Sprintf("; names the source's first class on %.1f %% of %d clips held back", 100*f.Agrees, f.Held)
	}
	return s
}

// Tuned is what is known of weights that afc trained (package train), for
// whoever meets the network later.
type Tuned struct {
	From    string   `json:"from"`              // origin of the weights it began with
	Masks   string   `json:"masks"`             // while training: "schedule", "learned", or "random" ones
	Pattern string   `json:"pattern,omitempty"` // of the schedule, or the shares that random masks selected
	Ratio   float64  `json:"ratio,omitempty"`   // of frames, that navigation learned to choose
	Groups  []string `json:"groups"`            // weights that learned
	Clips   int      `json:"clips"`             // trained on
	Steps   int      `json:"steps"`
	Seed    uint64   `json:"seed"`
	Labels  bool     `json:"labels,omitempty"` // learned from labels
	Source  bool     `json:"source,omitempty"` // learned from the source's scores

	Held   int      `json:"held"`             // clips held back; 0: nothing was measured
	Right  *float64 `json:"top1,omitempty"`   // part of them whose class it names
	Agrees *float64 `json:"agrees,omitempty"` // part of them with the source's first class
	Error  *float64 `json:"error,omitempty"`  // squared error of the scores there, in parts of their spread
}

// Check refuses what no training wrote: a file's metadata may say anything.
func (t *Tuned) Check() error {
	switch t.Masks {
	case "learned", "random":
		return nil
	case "schedule":
		_, err := ParsePattern(t.Pattern)
		return err
	}
	return fmt.Errorf("masks %.20q are unknown", t.Masks)
}

// String says what a training was in plain words.
func (t *Tuned) String() string {
	what := map[string]string{
		"learned": fmt.Sprintf("to choose %.3g of the frames", t.Ratio), "schedule": "for the schedule " + t.Pattern, "random": "for budgets of " + t.Pattern + " of the frames",
	}[t.Masks]
	on := map[[2]bool]string{{true, false}: " with labels", {false, true}: ", labelled by the source", {true, true}: " with labels and the source"}[[2]bool{t.Labels, t.Source}]
	s := fmt.Sprintf("tuned %s, %d steps on %d clips%s (seed %d), from %s weights", what, t.Steps, t.Clips, on, t.Seed, t.From)
	if t.Held > 0 && t.Right != nil {
		s += fmt.Sprintf("; names the class of %.1f %% of %d clips held back", 100**t.Right, t.Held)
	}
	if t.Held > 0 && t.Agrees != nil {
		s += fmt.Sprintf("; the source's first class on %.1f %% of %d clips held back", 100**t.Agrees, t.Held)
	}
	return s
}
