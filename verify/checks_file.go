package verify

import (
	"fmt"
	"os"
	"slices"

	"github.com/afc-project/afc/afblock/compiled/seal"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

// checkFile holds the model to the rules of ONNX.
func (p *prover) checkFile() (Check, error) {
	c := Check{Status: Pass, Limit: "none"}
	if err := graph.Check(p.s.Model); err != nil {
		return c, err
	}
	c.Figure = "no rule broken"
	return c, nil
}

// checkSeal compares the weights with the seal.
func (p *prover) checkSeal() (Check, error) {
	found, err := seal.Check(p.s.Model)
	if err != nil {
		return Check{}, err
	}
	c := Check{Status: Pass, Limit: "none changed", Figure: fmt.Sprintf("%d blocks", found.Blocks)}
	switch {
	case found.Blocks == 0:
		return Check{}, &InapplicableError{"the file carries no seal: afc did not write it"}
	case found.Changed != "":
		c.Status, c.Figure = Fail, "changed"
		c.Where = "weights of " + found.Changed + " are not those that were written"
	case found.Added != "":
		c.Status, c.Figure = Fail, "added"
		c.Where = "weights of " + found.Added + " were not there when the file was written"
	}
	return c, nil
}

// fileBytes returns the file a model was read from as it is, or what would be
// written.
func fileBytes(m *graph.Model) ([]byte, error) {
	if m.Path != "" {
		return os.ReadFile(m.Path)
	}
	return graph.EncodeBytes(m)
}

// checkOnnxGo has another decoder read the model: its graph, and each body of a
// branch or loop as a model of its own, since onnx-go knows no subgraphs.
func (p *prover) checkOnnxGo() (Check, error) {
	data, err := fileBytes(p.s.Model)
	if err != nil {
		return Check{}, err
	}
	return readByOnnxGo(data, p.s.Model)
}

// checkLoad loads the file itself, where there is one, on the CPU: what another
// provider says of nodes it leaves to the CPU is the provider's check.
func (p *prover) checkLoad() (Check, error) {
	var s *ort.Session
	var err error
	if path := p.s.Model.Path; path != "" {
		s, err = ort.OpenSession(path, ort.SessionOptions{Threads: p.opt.Threads})
	} else {
		s, err = ort.NewSession(p.s.Model, ort.SessionOptions{Threads: p.opt.Threads})
	}
	if err != nil {
		return Check{}, err
	}
	defer s.Close()
	warnings := slices.DeleteFunc(slices.Clone(s.Warnings), p.ofDial)
	c := Check{Status: Pass, Figure: fmt.Sprintf("%d warnings", len(warnings)), Limit: "0"}
	if len(warnings) > 0 {
		c.Status, c.Where = Fail, warnings[0]
	}
	return c, nil
}
