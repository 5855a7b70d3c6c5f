package afexports

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/passes"
)

// TestDamaged compiles exports with a field or some changed: each is compiled or
// refused, none panics.
func TestDamaged(t *testing.T) {
	var models []*graph.Model
	all := readFacts(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !all[name].Refused {
			models = append(models, read(t, name))
		}
	}
	rng := rand.New(rand.NewPCG(8, 9))
	tries, accepted := 3000, 0
	if testing.Short() {
		tries = 150
	}
	for range tries {
		m := models[rng.IntN(len(models))].Clone()
		what := ""
		for range 1 + rng.IntN(3) {
			what += damage(rng, m.Graph) + "; "
		}
		func() {
			defer func() {
				if r := recover(); r != nil {
					t.Fatalf("%s%s: %v", m.Path, what, r)
				}
			}()
			r, err := passes.Run(passes.ToConvert, passes.Input{Model: m}, passes.Options{Convert: passes.Convert{Rewrite: &afblock.RewriteOptions{}}})
			if err == nil && len(r.Network.Navigation()) > 0 {
				accepted++
			}
		}()
	}
	t.Logf("%d of %d are AFNets still", accepted, tries)
	if accepted == 0 || accepted == tries {
		t.Errorf("%d of %d damaged exports are compiled", accepted, tries)
	}
}

// damage changes a field of a graph and says which.
func damage(rng *rand.Rand, g *graph.Graph) string {
	nodes := slices.Collect(g.Nodes())
	n := nodes[rng.IntN(len(nodes))]
	size := []int64{-1, 0, 1, 2, 3, 4, 8, 1 << 31}[rng.IntN(8)]
	switch rng.IntN(5) {
	case 0:
		if len(n.Inputs()) > 0 {
			n.SetInput(rng.IntN(len(n.Inputs())), nodes[rng.IntN(len(nodes))].Output(0))
		}
		return "input of " + n.String()
	case 1:
		for _, a := range n.Attrs() {
			switch {
			case a.Type == graph.AttrInts && len(a.Ints) > 0:
				x := slices.Clone(a.Ints)
				x[rng.IntN(len(x))] = size
				n.SetAttr(graph.Ints(a.Name, x...))
				return "attribute of " + n.String()
			case a.Type == graph.AttrInt:
				n.SetAttr(graph.Int(a.Name, size))
				return "attribute of " + n.String()
			}
		}
	case 2:
		was := n.OpType
		n.OpType = nodes[rng.IntN(len(nodes))].OpType
		return fmt.Sprintf("operator %s of %s", was, n)
	case 3:
		if inits := g.Initializers(); len(inits) > 0 {
			v := inits[rng.IntN(len(inits))]
			dims := slices.Clone(v.Initializer().Dims)
			if len(dims) > 0 {
				dims[rng.IntN(len(dims))] = min(max(size, 0), 8)
			}
			count := int64(1)
			for _, d := range dims {
				count *= d
			}
			if v.Initializer().DType == graph.Float32 && count <= 1<<16 {
				g.SetInitializer(v, graph.Float32s(dims, make([]float32, count)...))
			}
			return "initializer " + v.Name()
		}
	case 4:
		v := g.Inputs()[0]
		v.Type.Shape = slices.Clone(v.Type.Shape)
		v.Type.Shape[rng.IntN(len(v.Type.Shape))] = graph.D(min(max(size, 1), 64))
		return "input's shape"
	}
	return "nothing"
}
