package afblock

import "fmt"

// Adopt puts a network read from a checkpoint in the place of src: it is
// emitted with src's inputs, what lies before the stem and what lies behind the
// trunk, and averages its frames as src does. It fails where heads differ in more
// than that.
func (net *Network) Adopt(src *Network) error {
	if (net.Head.Hidden == nil) != (src.Head.Hidden == nil) {
		return fmt.Errorf("an %s has two linear layers behind its trunk, the model one: convert its weights alone", net.Backbone())
	}
	net.Shell = src.Shell
	net.Head.Consensus, net.Head.Softmax = src.Head.Consensus, src.Head.Softmax
	return nil
}
