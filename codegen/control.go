package codegen

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
)

// scanned is a batched value that a Scan goes over, and the type of one frame's
// share of it. Other runtimes than ONNX Runtime plan a body by the types of its
// inputs and do not infer them.
type scanned struct {
	v    *graph.Value
	part graph.Type
}

// scannedMap is a feature map to scan.
func scannedMap(x feature) scanned {
	return scanned{x.v, graph.TensorType(graph.Float32, graph.ShapeOf(int64(x.c), int64(x.h), int64(x.w)))}
}

// frame is one frame's share of a batched value inside a Scan body.
type frame struct {
	*builder
	parts []*graph.Value
}

// feature returns part i, which is frame x's share of a feature map, as a map
// of batch 1.
func (f *frame) feature(i int, x feature) feature {
	return f.unsqueezed(f.parts[i], x)
}

// unsqueezed views one frame's slice of the batch x as a map of batch 1.
func (b *builder) unsqueezed(slice *graph.Value, x feature) feature {
	return x.with(b.node("Unsqueeze", slice.Name()+".map", in(slice, b.vec(0))))
}

// scan emits a loop over the leading axis of the inputs. The body reads one
// slice of each and makes feature maps of batch 1; the results are those of all
// iterations as one batch.
//
// Inside, maps keep their batch axis to the end: ONNX Runtime writes a body's
// output in place only where a computing node makes it.
func (b *builder) scan(hint string, ins []scanned, body func(*frame) ([]feature, error)) ([]feature, error) {
	f := &frame{builder: b.sub(hint + ".body")}
	batches := make([]*graph.Value, len(ins))
	for i, in := range ins {
		batches[i] = in.v
		f.parts = append(f.parts, f.g.AddInput(b.name(fmt.Sprintf("%s.in%d", hint, i)), in.part))
	}
	outs, err := body(f)
	if err != nil {
		return nil, err
	}
	for _, o := range outs {
		o.v.Type = o.oneFrame()
		f.g.AddOutput(o.v)
	}
	stacked := b.nodes("Scan", hint, batches, len(outs),
		graph.Int("num_scan_inputs", int64(len(ins))), graph.Subgraph("body", f.g))
	for i := range outs {
		o := &outs[i]
		o.v = b.reshape(stacked[i], fmt.Sprintf("%s.out%d", hint, i), -1, int64(o.c), int64(o.h), int64(o.w))
	}
	return outs, nil
}

// decide emits one subgraph for each way the conditions can be, under nested
// Ifs; one of them makes the feature maps.
func (b *builder) decide(hint string, conds []*graph.Value, emit func(b *builder, chosen []bool) ([]feature, error)) ([]feature, error) {
	return b.decideAmong(hint, conds, nil, emit)
}

func (b *builder) decideAmong(hint string, conds []*graph.Value, known []bool, emit func(*builder, []bool) ([]feature, error)) ([]feature, error) {
	if len(conds) == 0 {
		return emit(b, known)
	}
	var outs []feature
	var branches [2]*graph.Graph
	for i, chosen := range []bool{true, false} {
		sub := b.sub(hint + []string{".then", ".else"}[i])
		var err error
		if outs, err = sub.decideAmong(hint, conds[1:], append(slices.Clone(known), chosen), emit); err != nil {
			return nil, err
		}
		for _, y := range outs {
			y.v.Type = y.oneFrame()
			sub.g.AddOutput(y.v)
		}
		branches[i] = sub.g
	}
	made := b.nodes("If", hint, in(conds[0]), len(outs),
		graph.Subgraph("then_branch", branches[0]), graph.Subgraph("else_branch", branches[1]))
	for i := range outs {
		outs[i].v = made[i]
	}
	return outs, nil
}

// decideOne is decide for a single map.
func (b *builder) decideOne(hint string, conds []*graph.Value, emit func(b *builder, chosen []bool) (feature, error)) (feature, error) {
	outs, err := b.decide(hint, conds, func(b *builder, chosen []bool) ([]feature, error) {
		y, err := emit(b, chosen)
		return []feature{y}, err
	})
	if err != nil {
		return feature{}, err
	}
	return outs[0], nil
}

// oneFrame is the type of a map of batch 1.
func (f feature) oneFrame() graph.Type {
	return graph.TensorType(graph.Float32, graph.ShapeOf(1, int64(f.c), int64(f.h), int64(f.w)))
}
