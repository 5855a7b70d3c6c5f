package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/interpret"
)

// placeChunk is how many layers are looked at in one run of the model.
const placeChunk = 8

// layer is what the network makes of all clips' frames at one place.
type layer struct {
	key  string
	maps []*interpret.Map
}

// place says which layer's answer is the first, in the network's order, that
// the model makes differently, as a suffix to a message. Layers inside bodies of
// branches and loops do not show; the message then says between which layers
// the fault lies.
func (p *prover) place(b *beside) string {
	layers, err := b.layers()
	if err != nil {
		return fmt.Sprintf("; the place was not found: %v", err)
	}
	good := ""
	var hidden []string
	for chunk := range slices.Chunk(layers, placeChunk) {
		var names []string
		for _, l := range chunk {
			names = append(names, candidates(b.model.Graph, l.key)...)
		}
		got, err := p.runTrial(b.model, b.t, names...)
		if err != nil {
			return fmt.Sprintf("; the place was not found: %v", err)
		}
		for _, l := range chunk {
			value := shownAs(got, candidates(b.model.Graph, l.key), l)
			if value == nil {
				hidden = append(hidden, l.key)
				continue
			}
			d, err := l.compare(value)
			switch {
			case err != nil:
				return fmt.Sprintf("; the place was not found: %v", err)
			case d.OK():
				good, hidden = l.key, nil
				continue
			case len(hidden) > 0:
				return fmt.Sprintf("; first differs in %s or %s, which shows at %s (error %s)", strings.Join(hidden, ", "), l.key, d.Where(), d.Figure())
			}
			return fmt.Sprintf("; first differs in %s, at %s (error %s)", l.key, d.Where(), d.Figure())
		}
	}
	if len(hidden) > 0 {
		return fmt.Sprintf("; first differs in %s or the head", strings.Join(hidden, ", "))
	}
	return fmt.Sprintf("; first differs behind %s, in the head", good)
}

// layers interprets the clips once more and keeps what each layer makes.
func (b *beside) layers() ([]layer, error) {
	var layers []layer
	for i := range b.frames {
		g, at := b.given(i), 0
		g.See = func(key string, maps []*interpret.Map) {
			if at == len(layers) {
				layers = append(layers, layer{key: key})
			}
			layers[at].maps = append(layers[at].maps, maps...)
			at++
		}
		if _, err := b.p.s.Network.Clip(b.frames[i], b.h, b.w, g); err != nil {
			return nil, err
		}
	}
	return layers, nil
}

// candidates lists the values at a graph's top level whose names say that they
// are of a layer, in the graph's order.
func candidates(g *graph.Graph, key string) []string {
	var names []string
	for n := range g.Nodes() {
		for _, v := range n.Outputs() {
			if v != nil && (v.Name() == key || strings.HasPrefix(v.Name(), key+".")) {
				names = append(names, v.Name())
			}
		}
	}
	return names
}

// shownAs picks the value that holds a layer's answer: the last of its shape.
func shownAs(got *outcome, names []string, l layer) *graph.Tensor {
	m := l.maps[0]
	want := []int64{int64(len(l.maps)), int64(m.C), int64(m.H), int64(m.W)}
	for _, name := range slices.Backward(names) {
		if t := got.outputs[name]; t != nil && t.DType.IsFloat() && slices.Equal(t.Dims, want) {
			return t
		}
	}
	return nil
}

func (l layer) compare(got *graph.Tensor) (Difference, error) {
	d := Difference{Output: l.key, Dims: got.Dims}
	g, err := float64s(got)
	if err != nil {
		return d, err
	}
	var want []float64
	for _, m := range l.maps {
		want = append(want, m.V...)
	}
	d.compare(g, want, Interpreted)
	return d, nil
}
