package codegen

import "github.com/afc-project/afc/afblock"

// FocalNames says by which names a focal block is found in a lowered model.
type FocalNames struct {
	Name   string // of the block
	Chosen string // value of the choice, bool [N·T]
	Logits string // value of navigation's answer, float32 [N, T, 2]
	// NavWeight and NavBias are initializers of the navigation's last
	// convolution.
	NavWeight, NavBias string
	// ConvWeights are the weights of the block's main convolutions; a piece of
	// one has a name that goes on with "[".
	ConvWeights []string
}

// FocalBlocks lists the focal blocks of a network, in network order.
func FocalBlocks(net *afblock.Network) []FocalNames {
	var names []FocalNames
	for _, s := range net.Stages {
		if s.AF == nil {
			continue
		}
		for i, blk := range s.AF.Focal {
			nav := s.AF.Navigation[i]
			n := FocalNames{
				Name: blk.Key, Chosen: nav.Key + ".chosen", Logits: nav.Key + ".logits",
				NavWeight: nav.Choice.Key + ".weight", NavBias: nav.Choice.Key + ".bias",
			}
			for _, c := range blk.Convs() {
				n.ConvWeights = append(n.ConvWeights, c.Key+".weight")
			}
			names = append(names, n)
		}
	}
	return names
}
