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
// the model makes differently, as a suffix to a message. What a loop over frames
// makes shows too; where a layer shows nowhere, the message names those between
// which the fault lies.
func (p *prover) place(b *beside) string {
	layers, err := b.layers()
	if err != nil {
		return fmt.Sprintf("; the place was not found: %v", err)
	}
	m := b.model.Clone()
	loopsShown(m.Graph)
	values := valuesOf(m.Graph, layers)
	var hidden []string
	for chunk := range slices.Chunk(layers, placeChunk) {
		var names []string
		for _, l := range chunk {
			names = append(names, values[l.key]...)
		}
		got, err := p.runTrial(m, b.t, names...)
		if err != nil {
			return fmt.Sprintf("; the place was not found: %v", err)
		}
		for _, l := range chunk {
			d, shows, err := l.against(got, values[l.key], p.tol(Interpreted))
			switch {
			case err != nil:
				return fmt.Sprintf("; the place was not found: %v", err)
			case !shows:
				hidden = append(hidden, l.key)
			case d.OK():
				hidden = slices.DeleteFunc(hidden, func(key string) bool { return cleared(key, l.key) })
			case len(hidden) > 0:
				return fmt.Sprintf("; first differs in %s or %s, shown at %s (error %s)", strings.Join(hidden, ", "), l.key, d.Where(), d.Figure())
			default:
				return fmt.Sprintf("; first differs in %s, at %s (error %s)", l.key, d.Where(), d.Figure())
			}
		}
	}
	return fmt.Sprintf("; first differs in %s", strings.Join(append(hidden, "the head"), " or "))
}

// cleared reports whether a hidden layer is right where another is: one behind
// it. Within a module the ample and the focal branch run side by side.
func cleared(hidden, right string) bool {
	for _, branch := range []string{".base_", ".refine_module."} {
		if strings.Contains(right, branch) {
			stage, _, _ := strings.Cut(right, ".")
			return strings.Contains(hidden, branch) || !strings.HasPrefix(hidden, stage+".")
		}
	}
	return true
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

// loopsShown makes each Scan of a graph give out all that its body makes, frame
// by frame.
func loopsShown(g *graph.Graph) {
	for n := range g.Nodes() {
		if !n.Is("Scan") || len(n.Subgraphs()) != 1 || n.Attr("scan_output_axes") != nil || n.Attr("scan_output_directions") != nil {
			continue
		}
		body := n.Subgraphs()[0]
		var made []*graph.Value
		for inner := range body.Nodes() {
			for _, v := range inner.Outputs() {
				if v != nil && !v.IsOutput() && makesMaps(inner) && (v.Type.Elem == graph.Undefined || v.Type.Elem.IsFloat()) {
					made = append(made, v)
				}
			}
		}
		for _, v := range made {
			v.Type = graph.Type{}
			body.AddOutput(v)
			n.AddOutput(g.NewName(v.Name() + ".shown"))
		}
	}
}

// valuesOf lists, for each layer, the values at a graph's top level that are
// named after it or stand for such a value of a loop's body, in the graph's
// order.
func valuesOf(g *graph.Graph, layers []layer) map[string][]string {
	values := map[string][]string{}
	for n := range g.Nodes() {
		for _, v := range n.Outputs() {
			if v == nil || !makesMaps(n) {
				continue
			}
			made := madeAs(v)
			for _, l := range layers {
				inside, ok := strings.CutPrefix(made+".", l.key+".")
				if ok && !strings.HasPrefix(inside, "downsample") && !strings.HasPrefix(inside, "residual") { // a path of its own
					values[l.key] = append(values[l.key], v.Name())
				}
			}
		}
	}
	return values
}

// makesMaps reports whether a node may make what leaves a layer.
func makesMaps(n *graph.Node) bool {
	return n.Is("Conv", "BatchNormalization", "Add", "Sum", "Relu", "Identity", "MaxPool", "AveragePool", "Concat", "ScatterND",
		"ScatterElements", "If", "Scan", "Reshape", "Unsqueeze", "Squeeze", "Transpose")
}

// madeAs is the name under which a value was made, behind views of it and in
// the body of a loop that gives it out.
func madeAs(v *graph.Value) string {
	for {
		n := v.Producer()
		switch {
		case n == nil:
			return v.Name()
		case n.Is("Reshape", "Unsqueeze", "Squeeze", "Identity"):
			v = n.Input(0)
		case n.Is("Scan"):
			v = n.Subgraphs()[0].Outputs()[v.ProducerIndex()]
		default:
			return v.Name()
		}
	}
}

// against compares a layer with the last of the values that have its shape,
// which is what leaves the layer. Shows is false if there is none.
func (l layer) against(got *outcome, names []string, tol Tolerance) (d Difference, shows bool, err error) {
	m := l.maps[0]
	want := []int64{int64(len(l.maps)), int64(m.C), int64(m.H), int64(m.W)}
	for _, name := range slices.Backward(names) {
		t := got.outputs[name]
		if t == nil || !t.DType.IsFloat() {
			continue
		}
		dims := t.Dims
		if len(dims) == 5 && dims[1] == 1 { // given out by a loop, frame by frame
			dims = slices.Delete(slices.Clone(dims), 1, 2)
		}
		if slices.Equal(dims, want) {
			d, err = l.compare(t, tol)
			return d, true, err
		}
	}
	return d, false, nil
}

func (l layer) compare(got *graph.Tensor, tol Tolerance) (Difference, error) {
	d := Difference{Output: l.key, Dims: got.Dims}
	g, err := float64s(got)
	if err != nil {
		return d, err
	}
	var want []float64
	for _, m := range l.maps {
		want = append(want, m.V...)
	}
	d.compare(g, want, tol)
	return d, nil
}
