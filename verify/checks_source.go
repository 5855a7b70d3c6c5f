package verify

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

// checkAgreement runs model and source on every video.
func (p *prover) checkAgreement() (Check, error) {
	if p.s.Source == nil {
		return Check{}, &InapplicableError{"no source model is given"}
	}
	got, err := p.scores(p.s.Model, p.sample())
	if err != nil {
		return Check{}, err
	}
	want, err := p.scores(p.s.Source, p.sourceFrames)
	if err != nil {
		return Check{}, err
	}
	a, err := Agree(got, want, p.s.Probabilities)
	if err != nil {
		return Check{}, err
	}
	p.r.Agreement = &a
	c := Check{Status: Info}
	c.Figure = fmt.Sprintf("top-1 %.1f %%, top-5 %.1f %%, KL %.3g, cosine %.4f", 100*a.Top1, 100*a.Top5, a.KL, a.Cosine)
	c.Where = fmt.Sprintf("on %d clips; largest divergence on clip %d", a.Clips, a.Worst)
	if p.s.FineTune {
		c.Where += "; its AF weights were never trained: it needs fine-tuning"
	}
	if p.opt.MinTop1 > 0 {
		c.Limit = fmt.Sprintf("top-1 ≥ %.1f %%", 100*p.opt.MinTop1)
		if c.Status = Pass; a.Top1 < p.opt.MinTop1 {
			c.Status = Fail
		}
	}
	return c, p.accuracy(got, want)
}

// accuracy scores both models where the videos have labels.
func (p *prover) accuracy(got, want [][]float64) error {
	labels := make([]int, p.opt.Videos.Len())
	for i := range labels {
		if labels[i] = p.opt.Videos.Label(i); labels[i] < 0 {
			return nil
		}
	}
	for i, scores := range [][][]float64{got, want} {
		a, err := Score(scores, labels)
		if err != nil {
			return err
		}
		p.r.Models[i].Accuracy = &a
	}
	return nil
}

// scores returns the first output's row for every video, averaged over rows
// where the model answers per frame.
func (p *prover) scores(m *graph.Model, frames int) ([][]float64, error) {
	in, err := clipsInput(m, frames, p.channels)
	if err != nil {
		return nil, err
	}
	batch := max(int(in.batch()), 1)
	var scores [][]float64
	for i := 0; i < p.opt.Videos.Len(); i += batch {
		clips, err := p.videos(i, batch, frames)
		if err != nil {
			return nil, err
		}
		o, err := p.run(m, p.optimised(), clips)
		if err != nil {
			return nil, err
		}
		for k := range min(batch, p.opt.Videos.Len()-i) {
			row, err := o.clipRows(batch, k, k+1)
			if err != nil {
				return nil, err
			}
			v, err := meanRow(row.outputs[row.names[0]])
			if err != nil {
				return nil, err
			}
			scores = append(scores, v)
		}
	}
	return scores, nil
}

func meanRow(t *graph.Tensor) ([]float64, error) {
	v, err := float64s(t)
	if err != nil {
		return nil, err
	}
	classes := int(t.Dims[len(t.Dims)-1])
	mean := make([]float64, classes)
	for i, x := range v {
		mean[i%classes] += x * float64(classes) / float64(len(v))
	}
	return mean, nil
}

// checkLatency times model and source side by side, one clip a run where they
// take any number.
func (p *prover) checkLatency() (Check, error) {
	if p.opt.Rounds < 0 {
		return Check{}, &InapplicableError{"not asked for"}
	}
	type entry struct {
		m      *graph.Model
		name   string
		frames int
	}
	entries := []entry{{p.s.Model, "model", p.sample()}}
	if p.s.Source != nil {
		entries = append(entries, entry{p.s.Source, "source", p.sourceFrames})
	}
	var contenders []ort.Contender
	defer func() {
		for _, c := range contenders {
			c.Session.Close()
		}
	}()
	clips := make([][][]float32, len(entries))
	for i, e := range entries {
		in, err := clipsInput(e.m, e.frames, p.channels)
		if err != nil {
			return Check{}, err
		}
		if clips[i], err = p.videos(0, max(int(in.batch()), 1), e.frames); err != nil {
			return Check{}, err
		}
		s, err := ort.NewSession(e.m, p.optimised().ForTiming())
		if err != nil {
			return Check{}, err
		}
		contenders = append(contenders, ort.Contender{Name: e.name, Session: s})
		if contenders[i].Inputs, err = p.inputs(e.m, s, clips[i], nil); err != nil {
			return Check{}, err
		}
	}
	times, err := ort.Race(p.ctx, contenders, ort.RaceOptions{Rounds: p.opt.Rounds})
	if err != nil {
		return Check{}, err
	}
	for i, t := range times {
		t.Clips = int64(len(clips[i]))
		l := latencyOf(t)
		profile, _, err := p.profiled(entries[i].m, p.optimised(), clips[i])
		if err != nil {
			return Check{}, err
		}
		if l.Resident, err = p.resident(entries[i].m, contenders[i]); err != nil {
			return Check{}, err
		}
		l.Activations, l.Ops, l.Stages = profile.PeakMemory, profile.ByOp(), profile.By(stageOf)
		slices.SortStableFunc(l.Stages, func(a, b ort.Tally) int { return strings.Compare(a.Name, b.Name) }) // in network order
		p.r.Latency = append(p.r.Latency, l)
	}
	model := &p.r.Latency[0]
	c := Check{Status: Info, Figure: fmt.Sprintf("median %.1f ms a clip", model.P50/float64(model.Clips))}
	if len(times) < 2 {
		return c, nil
	}
	ratio, err := times[0].RatioTo(times[1])
	if err != nil {
		return Check{}, err
	}
	perClip := float64(len(clips[1])) / float64(len(clips[0]))
	model.Ratio, p.r.Latency[1].Ratio = ratio.Median*perClip, 1
	c.Figure += fmt.Sprintf(", %.3f of the source's", model.Ratio)
	c.Where = fmt.Sprintf("quartiles %.3f to %.3f over %d rounds", ratio.Low*perClip, ratio.Up*perClip, len(times[0].Runs))
	return c, nil
}

// resident measures the memory that a contender's model takes, where it is a
// file and the caller says how.
func (p *prover) resident(m *graph.Model, c ort.Contender) (int64, error) {
	if p.opt.Resident == nil || m.Path == "" {
		return 0, nil
	}
	return ort.Resident(p.ctx, p.opt.Resident, m.Path, c.Session, c.Inputs)
}

var stagePattern = regexp.MustCompile(`layer[1-9]`)

// stageOf is the stage whose weights' names a node's name bears. ONNX Runtime
// names the nodes it fuses after theirs.
func stageOf(e ort.NodeEvent) string {
	if s := stagePattern.FindString(e.Node); s != "" {
		return s
	}
	return "other"
}
