package weights

import (
	"regexp"
	"testing"

	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/graph"
)

// TestRespelled reads keys as MIT's TSM code and mmaction2 write them.
func TestRespelled(t *testing.T) {
	one := graph.Float32s([]int64{1}, 1)
	for name, tt := range map[string][][2]string{
		"MIT TSM": {
			{"module.base_model.conv1.weight", "module.base_model.conv1.weight"},
			{"module.base_model.layer1.0.conv1.net.weight", "module.base_model.layer1.0.conv1.weight"},
			{"module.base_model.layer1.0.bn1.running_var", "module.base_model.layer1.0.bn1.running_var"},
			{"module.new_fc.weight", "module.new_fc.weight"},
		},
		"mmaction2": {
			{"data_preprocessor.mean", ""},
			{"backbone.conv1.conv.weight", "backbone.conv1.weight"},
			{"backbone.conv1.bn.weight", "backbone.bn1.weight"},
			{"backbone.layer1.0.conv1.conv.net.weight", "backbone.layer1.0.conv1.weight"},
			{"backbone.layer1.0.conv3.conv.weight", "backbone.layer1.0.conv3.weight"},
			{"backbone.layer1.0.conv3.bn.running_mean", "backbone.layer1.0.bn3.running_mean"},
			{"backbone.layer2.0.downsample.conv.weight", "backbone.layer2.0.downsample.0.weight"},
			{"backbone.layer2.0.downsample.bn.bias", "backbone.layer2.0.downsample.1.bias"},
			{"cls_head.fc_cls.bias", "backbone.fc.bias"},
		},
		"two of one meaning stay": {
			{"conv1.weight", "conv1.weight"}, {"layer1.0.conv1.net.weight", "layer1.0.conv1.net.weight"}, {"layer1.0.conv1.weight", "layer1.0.conv1.weight"},
		},
	} {
		sd := checkpoint.New()
		var want []string
		for _, k := range tt {
			sd.Set(k[0], one)
			if k[1] != "" {
				want = append(want, k[1])
			}
		}
		got := respelled(sd).Names()
		if len(got) != len(want) {
			t.Fatalf("%s: %v, want %v", name, got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: %s, want %s", name, got[i], want[i])
			}
		}
	}
}

// TestOtherTrainingCode: a network's weights come back the same under the keys
// of other training code.
func TestOtherTrainingCode(t *testing.T) {
	for _, edits := range [][][2]string{
		{{`(layer\d\.\d+\.conv1)\.weight`, "$1.net.weight"}},
		{{`bn(\d)\.`, "conv$1.bn."}, {`(conv\d)\.weight`, "$1.conv.weight"}, {`downsample\.0`, "downsample.conv"}, {`downsample\.1`, "downsample.bn"},
			{`^.*fc\.`, "cls_head.fc_cls."}, {`^(conv|layer)`, "backbone.$1"}},
	} {
		sd := plainKeys()
		other := checkpoint.New()
		for name, x := range sd.All() {
			for _, e := range edits {
				name = regexp.MustCompile(e[0]).ReplaceAllString(name, e[1])
			}
			other.Set(name, x)
		}
		a, err := FromStateDict(sd, Options{Frames: 4})
		if err != nil {
			t.Fatal(err)
		}
		b, err := FromStateDict(other, Options{Frames: 4})
		if err != nil {
			t.Errorf("%v: %v", edits, err)
			continue
		}
		if len(a.Stages) != len(b.Stages) || a.Head.FC.Weight != b.Head.FC.Weight || a.Stem.Conv.Weight != b.Stem.Conv.Weight {
			t.Errorf("%v: another network came back", edits)
		}
	}
}

// plainKeys is a plain network of two basic blocks under torchvision's keys.
func plainKeys() *checkpoint.StateDict {
	sd := checkpoint.New()
	set := func(key string, dims ...int64) {
		n := int64(1)
		for _, d := range dims {
			n *= d
		}
		sd.Set(key, graph.Float32s(dims, make([]float32, n)...))
	}
	conv := func(key, bn string, out, in, k int64) {
		set(key+".weight", out, in, k, k)
		for _, p := range []string{"weight", "bias", "running_mean", "running_var"} {
			set(bn+"."+p, out)
		}
	}
	conv("conv1", "bn1", 4, 3, 7)
	conv("layer1.0.conv1", "layer1.0.bn1", 4, 4, 3)
	conv("layer1.0.conv2", "layer1.0.bn2", 4, 4, 3)
	conv("layer2.0.conv1", "layer2.0.bn1", 8, 4, 3)
	conv("layer2.0.conv2", "layer2.0.bn2", 8, 8, 3)
	conv("layer2.0.downsample.0", "layer2.0.downsample.1", 8, 4, 1)
	set("fc.weight", 5, 8)
	set("fc.bias", 5)
	return sd
}
