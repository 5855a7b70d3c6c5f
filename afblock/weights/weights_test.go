package weights

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/internal/aftest"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/testmodels"
)

// TestFixtureStructure reads the networks out of the authors' checkpoints.
func TestFixtureStructure(t *testing.T) {
	testutil.NoOrphans(t, "structure/*", "structure/*spatial*")
	for name, opt := range map[string]Options{"afr50_tsn_t4": {}, "afr50_tsm_t8": {ShiftDiv: 8}} {
		net, err := FromStateDict(readFixture(t, name), opt)
		if err != nil {
			t.Fatal(err)
		}
		testutil.Golden(t, "structure/"+name+".txt", aftest.Structure(net))
	}
}

// TestStateDictRoundTrip: what goes in comes out, name by name and bit by bit,
// in the same order.
func TestStateDictRoundTrip(t *testing.T) {
	for _, name := range []string{"afr50_tsn_t4", "afr50_tsm_t8"} {
		in := readFixture(t, name)
		for _, prefix := range []struct{ base, fc string }{
			{"module.base_model.", "module.new_fc"}, {"base_model.", "new_fc"}, {"", "fc"}, {"module.", "module.fc"},
		} {
			renamed := checkpoint.New()
			for key, x := range in.All() {
				if rest, ok := strings.CutPrefix(key, "module.base_model."); ok {
					key = prefix.base + rest
				} else {
					key = prefix.fc + strings.TrimPrefix(key, "module.new_fc")
				}
				renamed.Set(key, x)
			}
			net, err := FromStateDict(renamed, Options{})
			if err != nil {
				t.Errorf("%s with prefix %q: %v", name, prefix.base, err)
				continue
			}
			out, err := Export(net)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(renamed.Names(), out.Names()); d != "" {
				t.Errorf("%s with prefix %q: names (-in +out)\n%s", name, prefix.base, d)
			}
			if aftest.Digest(t, renamed) != aftest.Digest(t, out) {
				t.Errorf("%s with prefix %q: tensors changed", name, prefix.base)
			}
		}
	}
}

// TestVariants: shapes tell depth, α, G, T, classes, kind of block and of
// navigation; every variant goes round bit by bit and runs.
func TestVariants(t *testing.T) {
	for _, tc := range []struct {
		name string
		spec testmodels.AFSpec
		want string // α, G, T, blocks, bottleneck, dense, classes
	}{
		{"one frame", testmodels.AFSpec{Blocks: []int{2, 3, 2, 1}, Width: 16, Frames: 1, Classes: 3}, "2 2 1 [2 3 2 1] true true 3"},
		{"64 frames", testmodels.AFSpec{Blocks: []int{2, 2, 2, 2}, Width: 8, Frames: 64, Classes: 2, Groups: 1}, "2 1 64 [2 2 2 2] true false 2"},
		{"dense navigation", testmodels.AFSpec{Blocks: []int{3, 2, 2, 1}, Width: 8, Frames: 3, Classes: 5, Dense: true}, "2 2 3 [3 2 2 1] true true 5"},
		{"basic blocks, quarter ample", testmodels.AFSpec{Blocks: []int{2, 2, 4, 2}, Basic: true, Width: 8, Frames: 2, Classes: 7, Alpha: 4, Groups: 4}, "4 4 2 [2 2 4 2] false false 7"},
		{"AF-ResNet101", testmodels.AFSpec{Blocks: []int{4, 8, 18, 3}, Width: 4, Frames: 2, Classes: 4, Groups: 1, Prefix: "module.", FC: "module.fc"}, "2 1 2 [4 8 18 3] true false 4"},
	} {
		sd := checkpoint.New()
		for _, e := range tc.spec.Checkpoint() {
			sd.Set(e.Key, e.Tensor)
		}
		net, err := FromStateDict(sd, Options{})
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		var blocks []int
		for _, s := range net.Stages {
			n := len(s.Blocks)
			if s.AF != nil {
				n = len(s.AF.Focal) + 1
			}
			blocks = append(blocks, n)
		}
		m := net.Stages[0].AF
		got := fmt.Sprintf("%d %d %d %v %v %v %d", m.Alpha, m.Groups, net.Frames, blocks, m.Fusion.Bottleneck(), m.Navigation[0].Dense(), net.Head.FC.Weight.Dims[0])
		if got != tc.want {
			t.Errorf("%s: read as %s, want %s", tc.name, got, tc.want)
		}
		out, err := Export(net)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(sd.Names(), out.Names()); d != "" || aftest.Digest(t, sd) != aftest.Digest(t, out) {
			t.Errorf("%s: changed on its way (-in +out)\n%s", tc.name, d)
		}
		for _, x := range (&aftest.Reference{Net: net}).Forward(t, aftest.RandomClip(net.Frames, 20)) {
			if math.IsNaN(x) || math.Abs(x) > 1000 {
				t.Errorf("%s: answers %g", tc.name, x)
			}
		}
	}
}

// TestMobileComesBack: an AF-MobileNetV3 goes out bit by bit as it came, and what
// comes back from training takes its place.
func TestMobileComesBack(t *testing.T) {
	in := readFixture(t, "afmbv3_tsm_t4")
	net, err := FromStateDict(in, Options{Size: afblock.Size{96, 96}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := Export(net)
	if err != nil {
		t.Fatal(err)
	}
	if aftest.Digest(t, in) != aftest.Digest(t, out) {
		t.Error("other tensors go out than came in")
	}
	for name, from := range map[string]*checkpoint.StateDict{"what was exported": out, "a checkpoint": in} {
		again, err := Replace(net, from)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		back, err := Export(again)
		if err != nil || aftest.Digest(t, in) != aftest.Digest(t, back) {
			t.Errorf("%s: other tensors go out than came in, %v", name, err)
		}
		if got, want := Of(again).JSON(nil), Of(net).JSON(nil); got != want {
			t.Errorf("%s: another network\n%s\n%s", name, got, want)
		}
	}
}

// TestFromStateDictRefuses: everything wrong is in the one answer.
func TestFromStateDictRefuses(t *testing.T) {
	testutil.NoOrphans(t, "refused/*")
	in := readFixture(t, "afr50_tsn_t4")
	without := func(drop ...string) *checkpoint.StateDict {
		out := checkpoint.New()
		for key, x := range in.All() {
			if !slices.ContainsFunc(drop, func(d string) bool { return strings.Contains(key, d) }) {
				out.Set(key, x)
			}
		}
		return out
	}
	with := func(sd *checkpoint.StateDict, key string, x *graph.Tensor) *checkpoint.StateDict {
		sd.Set(key, x)
		return sd
	}
	mobile := func(key string, dims ...int64) *checkpoint.StateDict { // with a tensor of another shape
		out, n := checkpoint.New(), int64(1)
		for name, x := range readFixture(t, "afmbv3_tsm_t4").All() {
			out.Set(name, x)
		}
		for _, d := range dims {
			n *= d
		}
		out.Set("module.base_model."+key, graph.Float32s(dims, make([]float32, n)...))
		return out
	}
	conv2 := "module.base_model.layer2.fusion.0.conv2.weight"
	net, err := FromStateDict(in, Options{})
	if err != nil {
		t.Fatal(err)
	}
	twice := without("layer1.fusion.0.bn1.")
	twice.Skeleton = strings.Replace(Of(net).JSON(nil), `"layer1.fusion.0.bn1"`, `"layer1.fusion.0.bn2"`, 1)
	for _, tc := range []struct {
		name string
		sd   *checkpoint.StateDict
		opt  Options
	}{
		{"empty", checkpoint.New(), Options{}},
		{"other", with(with(checkpoint.New(), "encoder.weight", vector(3, 1)), "encoder.bias", vector(3, 1)), Options{}},
		{"missing", without("layer1.base_module.1.bn2.", "new_fc.bias", "layer2.att_gen.fc.2", "layer3.fusion.0.conv3.weight"), Options{}},
		{"extra", with(with(without(), "module.base_model.layer5x.weight", vector(2, 1)), "optimizer.lr", vector(1, 1)), Options{}},
		{"misshapen", with(without(), conv2, in.Tensor(conv2).Reshaped(16, 144, 1, 1)), Options{}},
		{"integers", with(without(), "module.base_model.bn1.weight", graph.Vec(1, 2, 3, 4, 5, 6, 7, 8)), Options{}},
		{"frames", without(), Options{Frames: 8}},
		{"branch", without("layer1.refine_module.1."), Options{}},
		{"downsample", without("layer4.0.downsample"), Options{}},
		{"twice", twice, Options{}},
		{"mobilenetv2", with(checkpoint.New(), "features.1.conv.0.0.weight", vector(3, 1)), Options{}},
		{"mobilenetv3", with(checkpoint.New(), "module.features.4.block.1.0.weight", vector(3, 1)), Options{}},
		{"stemless", without("base_model.conv1.", "base_model.bn1."), Options{}},
		{"expansion", mobile("features_stage3_refine.1.conv1.weight", 160, 40, 1, 1), Options{}},
		{"kernel", mobile("features_stage2_base.0.conv2.weight", 72, 1, 3, 3), Options{}},
		{"squeeze", mobile("features_stage4.0.se.fc.0.weight", 96, 480), Options{}},
		{"strides", mobile("conv.weight", 16, 3, 3, 3), Options{StrideAt: afblock.StrideSource}},
	} {
		_, err := FromStateDict(tc.sd, tc.opt)
		var ce *checkpoint.Error
		if !errors.As(err, &ce) {
			t.Errorf("%s: got %v, want a CheckpointError", tc.name, err)
			continue
		}
		testutil.Golden(t, "refused/"+tc.name+".txt", err.Error()+"\n")
	}
}

// TestHalfPrecision: a checkpoint in another float type gives the float32
// network of its values.
func TestHalfPrecision(t *testing.T) {
	sd, err := checkpoint.Read("../checkpoint/testdata/checkpoints/zip.pth")
	if err != nil {
		t.Fatal(err)
	}
	in := readFixture(t, "afr50_tsn_t4")
	in.Set("module.base_model.bn1.weight", sd.Tensor("double").Reshaped(24))
	_, err = FromStateDict(in, Options{})
	if err == nil || !strings.Contains(err.Error(), "expected [8], found [24]") {
		t.Errorf("a vector of 24 for 8 channels: %v", err)
	}
	raw, err := sd.Tensor("half").Bytes()
	if err != nil {
		t.Fatal(err)
	}
	half, err := graph.NewTensor(graph.Float16, []int64{8}, raw[:16])
	if err != nil {
		t.Fatal(err)
	}
	in.Set("module.base_model.bn1.weight", half)
	net, err := FromStateDict(in, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want, _ := half.Float32s()
	got, _ := net.Stem.Conv.BN.Gamma.Float32s()
	if net.Stem.Conv.BN.Gamma.DType != graph.Float32 || !slices.Equal(got, want) {
		t.Errorf("gamma is %v, want %v", got, want)
	}
}

// TestIdentityBatchNorm: a folded bias goes out as batch normalisation that
// computes the same, bit by bit.
func TestIdentityBatchNorm(t *testing.T) {
	c := &afblock.Conv{Key: "layer1.0.downsample.0", Weight: graph.Float32s([]int64{2, 1, 1, 1}, 1, 2), Bias: graph.Float32s([]int64{2}, 0.3, -7)}
	bn := identityBatchNorm(c)
	if bn.Key != "layer1.0.downsample.1" {
		t.Errorf("key %q", bn.Key)
	}
	gamma, _ := bn.Gamma.Float32s()
	mean, _ := bn.Mean.Float32s()
	variance, _ := bn.Var.Float32s()
	for i := range gamma {
		if gamma[i] != 1 || mean[i] != 0 || variance[i]+bn.Eps != 1 {
			t.Errorf("channel %d: gamma %g, mean %g, var+eps %g", i, gamma[i], mean[i], variance[i]+bn.Eps)
		}
	}
	a, _ := bn.Beta.Bytes()
	b, _ := c.Bias.Bytes()
	if !bytes.Equal(a, b) {
		t.Error("beta is not the bias")
	}
}
