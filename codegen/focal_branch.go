package codegen

import (
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// branchModule emits what follows an AF module's ample branch as a Scan over
// frames with an If per focal block: a frame's maps stay in the cache from
// block to block, and an unselected frame costs one addition a block.
func (l *lowerer) branchModule(x, a feature, s *afblock.Stage, chosen []selection) (feature, error) {
	ins, elems := in(x.v, a.v), []graph.DataType{graph.Float32, graph.Float32}
	for _, c := range chosen {
		ins, elems = append(ins, c.chosen), append(elems, graph.Bool)
	}
	outs, err := l.scan(s.Name+".frames", ins, elems, func(fr *frame) ([]feature, error) {
		f := fr.feature(0, x)
		for n, blk := range s.AF.Focal {
			var err error
			if f, err = l.branchFrame(fr.builder, f, f, blk, fr.parts[2+n]); err != nil {
				return nil, err
			}
		}
		t := fr.conv(fr.feature(1, a), convOf(&s.AF.Transform))
		y := fr.mixLow(t, f, &s.AF.Gate, s.Name)
		return []feature{fr.block(y, s.AF.Fusion, 1)}, nil
	})
	if err != nil {
		return feature{}, err
	}
	return outs[0], nil
}

// branchBlock emits one focal block as a Scan of its own, where the temporal
// shift needs all frames between one block and the next.
func (l *lowerer) branchBlock(x feature, blk *afblock.Block, s selection) (feature, error) {
	main, residual := l.shifted(x, blk, l.net.Frames)
	outs, err := l.scan(blk.Key+".frames", in(main.v, residual.v, s.chosen),
		[]graph.DataType{graph.Float32, graph.Float32, graph.Bool},
		func(fr *frame) ([]feature, error) {
			y, err := l.branchFrame(fr.builder, fr.feature(0, main), fr.feature(1, residual), blk, fr.parts[2])
			return []feature{y}, err
		})
	if err != nil {
		return feature{}, err
	}
	return outs[0], nil
}

// shiftsFocal reports whether frames of a stage's focal branch read each other.
func shiftsFocal(s *afblock.Stage) bool {
	return s.AF != nil && (s.AF.Fusion.Shift != nil ||
		slices.ContainsFunc(s.AF.Focal, func(b *afblock.Block) bool { return b.Shift != nil }))
}

// branchFrame emits one frame's focal block.
func (l *lowerer) branchFrame(b *builder, main, residual feature, blk *afblock.Block, cond *graph.Value) (feature, error) {
	return b.choose(blk.Key, cond,
		func(b *builder) (feature, error) {
			return b.join(b.convs(main, blk), b.downsample(residual, blk), blk), nil
		},
		func(b *builder) (feature, error) {
			y := b.downsample(residual, blk)
			if l.net.Unselected == afblock.UnselectedBias {
				zero, err := b.zeroMap(blk, main)
				if err != nil {
					return feature{}, err
				}
				return b.join(y.with(zero), y, blk), nil
			}
			if blk.FinalReLU {
				return b.relu(y, blk.Key+".relu"), nil
			}
			// A branch must make what it returns.
			return y.with(b.node("Identity", blk.Key+".same", in(y.v))), nil
		})
}
