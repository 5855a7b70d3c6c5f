package train

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// Group is a part of a network's weights that learns or does not.
type Group string

const (
	Stem       Group = "stem"
	Trunk      Group = "trunk" // plain blocks and fusion blocks
	Ample      Group = "ample" // with the transform to the full width
	Focal      Group = "focal"
	Gate       Group = "gate"
	Navigation Group = "navigation"
	Head       Group = "head"
)

// Groups are all groups.
var Groups = []Group{Stem, Trunk, Ample, Focal, Gate, Navigation, Head}

var groupOf = map[afblock.Part]Group{
	afblock.PartStem: Stem, afblock.PartPlain: Trunk, afblock.PartFusion: Trunk, afblock.PartAmple: Ample,
	afblock.PartFocal: Focal, afblock.PartNavigation: Navigation, afblock.PartMix: Ample, afblock.PartHead: Head,
}

// Tensor is a tensor of a network and its place in a vector.
type Tensor struct {
	Key   string // without prefix
	Group Group
	Dims  []int64
	At    int64   // of the first element
	Times float64 // of the learning rate
}

func (t Tensor) elements() int64 { return product(t.Dims) }

// Layout says which of a network's tensors learn, and where each lies in the
// vector of weights, or of running statistics. Weights of one multiple of the
// learning rate lie together.
type Layout struct {
	Weights, Statistics []Tensor
}

// Multiples says which multiples of the learning rate weights have.
type Multiples string

const (
	// Authors': navigation 10, but for the bias of its choice; the linear layer 5
	// and its bias 10.
	Authors Multiples = "authors"
	Even    Multiples = "even"
)

// NewLayout lays out the weights of some groups, and the running statistics of
// the batch normalisations among them.
func NewLayout(net *afblock.Network, groups []Group, m Multiples) (*Layout, error) {
	l := &Layout{}
	for _, u := range net.Units() {
		group, ok := groupOf[u.Part]
		if !ok {
			return nil, fmt.Errorf("%s: afc does not train units of kind %q", u.Key, u.Part)
		}
		for _, layer := range u.All() {
			in := group
			if _, linear := layer.(*afblock.Linear); linear && u.Part == afblock.PartMix {
				in = Gate
			}
			if slices.Contains(groups, in) {
				layer.Tensors(func(key string, at **graph.Tensor, trained bool) bool {
					l.add(Tensor{Key: key, Group: in, Dims: (*at).Dims, Times: m.of(in, key, u)}, *at, trained)
					return true
				})
			}
		}
	}
	slices.SortStableFunc(l.Weights, func(a, b Tensor) int { return cmp.Compare(a.Times, b.Times) })
	for _, list := range [][]Tensor{l.Weights, l.Statistics} {
		at := int64(0)
		for i := range list {
			list[i].At = at
			at += list[i].elements()
		}
	}
	return l, nil
}

func (l *Layout) add(t Tensor, v *graph.Tensor, trained bool) {
	switch {
	case trained:
		l.Weights = append(l.Weights, t)
	case v.DType == graph.Float32:
		l.Statistics = append(l.Statistics, t)
	}
}

func (m Multiples) of(g Group, key string, u afblock.Unit) float64 {
	switch {
	case m == Even:
	case g == Navigation && key != u.Navigation.Choice.Key+".bias", g == Head && key == u.Key+".bias":
		return 10
	case g == Head:
		return 5
	}
	return 1
}

func size(list []Tensor) int64 {
	n := int64(0)
	for _, t := range list {
		n += t.elements()
	}
	return n
}

// Of gathers a network's weights and statistics into the layout's vectors.
func (l *Layout) Of(net *afblock.Network) (weights, statistics []float32, err error) {
	places := map[string]**graph.Tensor{}
	for key, at := range net.Tensors() {
		places[key] = at
	}
	gather := func(list []Tensor) []float32 {
		v := make([]float32, 0, size(list))
		for _, t := range list {
			x, bad := (*places[t.Key]).Float32s()
			if bad != nil && err == nil {
				err = fmt.Errorf("%s: %w", t.Key, bad)
			}
			v = append(v, x...)
		}
		return v
	}
	weights, statistics = gather(l.Weights), gather(l.Statistics)
	return weights, statistics, err
}

// Put returns the network with other weights and statistics.
func (l *Layout) Put(net *afblock.Network, weights, statistics []float32) *afblock.Network {
	out := net.Clone()
	put := map[string]*graph.Tensor{}
	for _, t := range l.Weights {
		put[t.Key] = graph.Float32s(t.Dims, weights[t.At:t.At+t.elements()]...)
	}
	for _, t := range l.Statistics {
		put[t.Key] = graph.Float32s(t.Dims, statistics[t.At:t.At+t.elements()]...)
	}
	for key, at := range out.Tensors() {
		if t := put[key]; t != nil {
			*at = t
		}
	}
	return out
}
