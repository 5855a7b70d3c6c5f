package afblock

import (
	"fmt"
	"slices"
)

// standardResNet is a ResNet that has a number.
type standardResNet struct {
	depth      int
	bottleneck bool
	blocks     []int // of each stage
}

var standardBlocks = []standardResNet{
	{18, false, []int{2, 2, 2, 2}}, {34, false, []int{3, 4, 6, 3}}, {50, true, []int{3, 4, 6, 3}},
	{101, true, []int{3, 4, 23, 3}}, {152, true, []int{3, 8, 36, 3}},
}

// Backbone names the trunk by its blocks: "ResNet-50", or "ResNet [2 3 4 2]"
// where no ResNet of a number has them.
func (net *Network) Backbone() string {
	if net.Head.Last != nil {
		return "AF-MobileNetV3"
	}
	var blocks []int
	bottleneck := true
	for _, s := range net.Stages {
		blocks = append(blocks, len(s.MainLine()))
		bottleneck = bottleneck && s.MainLine()[0].Bottleneck()
	}
	name := "ResNet"
	if first := net.Stages[0].MainLine()[0]; bottleneck && first.Convs()[1].Out()*4 != first.Out() {
		name = "Wide-ResNet"
	}
	if slices.ContainsFunc(net.Stages, func(s *Stage) bool { return s.AF != nil }) {
		name = "AF-" + name
	}
	for _, std := range standardBlocks {
		if std.bottleneck == bottleneck && slices.Equal(std.blocks, blocks) {
			return fmt.Sprintf("%s-%d", name, std.depth)
		}
	}
	return fmt.Sprintf("%s %v", name, blocks)
}

// MainLine is a stage's blocks as a plain ResNet counts them: of an AF module
// the focal ones and the fusion block.
func (s *Stage) MainLine() []*Block {
	if s.AF == nil {
		return s.Blocks
	}
	return append(slices.Clone(s.AF.Focal), s.AF.Fusion)
}
