package afblock

// Adopt puts a network read from a checkpoint in the place of src: it is
// emitted with src's inputs, what lies before the stem and what lies behind the
// trunk, and averages its frames as src does.
func (net *Network) Adopt(src *Network) {
	net.Shell = src.Shell
	net.Head.Consensus, net.Head.Softmax = src.Head.Consensus, src.Head.Softmax
}
