package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/interpret"
)

// checkSource holds the network in the file to what becomes of the source.
func (p *prover) checkSource() (Check, error) {
	switch {
	case p.s.Source == nil:
		return Check{}, &InapplicableError{"no source model is given"}
	case p.s.Network == nil:
		return Check{}, &InapplicableError{"the model is not an AFNet that afc wrote"}
	case p.s.SourceNetwork == nil:
		return Check{Status: Fail, Figure: "not recognised", Where: "nothing can be said of an AFNet's source that is none: " + p.s.SourceUnknown}, nil
	}
	if p.s.Export != nil {
		return p.sameNetwork()
	}
	c := Check{Status: Pass, Limit: "as the rewrite has it"}
	reason, layers := p.s.Network.DescendsFrom(p.s.SourceNetwork, p.s.Origin, p.s.Unit)
	if reason != "" {
		c.Status, c.Figure, c.Where = Fail, "another network", reason
		return c, nil
	}
	switch p.s.Origin {
	case interpret.Transplanted:
		c.Figure = fmt.Sprintf("depth, classes, strides, shift, head and the weights of %d layers", layers)
	case interpret.Adapted:
		c.Figure, c.Where = "depth, classes, strides, shift and the stem's weights", "the other weights were fitted or tuned"
	case interpret.Trained:
		c.Figure, c.Where = "depth, classes, strides and shift", "its weights were trained: nothing else ties them to a source"
	}
	return c, nil
}

// sameNetwork holds the network in the file to that of an exported AFNet, every
// weight of it.
func (p *prover) sameNetwork() (Check, error) {
	e := p.s.Export
	switch {
	case e.Retrained:
		return Check{}, &InapplicableError{"the source is an AFNet, and the file's weights were trained since"}
	case e.Differs != "":
		return Check{Status: Fail, Limit: "equal", Figure: "another network", Where: e.Differs}, nil
	}
	return Check{Status: Pass, Limit: "equal", Figure: fmt.Sprintf("structure and all %d tensors of the exported AFNet", e.Tensors)}, nil
}

// checkExport holds the file to the answers and choices of the AFNet that it was
// read from, as that was exported.
func (p *prover) checkExport() (Check, error) {
	switch {
	case p.s.Source == nil:
		return Check{}, &InapplicableError{"no source model is given"}
	case p.s.Export == nil:
		return Check{}, &InapplicableError{"the source is no AFNet that another program exported"}
	case p.s.Export.Retrained:
		return Check{}, &InapplicableError{"the source is an AFNet, and the file's weights were trained since"}
	case p.s.Budget != nil:
		return Check{}, &InapplicableError{"a budget drops frames, and the export does not"}
	case p.sourceFrames != p.sample():
		return Check{}, &InapplicableError{fmt.Sprintf("the source takes %d frames at once, the model %d", p.sourceFrames, p.sample())}
	}
	var worst Check
	for i, clips := range p.batches {
		got, err := p.baseline(i)
		if err != nil {
			return Check{}, err
		}
		want, err := p.exported(clips)
		if err != nil {
			return Check{}, err
		}
		want.margins = got.margins
		c, err := p.sameButForTies("export", got, want, Reordered)
		if err != nil || c.Status == Fail {
			return c, err
		}
		if i == 0 || c.size > worst.size {
			worst = c
		}
	}
	if p.s.Export.Masks == "" {
		worst.Where = strings.TrimPrefix(worst.Where+"; the export does not show its choices", "; ")
	} else {
		worst.Figure += ", 0 flips"
	}
	return worst, nil
}

// exported runs the export, as it chooses without noise, on clips.
func (p *prover) exported(clips [][]float32) (*outcome, error) {
	o, err := p.run(p.s.Export.Model, p.unoptimised(), clips)
	if err != nil {
		return nil, err
	}
	masks := o.take(p.s.Export.Masks)
	for _, name := range slices.Clone(o.names)[1:] {
		o.take(name) // choices of another form
	}
	if masks == nil {
		return o, nil
	}
	o.outputs[names.Masks], o.names = masks, append(o.names, names.Masks)
	return o, p.readMasks(o, len(clips))
}

func (p *prover) checkIdentity() (Check, error) {
	switch {
	case p.s.Source == nil:
		return Check{}, &InapplicableError{"no source model is given"}
	case p.s.Identity == nil:
		return Check{}, &InapplicableError{"the model is not an AFNet that afc wrote"}
	}
	if p.sourceFrames != p.sample() {
		return Check{}, &InapplicableError{fmt.Sprintf("the source takes %d frames at once, the model %d", p.sourceFrames, p.sample())}
	}
	if n := trains(p.s.Source.Graph); n != nil {
		return Check{}, &InapplicableError{fmt.Sprintf("the source computes in training mode (%s): its answers hang on the whole batch", n.Name)}
	}
	m, err := p.s.Identity()
	if err != nil {
		return Check{}, err
	}
	got, err := p.run(m, p.unoptimised(), p.clips)
	if err != nil {
		return Check{}, err
	}
	got.take(names.Masks)
	want, err := p.run(p.s.Source, p.unoptimised(), p.clips)
	if err != nil {
		return Check{}, err
	}
	tol := Folded
	for _, out := range want.outputs {
		if out.DType == graph.Float16 {
			tol = Half
		}
	}
	return p.same("identity", p.clips, got, want, p.tol(tol))
}

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
	got, want = clips.OfVideos(p.opt.Videos, got), clips.OfVideos(p.opt.Videos, want)
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
	if p.s.Fitted != "" {
		c.Where += "; its weights were " + p.s.Fitted
	}
	if p.opt.MinTop1 > 0 {
		c.Limit = fmt.Sprintf("top-1 ≥ %.1f %%", 100*p.opt.MinTop1)
		if c.Status = Pass; a.Top1 < p.opt.MinTop1 {
			c.Status = Fail
		}
	}
	return c, p.accuracy(got, want)
}

// trains returns a node that computes in training mode, nil if there is none.
func trains(g *graph.Graph) *graph.Node {
	for n := range g.Nodes() {
		if n.Is("BatchNormalization") && n.AttrInt("training_mode", 0) == 1 {
			return n
		}
	}
	return nil
}

// accuracy scores both models where the videos have labels.
func (p *prover) accuracy(got, want [][]float64) error {
	labels := make([]int, len(got))
	for i := range labels {
		if labels[i] = p.opt.Videos.Label(i * clips.Views(p.opt.Videos)); labels[i] < 0 {
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
	in, err := p.clipsInput(m, frames)
	if err != nil {
		return nil, err
	}
	batch := max(int(in.Batch()), 1)
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
			v, err := o.scoresOf(batch, k)
			if err != nil {
				return nil, err
			}
			scores = append(scores, v)
		}
	}
	return scores, nil
}

// scoresOf returns the scores of clip k of a batch, the mean of its rows where
// it has several.
func (o *outcome) scoresOf(batch, k int) ([]float64, error) {
	row, err := o.clipRows(batch, k, k+1)
	if err != nil {
		return nil, err
	}
	return meanRow(row.outputs[row.names[0]])
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
