package afblock

import (
	"iter"
	"slices"
)

// AllBlocks iterates over every residual block of the trunk in the order of
// the state dict: of an AF module ample, focal, fusion.
func (net *Network) AllBlocks() iter.Seq[*Block] {
	return func(yield func(*Block) bool) {
		for _, s := range net.Stages {
			blocks := s.Blocks
			if s.AF != nil {
				blocks = slices.Concat(s.AF.Ample, s.AF.Focal, []*Block{s.AF.Fusion})
			}
			for _, b := range blocks {
				if !yield(b) {
					return
				}
			}
		}
	}
}

// AllConvs iterates over every convolution of the network.
func (net *Network) AllConvs() iter.Seq[*Conv] {
	return func(yield func(*Conv) bool) {
		if !yield(&net.Stem.Conv) {
			return
		}
		for b := range net.AllBlocks() {
			for _, c := range b.Convs {
				if !yield(c) {
					return
				}
			}
			if c := b.Downsample.Conv; c != nil && !yield(c) {
				return
			}
		}
		for _, s := range net.Stages {
			if s.AF == nil {
				continue
			}
			if !yield(&s.AF.Transform) {
				return
			}
			for _, n := range s.AF.Navigation {
				if !yield(&n.Pool) {
					return
				}
			}
		}
	}
}

// AllNavigation iterates over the navigation of every focal block, in network
// order, with its number.
func (net *Network) AllNavigation() iter.Seq2[int, *Navigation] {
	return func(yield func(int, *Navigation) bool) {
		i := 0
		for _, s := range net.Stages {
			if s.AF == nil {
				continue
			}
			for _, n := range s.AF.Navigation {
				if !yield(i, n) {
					return
				}
				i++
			}
		}
	}
}

// Clone returns a copy whose structure can be changed; tensors are shared.
func (net *Network) Clone() *Network {
	out := *net
	out.Stem.Conv = net.Stem.Conv.clone()
	out.Stages = nil
	for _, s := range net.Stages {
		stage := &Stage{Name: s.Name, Blocks: cloneBlocks(s.Blocks)}
		if s.AF != nil {
			m := *s.AF
			m.Ample, m.Focal, m.Fusion = cloneBlocks(m.Ample), cloneBlocks(m.Focal), m.Fusion.clone()
			m.Transform = m.Transform.clone()
			m.Navigation = slices.Clone(m.Navigation)
			for i, n := range m.Navigation {
				c := *n
				c.Pool = n.Pool.clone()
				m.Navigation[i] = &c
			}
			stage.AF = &m
		}
		out.Stages = append(out.Stages, stage)
	}
	return &out
}

func (c *Conv) clone() Conv {
	out := *c
	if c.BN != nil {
		bn := *c.BN
		out.BN = &bn
	}
	return out
}

func (b *Block) clone() *Block {
	out := *b
	out.Convs = nil
	for _, c := range b.Convs {
		conv := c.clone()
		out.Convs = append(out.Convs, &conv)
	}
	if p := b.Downsample.Pool; p != nil {
		pool := *p
		out.Downsample.Pool = &pool
	}
	if c := b.Downsample.Conv; c != nil {
		conv := c.clone()
		out.Downsample.Conv = &conv
	}
	if b.Shift != nil {
		shift := *b.Shift
		out.Shift = &shift
	}
	return &out
}

func cloneBlocks(blocks []*Block) []*Block {
	var out []*Block
	for _, b := range blocks {
		out = append(out, b.clone())
	}
	return out
}
