package passes

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/half"
)

// roundWeights rounds the weights of a network that is to compute in half
// precision, before it is written: what is computed of them, F(0), fits what the
// file holds, and the network read back is the one that was written. Navigation
// decides in float32 and keeps its own; so does a layer whose weights half
// precision does not hold, and narrow-float16 says so.
func roundWeights(s *State) error {
	if s.opt.Lower.Precision != compiled.FP16 {
		return nil
	}
	net := s.Network.Clone()
	var loss half.Loss
	for _, u := range net.Units() {
		if u.Navigation != nil {
			continue
		}
		for _, l := range u.All() {
			lost, err := roundLayer(l)
			if err != nil {
				return err
			}
			loss.Add(lost)
		}
	}
	s.Network = net
	s.changed(1)
	s.lost(loss)
	return nil
}

// roundLayer rounds a layer's tensors, those that half precision holds.
func roundLayer(l afblock.Layer) (loss half.Loss, err error) {
	if c, ok := l.(*afblock.Conv); ok && c.BN != nil {
		held, err := half.HoldsVariance(c.BN.Var, c.BN.Eps)
		if err != nil {
			return loss, err
		}
		if !held { // it is computed in float32
			bare := *c
			bare.BN = nil
			loss, err := roundLayer(&bare)
			c.Weight, c.Bias = bare.Weight, bare.Bias
			return loss, err
		}
	}
	l.Tensors(func(key string, at **graph.Tensor, _ bool) bool {
		if (*at).DType != graph.Float32 {
			return true
		}
		var rounded *graph.Tensor
		var lost half.Loss
		if rounded, lost, err = half.Tensor(*at); err != nil {
			err = fmt.Errorf("%s: %w", key, err)
			return false
		}
		if lost.Beyond > 0 {
			return true
		}
		loss.Add(lost)
		if *at, err = half.Widened(rounded); err != nil {
			err = fmt.Errorf("%s: %w", key, err)
		}
		return err == nil
	})
	return loss, err
}

// lost notes what rounding cost the weights, if anything but last digits.
func (s *State) lost(l half.Loss) {
	if l.Blurred > 0 {
		s.note(nil, "%d of %d weights lie below %.1e, where half precision loses digits; %d of them become zero", l.Blurred, l.Elements, half.Smallest, l.Zeroed)
	}
}

// narrowFloat16 makes a model compute in half precision, where that is asked
// for. It is the mirror of widen-float16, and the last: all before it reason in
// float32.
func narrowFloat16(s *State) error {
	if s.opt.Lower.Precision != compiled.FP16 {
		return nil
	}
	change, err := half.Narrow(s.Model, s.opt.Lower.IO == compiled.FP16)
	if err != nil {
		return err
	}
	for _, n := range change.Casts {
		s.stamp(n)
	}
	for _, k := range change.Kept {
		s.note(k.Node, "computes in float32: %s", k.Reason)
	}
	if !compiled.Is(s.Model) { // those of an AFNet are told of where they were rounded
		s.lost(change.Loss)
	}
	s.changed(change.Tensors + len(change.Casts))
	return nil
}
