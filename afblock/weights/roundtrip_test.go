package weights

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/internal/aftest"
	"github.com/afc-project/afc/graph"
)

// TestRewriteRoundTrip: a transplanted network goes out in the authors' layout
// and comes back as the same tensors, and computes the same.
func TestRewriteRoundTrip(t *testing.T) {
	for _, s := range aftest.Plains {
		for _, at := range []afblock.StrideAt{afblock.StrideFusion, afblock.StrideSource} {
			if s.Caffe && at == afblock.StrideSource {
				continue // where the stride sits among the convolutions no key says
			}
			opt := afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.5}, StrideAt: at, GateOpen: true}
			af, err := afblock.Rewrite(s.Network(), opt)
			if err != nil {
				t.Fatal(err)
			}
			sd, err := Export(af)
			if err != nil {
				t.Fatal(err)
			}
			structure := sd.Skeleton
			sd.Skeleton = "" // the keys alone
			copt := Options{StrideAt: at}
			if s.Shift {
				copt.ShiftDiv, copt.PastFirst = 8, s.PastFirst
			}
			back, err := FromStateDict(sd, copt)
			if err != nil {
				t.Errorf("%s, stride at %s: %v", s.Name, at, err)
				continue
			}
			again, err := Export(back)
			if err != nil {
				t.Fatal(err)
			}
			if aftest.Digest(t, sd) != aftest.Digest(t, again) {
				t.Errorf("%s, stride at %s: the state dict changed on its way", s.Name, at)
			}
			if s.Residual || s.PastFirst {
				// The keys do not say where the shift feeds and from where; the file does.
				sd.Skeleton = structure
				if back, err = FromStateDict(sd, Options{}); err != nil {
					t.Fatal(err)
				}
			}
			clip := aftest.RandomClip(s.Frames, 37)
			a, b := (&aftest.Reference{Net: af}).Forward(t, clip), (&aftest.Reference{Net: back}).Forward(t, clip)
			for k := range a {
				// The identity batch norm's scale differs from 1 by what eps
				// is in float64 and not in float32.
				if d := math.Abs(a[k] - b[k]); d > 1e-6 {
					t.Errorf("%s, stride at %s: logit %d is %g, came back as %g", s.Name, at, k, a[k], b[k])
				}
			}
		}
	}
}

// TestRewriteFrames: a transplanted network for other clips is the one that
// afblock.Rewrite would have made for them, by way of a file, too.
func TestRewriteFrames(t *testing.T) {
	net := aftest.Plains[1].Network()
	three, err := afblock.Rewrite(net, afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.3}})
	if err != nil {
		t.Fatal(err)
	}
	want, err := afblock.Rewrite(net, afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.3}, Frames: 10})
	if err != nil {
		t.Fatal(err)
	}
	wantDict, err := Export(want)
	if err != nil {
		t.Fatal(err)
	}
	exported, err := Export(three)
	if err != nil {
		t.Fatal(err)
	}
	back, err := FromStateDict(exported, Options{Frames: 10})
	if err != nil {
		t.Fatal(err)
	}
	direct, err := three.WithFrames(10)
	if err != nil {
		t.Fatal(err)
	}
	for name, net := range map[string]*afblock.Network{"direct": direct, "exported": back} {
		sd, err := Export(net)
		if err != nil {
			t.Fatal(err)
		}
		if aftest.Digest(t, sd) != aftest.Digest(t, wantDict) || sd.Skeleton != wantDict.Skeleton {
			t.Errorf("%s: not the network that afblock.Rewrite makes for 10 frames", name)
		}
	}
	// Once its bias is trained, the pattern is one no more.
	key := "module.base_model.layer1.list_gen.0.conv_gs.bias"
	exported.Set(key, graph.Float32s([]int64{6}, 0, 1, 0, 1, 0, 1))
	if _, err := FromStateDict(exported, Options{Frames: 10}); err == nil || !strings.Contains(err.Error(), "trained for clips of 3") {
		t.Errorf("trained navigation for other frames: %v", err)
	}
}

// TestWithWeights: weights trained elsewhere take the place of a network's own,
// whose structure no key tells: shift, stride, where the shift feeds.
func TestWithWeights(t *testing.T) {
	for _, s := range aftest.Plains {
		net, err := afblock.Rewrite(s.Network(), afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.5}, StrideAt: afblock.StrideSource, GateOpen: true})
		if err != nil {
			t.Fatal(err)
		}
		exported, err := Export(net)
		if err != nil {
			t.Fatal(err)
		}
		trained := checkpoint.New() // under other names, with one weight changed, without the gates' biases
		for key, x := range exported.All() {
			if strings.HasSuffix(key, "att_gen.fc.2.bias") {
				continue
			}
			trained.Set(strings.TrimPrefix(key, "module."), x)
		}
		trained.Set("base_model.layer1.list_gen.0.conv_gs.bias", graph.Float32s([]int64{int64(2 * s.Frames)}, make([]float32, 2*s.Frames)...))
		got, err := Replace(net, trained)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		sd, err := Export(got)
		if err != nil {
			t.Fatal(err)
		}
		if aftest.Digest(t, sd) != aftest.Digest(t, trained) || got.FineTune || got.Stages[0].AF.Navigation[0].Fixed != nil {
			t.Errorf("%s: not the weights given, or not taken for trained", s.Name)
		}
		for i, b := range slices.Collect(got.Blocks()) {
			if old := slices.Collect(net.Blocks())[i]; b.Stride() != old.Stride() || !reflect.DeepEqual(b.Shift, old.Shift) || b.Act != old.Act {
				t.Errorf("%s: %s changed its structure", s.Name, b.Key)
			}
		}
	}
	net, err := afblock.Rewrite(aftest.Plains[0].Network(), afblock.RewriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := Export(aftest.Plains[2].Network())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Replace(net, other); err == nil {
		t.Error("took the weights of another network")
	}
}
