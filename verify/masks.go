package verify

import (
	"fmt"
	"math"

	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
)

// shown returns a copy of m with the choices and logits of its focal blocks
// among the outputs, as far as its top level has them, under their own names.
func (p *prover) shown(m *graph.Model) *graph.Model {
	c := m.Clone()
	for _, b := range p.s.Blocks {
		for _, name := range []string{b.Chosen, b.Logits} {
			if v := c.Graph.Value(name); v != nil && !v.IsOutput() {
				c.Graph.AddOutput(v)
			}
		}
	}
	p.showCells(c.Graph)
	return c
}

// readMasks takes choices and margins out of the outputs of a shown model,
// or of one with the output "masks", leaving its own outputs. o is the answer
// to a batch of samples.
func (p *prover) readMasks(o *outcome, samples int) error {
	clips := samples * p.crops
	blocks, frames := len(p.s.Blocks), p.frames
	var leads []float64
	masks := newMasks(clips, blocks, frames)
	found := blocks > 0
	for b, block := range p.s.Blocks {
		chosen, logits := o.take(block.Chosen), o.take(block.Logits)
		if chosen == nil {
			found = false
		} else if err := fillMasks(masks, b, chosen, block.Chosen); err != nil {
			return err
		}
		if logits == nil {
			continue
		}
		v, err := float64s(logits)
		if err != nil {
			return err
		}
		if len(v) != 2*clips*frames {
			return fmt.Errorf("value %q is %v, want [%d %d 2]", block.Logits, logits.Dims, clips, frames)
		}
		if leads == nil {
			leads = make([]float64, clips*blocks*frames)
		}
		for i := range clips * frames {
			leads[(i/frames*blocks+b)*frames+i%frames] = v[2*i+1] - v[2*i]
		}
	}
	if t := o.take(names.Masks); t != nil && !found && blocks > 0 {
		v, err := float64s(t)
		if err != nil {
			return err
		}
		if len(v) != clips*blocks*frames {
			return fmt.Errorf("output %q is %v, want [%d %d %d]", names.Masks, t.Dims, clips, blocks, frames)
		}
		for i, x := range v {
			masks[i/frames/blocks][i/frames%blocks][i%frames] = bit(x)
		}
		found = true
	}
	if found {
		o.masks = masks
	}
	o.leads = leads
	for _, lead := range leads {
		o.margins = append(o.margins, math.Abs(lead))
	}
	return p.readCells(o, clips)
}

func newMasks(clips, blocks, frames int) [][][]uint8 {
	masks := make([][][]uint8, clips)
	for c := range masks {
		masks[c] = make([][]uint8, blocks)
		for b := range masks[c] {
			masks[c][b] = make([]uint8, frames)
		}
	}
	return masks
}

func fillMasks(masks [][][]uint8, block int, chosen *graph.Tensor, name string) error {
	v, err := float64s(chosen)
	if err != nil {
		return err
	}
	frames := len(masks[0][block])
	if len(v) != len(masks)*frames {
		return fmt.Errorf("value %q is %v, want %d choices", name, chosen.Dims, len(masks)*frames)
	}
	for i, x := range v {
		masks[i/frames][block][i%frames] = bit(x)
	}
	return nil
}

func bit(x float64) uint8 {
	if x > 0.5 {
		return 1
	}
	return 0
}

// take removes an output and returns it, nil if there is none.
func (o *outcome) take(name string) *graph.Tensor {
	t := o.outputs[name]
	if t == nil {
		return nil
	}
	delete(o.outputs, name)
	for i, n := range o.names {
		if n == name {
			o.names = append(o.names[:i:i], o.names[i+1:]...)
			break
		}
	}
	return t
}

// masksTensor writes masks as the input "masks_in" takes them.
func masksTensor(masks [][][]uint8) *graph.Tensor {
	var v []float32
	for _, clip := range masks {
		for _, block := range clip {
			for _, b := range block {
				v = append(v, float32(b))
			}
		}
	}
	return graph.Float32s([]int64{int64(len(masks)), int64(len(masks[0])), int64(len(masks[0][0]))}, v...)
}

// forced returns a copy of m whose navigation chooses the given frames
// [block][frame] of every clip: its last convolutions get zero weights, and
// biases that decide. equal makes both logits equal instead. cells, if given, are
// chosen inside the frames, [block][cell].
func (p *prover) forced(m *graph.Model, choose, cells [][]uint8, equal bool) (*graph.Model, error) {
	c := m.Clone()
	for b, block := range p.s.Blocks {
		weight, bias := c.Graph.Value(block.NavWeight), c.Graph.Value(block.NavBias)
		if weight == nil || bias == nil || weight.Initializer() == nil || bias.Initializer() == nil {
			return nil, &InapplicableError{fmt.Sprintf("the navigation of %s has no weights %s, %s to force it with", names.InWords(block.Key), block.NavWeight, block.NavBias)}
		}
		w := weight.Initializer()
		n, err := w.NumElements()
		if err != nil {
			return nil, err
		}
		logits := make([]float32, 2*p.frames)
		for t, on := range choose[b] {
			if !equal {
				logits[2*t+int(on)] = 1
			}
		}
		c.Graph.SetInitializer(weight, graph.Float32s(w.Dims, make([]float32, n)...))
		c.Graph.SetInitializer(bias, graph.Float32s(bias.Initializer().Dims, logits...))
	}
	if cells == nil {
		return c, nil
	}
	return c, p.forceCells(c.Graph, cells)
}

// pattern makes choices [block][frame].
func (p *prover) pattern(on func(block, frame int) bool) [][]uint8 {
	choose := make([][]uint8, len(p.s.Blocks))
	for b := range choose {
		choose[b] = make([]uint8, p.frames)
		for t := range choose[b] {
			if on(b, t) {
				choose[b][t] = 1
			}
		}
	}
	return choose
}
