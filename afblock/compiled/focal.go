package compiled

import (
	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
)

// FocalBlocks lists the focal blocks of a network, in network order.
func FocalBlocks(net *afblock.Network) []names.Focal {
	var blocks []names.Focal
	for _, s := range net.Stages {
		if s.AF == nil {
			continue
		}
		for i, blk := range s.AF.Focal {
			nav := s.AF.Navigation[i]
			n := names.Focal{
				Key: blk.Key, Chosen: nav.Key + ".chosen", Logits: nav.Key + ".logits",
				NavWeight: nav.Choice.Key + ".weight", NavBias: nav.Choice.Key + ".bias",
			}
			if nav.Cells != nil {
				n.Grid, n.Cells, n.CellLogits = nav.Cells.Grid, nav.Key+".cells", nav.Key+".cell_logits"
			}
			for _, c := range blk.Convs() {
				n.ConvWeights = append(n.ConvWeights, c.Key+".weight")
			}
			blocks = append(blocks, n)
		}
	}
	return blocks
}
