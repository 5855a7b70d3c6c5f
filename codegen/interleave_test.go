package codegen_test

import (
	"fmt"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
)

// TestInterleaveAgrees: frames that share maps give the answers of frames apart,
// wherever a stage strides.
func TestInterleaveAgrees(t *testing.T) {
	eachBlock := func(change func(*afblock.Block)) func(*afblock.Network) {
		return func(net *afblock.Network) {
			for _, st := range net.Stages {
				for _, blk := range st.Blocks {
					change(blk)
				}
			}
		}
	}
	unpooled := func(blk *afblock.Block) {
		if blk.Residual.Pool != nil {
			blk.Residual.Pool, blk.Residual.Conv.Stride = nil, 2
		}
	}
	for _, tc := range []struct {
		name   string
		basic  bool
		change func(*afblock.Network)
	}{
		{name: "pooled residual"},
		{name: "basic", basic: true},
		{name: "biased", change: biased},
		{name: "biases alone", change: func(net *afblock.Network) {
			biased(net)
			eachBlock(func(blk *afblock.Block) {
				for _, c := range blk.Convs() {
					c.BN = nil
				}
				if c := blk.Residual.Conv; c != nil {
					c.BN = nil
				}
			})(net)
		}},
		{name: "strided residual", change: eachBlock(unpooled)},
		{name: "strided residual, basic", basic: true, change: eachBlock(unpooled)},
		{name: "strided 3×3 residual", change: eachBlock(func(blk *afblock.Block) {
			unpooled(blk)
			if c := blk.Residual.Conv; c != nil && c.Stride == 2 {
				wide := make([]float32, 9*c.Out()*c.In())
				for i := range wide {
					wide[i] = float32(i%11-5) / 100
				}
				c.Weight, c.Pad = graph.Float32s([]int64{int64(c.Out()), int64(c.In()), 3, 3}, wide...), 1
			}
		})},
		{name: "first convolution strides", change: eachBlock(func(blk *afblock.Block) {
			blk.Convs()[0].Stride, blk.Convs()[1].Stride = blk.Convs()[1].Stride, blk.Convs()[0].Stride
		})},
		{name: "no stride", change: eachBlock(func(blk *afblock.Block) {
			blk.Convs()[1].Stride, blk.Residual.Pool = 1, nil
		})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := spec{name: tc.name, frames: 3, size: [2]int{40, 56}, width: 8, af: []int{2}, plain: []int{2}, basic: tc.basic}
			net := newNetwork(s)
			if tc.change != nil {
				tc.change(net)
			}
			inputs := map[string]*graph.Tensor{afblock.DefaultInput: clip(2, s)}
			interleaved := open(t, net, codegen.Options{Lowering: codegen.Branch})
			apart := codegen.Options{Lowering: codegen.Branch, Without: []codegen.Step{codegen.Interleave}}
			if counts := operators(t, net, codegen.Options{Lowering: codegen.Branch}); counts["Transpose"] < 2 {
				t.Fatalf("no frames share a map: %v", counts)
			}
			got, _ := interleaved.run(t, inputs)
			want, _ := open(t, net, apart).run(t, inputs)
			same(t, fmt.Sprintf("%s: logits", tc.name), got, want, alike)
		})
	}
}
