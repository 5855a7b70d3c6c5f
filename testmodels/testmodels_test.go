package testmodels

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/graph"
)

// constants returns every initializer and Constant node of a graph by name.
func constants(t *testing.T, g *graph.Graph) map[string]*graph.Tensor {
	t.Helper()
	c := map[string]*graph.Tensor{}
	for _, v := range g.Initializers() {
		c[v.Name()] = v.Initializer()
	}
	for n := range g.Nodes() {
		if n.OpType == "Constant" {
			c[n.Outputs()[0].Name()] = n.Outputs()[0].Const()
		}
	}
	return c
}

func numBytes(t *testing.T, c map[string]*graph.Tensor) (sum int64) {
	t.Helper()
	for name, x := range c {
		n, err := x.NumBytes()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sum += n
	}
	return sum
}

func TestSameSpecSameModel(t *testing.T) {
	spec := Spec{Depth: 18, Width: 8, Frames: 4, Size: 32, Classes: 5, Shift: ShiftConcat, Seed: 3}
	a, b := constants(t, spec.Build().Graph), constants(t, spec.Build().Graph)
	spec.Seed = 4
	other := constants(t, spec.Build().Graph)
	if len(a) != len(b) || len(a) == 0 {
		t.Fatalf("%d and %d constants", len(a), len(b))
	}
	for name := range a {
		x, _ := a[name].Bytes()
		y, _ := b[name].Bytes()
		if !bytes.Equal(x, y) {
			t.Errorf("%s differs between two builds", name)
		}
	}
	x, _ := a["net.fc.weight"].Bytes()
	y, _ := other["net.fc.weight"].Bytes()
	if bytes.Equal(x, y) {
		t.Error("another seed gave the same weights")
	}
}

// TestFullSize holds the models to the sizes of what they imitate: 25.56 M
// parameters of ResNet-50 with 1000 classes (BN folded: a bias for each
// channel), and the 275 MB of a raw TSM export.
func TestFullSize(t *testing.T) {
	if testing.Short() {
		t.Skip("builds full-size models")
	}
	tsn := Spec{Classes: 1000}.Build()
	params := numBytes(t, constants(t, tsn.Graph)) / 4
	const want = 25_530_472                 // torchvision's 25 557 032 less one of the two BN parameters of 26 560 channels
	if params < want || params > want+100 { // and a few shapes
		t.Errorf("ResNet-50 has %d parameters, want %d", params, want)
	}
	tsm := Spec{Shift: ShiftScatter}.Build()
	if mb := float64(numBytes(t, constants(t, tsm.Graph))) / 1e6; mb < 265 || mb > 285 {
		t.Errorf("raw TSM-R50 export is %.0f MB, want about 275", mb)
	}
}

func TestSpellings(t *testing.T) {
	count := func(m *graph.Model, op string) (n int) {
		for node := range m.Graph.Nodes() {
			if node.OpType == op {
				n++
			}
		}
		return n
	}
	base := Spec{Depth: 18, Width: 8, Frames: 4, Size: 32, Classes: 5}
	for _, c := range []struct {
		name string
		edit func(*Spec)
		op   string
		want int
	}{
		{"scatter", func(s *Spec) { s.Shift = ShiftScatter }, "ScatterND", 8 * 3},
		{"mmaction", func(s *Spec) { s.Shift = ShiftMMAction }, "Sub", 8 * 2},
		{"concat", func(s *Spec) { s.Shift = ShiftConcat }, "Concat", 8 * 3},
		{"pad", func(s *Spec) { s.Shift = ShiftPad }, "Pad", 8 * 2},
		{"conv1d", func(s *Spec) { s.Shift = ShiftConv1D }, "Conv", 20 + 8},
		{"gather", func(s *Spec) { s.Shift = ShiftGather }, "GatherND", 8 * 2},
		{"every second", func(s *Spec) { s.Shift, s.ShiftEverySecond = ShiftPad, true }, "Pad", 4 * 2},
		{"kept", func(s *Spec) { s.BN = BNKept }, "BatchNormalization", 20},
		{"bottleneck", func(s *Spec) { s.Depth = 50 }, "Conv", 53},
		{"per frame", func(s *Spec) { s.Head = PerFrameScores }, "ReduceMean", 0},
		{"constant weights", func(s *Spec) { s.ConstantWeights = true }, "Constant", 2*20 + 2 + 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := base
			c.edit(&s)
			if got := count(s.Build(), c.op); got != c.want {
				t.Errorf("%d %s nodes, want %d", got, c.op, c.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		want string
	}{
		{Spec{Depth: 51}, "none of 18"},
		{Spec{Blocks: []int{1, 0}}, "every stage"},
		{Spec{Opset: 8}, "opset"},
		{Spec{Width: 4, Shift: ShiftPad}, "no channel"},
		{Spec{Shift: ShiftScatter, Dynamic: true}, "static"},
		{Spec{Frames: -1}, "positive"},
	} {
		if err := c.spec.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want an error with %q", c.spec, err, c.want)
		}
	}
}

func TestNearMissesBuild(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range NearMisses() {
		if seen[m.Name] {
			t.Errorf("two near-misses are called %s", m.Name)
		}
		seen[m.Name] = true
		if n := m.Spec.Build().Graph.NumNodes(); n < 100 {
			t.Errorf("%s has %d nodes: too small for a ResNet-50", m.Name, n)
		}
	}
}

// TestCheckpointKeys spot-checks names and shapes against the authors' layout.
func TestCheckpointKeys(t *testing.T) {
	for _, c := range []struct {
		spec AFSpec
		want []string
	}{
		{AFSpec{Width: 8, Frames: 8, Classes: 11}, []string{
			"module.base_model.conv1.weight [8 3 7 7]",
			"module.base_model.layer1.list_gen.0.conv_pool.weight [2 8 1 1]",
			"module.base_model.layer1.list_gen.1.conv_gs.weight [16 2 1 1]",
			"module.base_model.layer1.base_module.0.downsample.1.weight [16 8 1 1]",
			"module.base_model.layer1.refine_module.0.downsample.0.weight [32 8 1 1]",
			"module.base_model.layer1.refine_module.1.conv1.weight [8 16 1 1]",
			"module.base_model.layer3.refine_module.4.conv2.weight [32 16 3 3]",
			"module.base_model.layer1.att_gen.fc.0.weight [2 32]",
			"module.base_model.layer2.fusion.0.conv3.bn [absent]",
			"module.base_model.layer4.0.downsample.1.running_var [256]",
			"module.new_fc.weight [11 256]",
		}},
		{AFSpec{Depth: 18, Width: 16, Frames: 3, Dense: true, Prefix: "", FC: "fc"}, []string{
			"layer1.list_gen.0.conv_gs.weight [6 6 1 1]",
			"layer1.refine_module.0.conv2.weight [16 8 3 3]",
			"fc.bias [400]",
		}},
	} {
		shapes := map[string]string{}
		for _, e := range c.spec.Checkpoint() {
			if _, twice := shapes[e.Key]; twice {
				t.Errorf("%s stands twice", e.Key)
			}
			shapes[e.Key] = fmt.Sprint(e.Tensor.Dims)
		}
		for _, w := range c.want {
			key, shape, _ := strings.Cut(w, " ")
			got, ok := shapes[key]
			if shape == "[absent]" && !ok {
				continue
			}
			if got != shape {
				t.Errorf("%s is %q, want %s", key, got, shape)
			}
		}
	}
	if e := (AFSpec{Width: 8, Blocks: []int{2, 2}}).Checkpoint(); !slices.ContainsFunc(e, func(e Entry) bool {
		return e.Key == "module.base_model.layer2.1.conv1.weight"
	}) {
		t.Error("the last stage of two is not plain")
	}
}
