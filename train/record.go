package train

import (
	"fmt"
	"strings"

	"github.com/afc-project/afc/afblock"
)

// record notes in the network how it was trained.
func (t *tuner) record(r *Result) {
	tuned := &afblock.Tuned{From: r.Net.Origin(), Masks: string(t.opt.Masks), Clips: r.Clips, Steps: r.Steps, Seed: t.opt.Seed, Labels: t.opt.Labels > 0, Source: t.opt.Distill > 0}
	switch t.opt.Masks {
	case Choose:
		tuned.Ratio = t.opt.Ratio
		for _, n := range r.Net.Navigation() {
			n.Fixed = nil
		}
	case Schedule:
		tuned.Pattern = r.Net.Navigation()[0].Fixed.String()
	case Random:
		tuned.Pattern = strings.Trim(strings.ReplaceAll(fmt.Sprint(t.opt.Budgets), " ", ","), "[]")
	}
	for _, g := range t.opt.Groups {
		tuned.Groups = append(tuned.Groups, string(g))
	}
	if r.Best != nil {
		tuned.Held, tuned.Right, tuned.Agrees, tuned.Error = r.Best.Clips, r.Best.Right, r.Best.Agrees, r.Best.Error
	}
	r.Net.FineTune, r.Net.Fit, r.Net.Tune = false, nil, tuned
}
