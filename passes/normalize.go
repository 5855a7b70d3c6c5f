package passes

import "github.com/afc-project/afc/graph"

// normalizeTraining turns what a training-mode export leaves behind into
// inference: BatchNormalization that updates its statistics, Dropout that
// drops. The file's running statistics are what inference uses, as PyTorch's
// eval() does.
func normalizeTraining(s *State) error {
	trainingBatchNorm.apply(s)
	trainingDropout.apply(s)
	return nil
}

// trainingBatchNorm matches extra outputs (opset 9–13: five, their presence
// means training) and training_mode = 1 (from 14).
var trainingBatchNorm = rewrite[*graph.Node]{
	ops: []string{"BatchNormalization"},
	match: func(n *graph.Node) (*graph.Node, bool) {
		return n, len(n.Outputs()) > 1 || n.AttrInt("training_mode", 0) != 0
	},
	check: func(n *graph.Node) string {
		for _, v := range n.Outputs()[1:] {
			if v != nil && v.NumUses() > 0 {
				return "it trains: its output " + v.Name() + " (updated statistics) is read; export with model.eval()"
			}
		}
		return ""
	},
	replace: func(_ *State, n *graph.Node, _ *graph.Node) {
		n.TrimOutputs(1)
		n.RemoveAttr("training_mode")
		n.RemoveAttr("momentum")
	},
}

// trainingDropout matches training_mode set by a constant or computed; only
// the former is known to be training.
var trainingDropout = rewrite[*graph.Node]{
	ops: []string{"Dropout"},
	match: func(n *graph.Node) (*graph.Node, bool) {
		return n, n.Input(2) != nil && !dropoutIsIdentity(n)
	},
	check: func(n *graph.Node) string {
		if mask := n.Output(1); mask != nil && mask.NumUses() > 0 {
			return "it trains: its mask is read; export with model.eval()"
		}
		if n.Input(2).Const() == nil {
			return "whether it trains is decided at run time"
		}
		return ""
	},
	replace: func(_ *State, n *graph.Node, _ *graph.Node) { n.TrimInputs(2) },
}
