package verify

import (
	"context"

	"github.com/afc-project/afc/verify/ort"
)

// Race times subjects side by side on their first videos, as the check latency
// does with a model and its source; ratios are to the first.
func Race(ctx context.Context, subjects []*Subject, opt Options) ([]Latency, error) {
	opt.Batch = 1
	var contenders []ort.Contender
	var provers []*prover
	defer func() {
		for _, c := range contenders {
			c.Session.Close()
		}
		for _, p := range provers {
			p.sessions.close()
		}
	}()
	for _, s := range subjects {
		p, err := newProver(ctx, s, opt)
		if err != nil {
			return nil, err
		}
		provers = append(provers, p)
		session, err := ort.NewSession(s.Model, p.optimised().ForTiming())
		if err != nil {
			return nil, err
		}
		contenders = append(contenders, ort.Contender{Name: s.Path, Session: session})
		if contenders[len(contenders)-1].Inputs, err = p.inputs(s.Model, session, p.clips, nil); err != nil {
			return nil, err
		}
	}
	times, err := ort.Race(ctx, contenders, ort.RaceOptions{Rounds: opt.Rounds})
	if err != nil {
		return nil, err
	}
	for i, p := range provers {
		times[i].Clips = int64(len(p.clips))
	}
	var out []Latency
	for i, t := range times {
		p, l := provers[i], latencyOf(t)
		ratio, err := t.RatioTo(times[0])
		if err != nil {
			return nil, err
		}
		l.Ratio = ratio.Median * float64(times[0].Clips) / float64(t.Clips)
		profile, _, err := p.profiled(p.s.Model, p.optimised(), p.clips)
		if err != nil {
			return nil, err
		}
		l.Activations = profile.PeakMemory
		out = append(out, l)
	}
	return out, nil
}
