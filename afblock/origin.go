package afblock

import "fmt"

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
// a network that computed every frame, fitted to its activations, or trained.
func (net *Network) Origin() string {
	switch {
	case net.Fit != nil:
		return "fitted"
	case net.FineTune:
		return "transplanted"
	}
	return "trained"
}

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
