package main

import (
	"context"
	"fmt"
	"os"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/passes"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/subject"
)

// rows are the checks that hold what the compiler wrote to something that
// shares no code with it; few are those of a network whose weights are random
// already, and large.
var (
	rows = []string{"load", "interpreter", "compiler", "source", "identity", "skipping"}
	few  = []string{"load", "interpreter", "skipping"}
)

func main() {
	for _, c := range cases() {
		failed, err := c.verify()
		if err != nil {
			fmt.Printf("%s: %v\n", c.name, err)
			os.Exit(2)
		}
		if failed != "" {
			fmt.Printf("%s: %s\n", c.name, failed)
			os.Exit(1)
		}
	}
}

// verify compiles and verifies a case; failed says what was found.
func (c trialCase) verify() (failed string, err error) {
	if c.optimize {
		return c.optimized()
	}
	s, err := c.subject()
	if err != nil {
		return "", err
	}
	opt := verify.Options{Only: rows, Videos: clips.Random{Count: 2, Seed: 1}, Threads: 1, Batch: 2}
	if c.mobile {
		opt.Only = few
	}
	r, err := verify.Verify(context.Background(), s, opt)
	if err != nil {
		return "", err
	}
	return failedIn(r), nil
}

// optimized holds the source, optimized, to itself.
func (c trialCase) optimized() (failed string, err error) {
	source := c.source.Build()
	r, err := passes.Optimize(source.Clone(), passes.Options{})
	if err != nil {
		return "", err
	}
	same, err := verify.Same(context.Background(), source, r.Model, verify.SameOptions{Seed: 1, Batch: 2})
	if err != nil {
		return "", err
	}
	return failedIn(same), nil
}

// failedIn is the first row that failed, "" if none did.
func failedIn(r *verify.Report) string {
	for _, row := range r.Checks {
		if row.Status == verify.Fail {
			return row.Name + ": " + row.Where
		}
	}
	return ""
}

func (c trialCase) subject() (*verify.Subject, error) {
	switch {
	case c.mobile:
		net, err := mobile(afblock.Size{48, 40})
		if err != nil {
			return nil, err
		}
		return c.compiled(net)
	case c.af != nil:
		return c.ofCheckpoint()
	}
	source := c.source.Build()
	plain, err := recognize.Network(source, recognize.Options{})
	if err != nil {
		return nil, err
	}
	c.how.Navigation = afblock.Pattern{Ratio: 0.5}
	net, err := afblock.Rewrite(plain, c.how)
	if err != nil {
		return nil, err
	}
	if c.cells != nil {
		middle, err := afblock.ParseCellPattern("center:0.25")
		if err != nil {
			return nil, err
		}
		if net, err = net.FixCells(c.cells, middle); err != nil {
			return nil, err
		}
	}
	s, err := c.compiled(net)
	if err != nil {
		return nil, err
	}
	return s, subject.SetSource(s, net, source, plain, "")
}

func (c trialCase) ofCheckpoint() (*verify.Subject, error) {
	sd := checkpoint.New()
	for _, e := range c.af.Checkpoint() {
		sd.Set(e.Key, e.Tensor)
	}
	c.with.Frames = c.af.Frames
	net, err := weights.FromStateDict(sd, c.with)
	if err != nil {
		return nil, err
	}
	return c.compiled(net)
}

func (c trialCase) compiled(net *afblock.Network) (*verify.Subject, error) {
	m, _, err := codegen.Lower(net, c.opt)
	if err != nil {
		return nil, err
	}
	s, _, err := subject.Of(m)
	return s, err
}
