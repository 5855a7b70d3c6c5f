package main

import (
	"context"
	"fmt"
	"os"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/subject"
)

// rows are the checks that hold what the compiler wrote to something that
// shares no code with it.
var rows = []string{"load", "interpreter", "compiler", "source", "identity", "skipping"}

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

// trialCase is a network to compile: a source to convert, or a checkpoint.
type trialCase struct {
	name   string
	source *testmodels.Spec
	how    afblock.RewriteOptions // of the source
	af     *testmodels.AFSpec
	shift  int // channels over fold, of a checkpoint
	opt    codegen.Options
}

func cases() []trialCase {
	tsm := testmodels.Spec{Blocks: []int{3, 2, 1}, Width: 8, Frames: 4, Size: 48, Classes: 5, Shift: testmodels.ShiftConcat, Seed: 5}
	whole := tsm
	whole.ShiftBlock, whole.Blocks = true, []int{2, 2, 1}
	tsn := testmodels.Spec{Blocks: []int{2, 2, 1}, Basic: true, Width: 8, Frames: 3, Size: 33, Classes: 5, Seed: 6}
	large := tsm
	large.Size, large.Frames, large.Blocks = 160, 3, []int{3, 2, 1, 1}
	bottleneck := testmodels.Spec{Blocks: []int{2, 2, 2}, Width: 8, Frames: 3, Size: 48, Classes: 5, Seed: 7}
	af := testmodels.AFSpec{Blocks: []int{3, 2, 1}, Width: 8, Frames: 4, Classes: 5, Dense: true, Seed: 3}
	return []trialCase{
		{name: "TSM, gather", source: &tsm, opt: codegen.Options{Lowering: codegen.Gather, MasksOutput: true}},
		{name: "TSM, branch", source: &tsm, opt: codegen.Options{Lowering: codegen.Branch}},
		{name: "TSM of large frames, one clip, branch", source: &large, opt: codegen.Options{Lowering: codegen.Branch}},
		{name: "TSN of basic blocks, branch", source: &tsn, opt: codegen.Options{Lowering: codegen.Branch}},
		{name: "TSN with the source's strides, branch", source: &bottleneck, how: afblock.RewriteOptions{Groups: 1, StrideAt: afblock.StrideSource},
			opt: codegen.Options{Lowering: codegen.Branch}},
		{name: "TSM with a shift of whole blocks, mask", source: &whole, opt: codegen.Options{Lowering: codegen.Mask}},
		{name: "checkpoint, topk", af: &af, opt: codegen.Options{Lowering: codegen.TopK, Budget: []int{2}, MasksOutput: true}},
		{name: "checkpoint with shift, branch with noise", af: &af, shift: 8, opt: codegen.Options{Lowering: codegen.Branch, Sampling: compiled.Gumbel}},
	}
}

// verify compiles and verifies a case; failed says what was found.
func (c trialCase) verify() (failed string, err error) {
	s, err := c.subject()
	if err != nil {
		return "", err
	}
	r, err := verify.Verify(context.Background(), s, verify.Options{
		Only: rows, Videos: clips.Random{Count: 2, Seed: 1}, Threads: 1, Batch: 2,
	})
	if err != nil {
		return "", err
	}
	for _, row := range r.Checks {
		if row.Status == verify.Fail {
			return row.Name + ": " + row.Where, nil
		}
	}
	return "", nil
}

func (c trialCase) subject() (*verify.Subject, error) {
	if c.af != nil {
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
	net, err := weights.FromStateDict(sd, weights.Options{Frames: c.af.Frames, Size: [2]int{48, 48}, ShiftDiv: c.shift})
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
