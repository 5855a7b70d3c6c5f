package recognize

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/dataflow"
)

// isModule reports whether an AF module begins at a map with these readers: a
// navigation looks at its mean beside convolutions. A head looks alone.
func (r *recognizer) isModule(rs []reader) bool {
	return isBlock(rs) && slices.ContainsFunc(rs, r.looks)
}

// looks reports whether a reader is navigation's first: it takes the mean of a
// map, of which a convolution makes two features. An average pool on a residual
// path may take the mean of a small map, too.
func (r *recognizer) looks(u reader) bool {
	n := u.node
	return (n.Is("GlobalAveragePool", "ReduceMean", "ReduceSum") || r.poolsAll(n)) && r.makesTwo(n.Output(0))
}

// makesTwo reports whether a convolution makes two features of v, a factor in
// between or not.
func (r *recognizer) makesTwo(v *graph.Value) bool {
	rs, _ := r.readers(v)
	for _, u := range rs {
		if u.node.Is("Mul", "Div") && len(r.Dims(u.node.Output(0))) > 0 && v.Producer().Is("ReduceSum") {
			return r.makesTwo(u.node.Output(0))
		}
		if w := r.Constant(u.node.Input(1)); u.node.Is("Conv") && w != nil && len(w.Dims) == 4 && w.Dims[0] == 2 {
			return true
		}
	}
	return false
}

// poolsAll reports whether an average pool's window is the whole map.
func (r *recognizer) poolsAll(n *graph.Node) bool {
	d := r.Dims(n.Input(0))
	return n.Is("AveragePool") && len(d) > 2 && slices.Equal(n.AttrInts("kernel_shape"), d[2:]) &&
		!slices.ContainsFunc(n.AttrInts("pads"), func(p int64) bool { return p != 0 }) &&
		dataflow.Elements(r.Dims(n.Output(0))) == d[0]*d[1]
}

// module reads the AF module whose input is x, and returns what its fusion block
// makes.
func (r *recognizer) module(x *graph.Value, name string) (*afblock.AFModule, *graph.Value, error) {
	m := &afblock.AFModule{}
	r.afnet = true
	a, f := x, x
	for {
		rs, output := r.readers(a)
		if !slices.ContainsFunc(rs, r.looks) {
			break
		}
		r.where = fmt.Sprintf("%s, focal block %d", name, len(m.Focal))
		if output {
			return nil, nil, r.inside(a)
		}
		var err error
		if a, f, err = r.pair(m, a, f); err != nil {
			return nil, nil, err
		}
	}
	rs, _ := r.readers(f)
	if i := slices.IndexFunc(rs, r.looks); i >= 0 {
		return nil, nil, r.refuse(rs[i].node, "a navigation that looks at the ample branch, "+quote(a), "one that looks at the focal branch, "+quote(f), "")
	}
	r.where = name + ", where its branches meet"
	y, err := r.mix(m, a, f)
	if err != nil {
		return nil, nil, err
	}
	r.where = name + ", fusion block"
	rs, output := r.readers(y)
	if output {
		return nil, nil, r.inside(y)
	}
	if m.Fusion, y, err = r.block(y, rs); err != nil {
		return nil, nil, err
	}
	return m, y, nil
}

// inside is the refusal of a map in the trunk that is an output.
func (r *recognizer) inside(x *graph.Value) error {
	return r.refuse(x.Producer(), "the trunk's inside read by the trunk alone", "a graph output, "+quote(x), "export the network with its scores as the one output")
}

// pair reads the next ample block, of a, and the focal block beside it, of f,
// with the navigation that makes its mask. It returns what they make.
func (r *recognizer) pair(m *afblock.AFModule, a, f *graph.Value) (ample, focal *graph.Value, err error) {
	rs, _ := r.readers(a)
	ways, err := r.branches(a, slices.DeleteFunc(slices.Clone(rs), r.looks))
	if err != nil {
		return nil, nil, err
	}
	if f != a {
		rs, output := r.readers(f)
		if output {
			return nil, nil, r.inside(f)
		}
		more, err := r.branches(f, rs)
		if err != nil {
			return nil, nil, err
		}
		ways = append(ways, more...)
	}
	main, side, others := masked(ways)
	if main == nil || len(others) != 2 || !meet(others[0], others[1]) {
		var n *graph.Node
		if len(rs) > 0 {
			n = rs[0].node
		}
		return nil, nil, r.refuse(n, "an ample block and a focal block whose frames a mask selects, each of two branches that meet in a sum",
			fmt.Sprintf("%d branches, %d of them with a mask", len(ways), countMasks(ways)), "")
	}
	nav, err := r.navigation(main.mask, a)
	if err != nil {
		return nil, nil, err
	}
	aBlock, aOut, err := r.residual(a, others[0], others[1], false)
	if err != nil {
		return nil, nil, err
	}
	if err := r.unselected(*main); err != nil {
		return nil, nil, err
	}
	fBlock, fOut, err := r.residual(f, *main, *side, true)
	if err != nil {
		return nil, nil, err
	}
	m.Navigation, m.Ample, m.Focal = append(m.Navigation, nav), append(m.Ample, aBlock), append(m.Focal, fBlock)
	return aOut, fOut, r.sameGroups(m, main.ops[0])
}

// masked tells the branch whose frames a mask selects, the one that meets it,
// and the others.
func masked(ways []branch) (main, side *branch, others []branch) {
	for i := range ways {
		if ways[i].mask != nil && countMasks(ways) == 1 {
			main = &ways[i]
		}
	}
	if main == nil {
		return nil, nil, nil
	}
	for i := range ways {
		switch b := &ways[i]; {
		case b == main:
		case meet(*b, *main) && side == nil:
			side = b
		default:
			others = append(others, *b)
		}
	}
	if side == nil || len(main.ops) == 0 {
		return nil, nil, nil
	}
	return main, side, others
}

func countMasks(ways []branch) int {
	n := 0
	for _, b := range ways {
		if b.mask != nil {
			n++
		}
	}
	return n
}

// unselected notes what a focal block answers for a frame left out: F(0) where
// the mask stands in front of it, zero where it stands behind.
func (r *recognizer) unselected(main branch) error {
	answer := afblock.UnselectedBias
	switch main.maskAt {
	case 0:
	case len(main.ops):
		answer = afblock.UnselectedZero
	default:
		return r.refuse(main.mask.node, "a mask in front of a focal block's convolutions or behind them", "one between them", "")
	}
	if len(r.choices) > 1 && answer != r.net.Unselected {
		return r.refuse(main.mask.node, fmt.Sprintf("frames left out that answer as in the blocks before (%s)", r.net.Unselected), answer.String(), "")
	}
	r.net.Unselected = answer
	return nil
}

// sameGroups holds the focal convolutions of a module to one number of groups.
func (r *recognizer) sameGroups(m *afblock.AFModule, n *graph.Node) error {
	m.Groups = m.Focal[0].Convs()[0].Groups
	for _, b := range m.Focal {
		for _, c := range b.Convs() {
			if c.Groups != m.Groups {
				return r.refuse(n, fmt.Sprintf("focal convolutions in %d groups throughout the module", m.Groups), fmt.Sprintf("one in %d", c.Groups), "")
			}
		}
	}
	return nil
}

// nameAFNet gives the layers of an AFNet the authors' keys.
func nameAFNet(net *afblock.Network) {
	count := map[string]int{}
	next := func(list string) string {
		count[list]++
		return fmt.Sprintf("%s.%d", list, count[list]-1)
	}
	lists := map[afblock.Part]string{
		afblock.PartPlain: "", afblock.PartAmple: ".base_module", afblock.PartFocal: ".refine_module", afblock.PartFusion: ".fusion",
		afblock.PartNavigation: ".list_gen",
	}
	for _, u := range net.Units() {
		if u.Stage == nil {
			continue
		}
		switch u.Part {
		case afblock.PartNavigation:
			key := next(u.Stage.Name + lists[u.Part])
			u.Navigation.Key, u.Navigation.Choice.Key = key, key+".conv_gs"
			nameConv(&u.Navigation.Look, key+".conv_pool")
		case afblock.PartMix:
			m, name := u.Stage.AF, u.Stage.Name
			nameConv(m.Transform, name+".base_transform.0")
			m.Gate.Squeeze.Key, m.Gate.Excite.Key = name+".att_gen.fc.0", name+".att_gen.fc.2"
		default:
			nameAFBlock(u.Block, next(u.Stage.Name+lists[u.Part]))
		}
	}
	net.Head.FC.Key = "new_fc"
	net.Keys = afblock.KeyStyle{Prefix: "module.base_model.", FC: "module.new_fc"}
}

func nameAFBlock(b *afblock.Block, key string) {
	b.Key = key
	for i, c := range b.Convs() {
		nameConv(c, fmt.Sprintf("%s.conv%d", key, i+1))
	}
	if c := b.Residual.Conv; c != nil {
		nameConv(c, afblock.ResidualKey(key, b.Residual.Pool != nil))
	}
}

func nameConv(c *afblock.Conv, key string) {
	c.Key = key
	if c.BN != nil {
		c.BN.Key = afblock.BatchNormKey(key)
	}
}
