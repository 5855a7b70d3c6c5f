package afblock

// OptionsFrom returns what a network recognised in a model tells of a
// checkpoint for it: size, and the share of channels its blocks shift. How many
// frames a clip has is the checkpoint's to say.
func OptionsFrom(src *Network) CheckpointOptions {
	opt := CheckpointOptions{Size: src.Size}
	for b := range src.AllBlocks() {
		if b.Shift != nil && b.Shift.Fold > 0 {
			opt.ShiftDiv = b.In() / b.Shift.Fold
			break
		}
	}
	return opt
}

// Adopt puts a network read from a checkpoint in the place of src: it is
// emitted with src's inputs, what lies before the stem and what lies behind the
// trunk, and averages its frames as src does.
func (net *Network) Adopt(src *Network) {
	net.Source = src.Source
	net.Head.Consensus, net.Head.Softmax = src.Head.Consensus, src.Head.Softmax
}
