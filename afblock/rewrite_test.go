package afblock

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
)

// plainSpec is a plain network for tests.
type plainSpec struct {
	name     string
	blocks   []int
	basic    bool
	folded   bool // batch norm folded into biases
	caffe    bool // stride in the first 1×1 convolution
	shift    bool
	residual bool // the shift feeds the residual path, too
	frames   int
}

// network makes it with seeded weights that keep activations near 1.
func (s plainSpec) network() *Network {
	rng := rand.New(rand.NewPCG(1, uint64(len(s.name))))
	const width = 16
	conv := func(key string, out, in, k, stride int) *Conv {
		w := make([]float32, out*in*k*k)
		for i := range w {
			w[i] = float32(rng.NormFloat64() / math.Sqrt(float64(in*k*k)))
		}
		around := func(centre, spread float64) *graph.Tensor {
			v := make([]float32, out)
			for i := range v {
				v[i] = float32(centre + spread*(rng.Float64()-0.5))
			}
			return graph.Float32s([]int64{int64(out)}, v...)
		}
		c := &Conv{Key: key, Weight: graph.Float32s([]int64{int64(out), int64(in), int64(k), int64(k)}, w...), Stride: stride, Pad: k / 2, Groups: 1}
		if c.Bias = around(0, 0.2); !s.folded {
			c.Bias = nil
			c.BN = &BatchNorm{Key: key + "_bn", Eps: 1e-5, Gamma: around(1, 0.2), Beta: around(0, 0.2), Mean: around(0, 0.2), Var: around(1, 0.2)}
		}
		return c
	}
	net := &Network{Frames: s.frames, Stem: Stem{Conv: *conv("stem", width, 3, 7, 2), Pool: Pool{3, 2, 1}}}
	in := width
	for i, blocks := range s.blocks {
		planes, out := width<<i, 4*width<<i
		if s.basic {
			out = planes
		}
		stage := &Stage{Name: fmt.Sprintf("stage%d", i)}
		for n := range blocks {
			stride := 1
			if n == 0 && i > 0 {
				stride = 2
			}
			key := fmt.Sprintf("s%d.%d", i, n)
			b := &Block{Key: key, FinalReLU: true}
			switch {
			case s.basic:
				b.Convs = []*Conv{conv(key+".a", out, in, 3, stride), conv(key+".b", out, out, 3, 1)}
			case s.caffe:
				b.Convs = []*Conv{conv(key+".a", planes, in, 1, stride), conv(key+".b", planes, planes, 3, 1), conv(key+".c", out, planes, 1, 1)}
			default:
				b.Convs = []*Conv{conv(key+".a", planes, in, 1, 1), conv(key+".b", planes, planes, 3, stride), conv(key+".c", out, planes, 1, 1)}
			}
			if in != out || stride != 1 {
				b.Downsample.Conv = conv(key+".d", out, in, 1, stride)
			}
			if s.shift {
				b.Shift = &Shift{Fold: in / 8, Residual: s.residual}
			}
			stage.Blocks = append(stage.Blocks, b)
			in = out
		}
		net.Stages = append(net.Stages, stage)
	}
	fc := conv("fc", 5, in, 1, 1)
	net.Head = Head{Key: "fc", Weight: fc.Weight.Reshaped(5, int64(in))}
	return net
}

var plainSpecs = []plainSpec{
	{name: "tsn bottleneck", blocks: []int{3, 2, 2, 1}, frames: 2},
	{name: "tsm bottleneck folded", blocks: []int{2, 3, 2, 2}, shift: true, folded: true, frames: 3},
	{name: "tsm basic", blocks: []int{2, 2, 2, 2}, basic: true, shift: true, residual: true, frames: 3},
	{name: "caffe with a stage of one block", blocks: []int{2, 1, 2, 1}, caffe: true, frames: 1},
}

func randomClip(n, side int) []*image {
	rng := rand.New(rand.NewPCG(3, 4))
	clip := make([]*image, n)
	for i := range clip {
		clip[i] = zeros(3, side, side)
		for k := range clip[i].v {
			clip[i].v[k] = rng.NormFloat64()
		}
	}
	return clip
}

// TestRewriteIdentity: with everything on the focal side the AFNet computes
// what the source computes.
func TestRewriteIdentity(t *testing.T) {
	const tolerance = 1e-12 // float64 throughout; gates are e^-200
	for _, s := range plainSpecs {
		net := s.network()
		af, err := Rewrite(net, RewriteOptions{Groups: 1, StrideAt: StrideSource, Navigation: Pattern{1}, GateOpen: true})
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		if af.FineTune {
			t.Errorf("%s: an identity needs no fine-tuning", s.name)
		}
		clip := randomClip(s.frames, 37)
		want := (&reference{net: net}).forward(t, clip)
		r := &reference{net: af}
		got := r.forward(t, clip)
		for k := range want {
			if d := math.Abs(got[k] - want[k]); d > tolerance {
				t.Errorf("%s: logit %d is %g, source %g", s.name, k, got[k], want[k])
			}
		}
		// The oracle must be able to fail: nothing selected is another answer.
		none, err := Rewrite(net, RewriteOptions{Groups: 1, StrideAt: StrideSource, GateOpen: true})
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal((&reference{net: none}).forward(t, clip), got) || !none.FineTune {
			t.Errorf("%s: selecting no frame changes nothing", s.name)
		}
	}
}

// TestRewriteStructure shows what becomes of the sources with the default
// options, and runs it: shapes fit at an odd size, the pattern is selected.
func TestRewriteStructure(t *testing.T) {
	for _, s := range plainSpecs {
		af, err := Rewrite(s.network(), RewriteOptions{Navigation: Pattern{0.5}, Frames: 4})
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		testutil.Golden(t, "rewrite/"+strings.ReplaceAll(s.name, " ", "_")+".txt", describe(af))
		r := &reference{net: af}
		logits := r.forward(t, randomClip(4, 37))
		if slices.ContainsFunc(logits, func(x float64) bool { return math.IsNaN(x) || math.Abs(x) > 100 }) {
			t.Errorf("%s: answers %v", s.name, logits)
		}
		for b, mask := range r.masks {
			for f, selected := range (Pattern{0.5}).Select(4, b) {
				if (mask[f] == 1) != selected {
					t.Errorf("%s: block %d frame %d selected %g, pattern says %v", s.name, b, f, mask[f], selected)
				}
			}
		}
		if !af.FineTune {
			t.Errorf("%s: not marked as needing fine-tuning", s.name)
		}
	}
}

// TestRewriteRoundTrip: a transplanted network goes out in the authors' layout
// and comes back as the same tensors, and computes the same.
func TestRewriteRoundTrip(t *testing.T) {
	for _, s := range plainSpecs {
		for _, at := range []StrideAt{StrideFusion, StrideSource} {
			if s.caffe && at == StrideSource {
				continue // where the stride sits among the convolutions no key says
			}
			opt := RewriteOptions{Navigation: Pattern{0.5}, StrideAt: at, GateOpen: true}
			af, err := Rewrite(s.network(), opt)
			if err != nil {
				t.Fatal(err)
			}
			sd, err := af.StateDict()
			if err != nil {
				t.Fatal(err)
			}
			structure := sd.Structure
			sd.Structure = "" // the keys alone
			copt := CheckpointOptions{StrideAt: at}
			if s.shift {
				copt.ShiftDiv = 8
			}
			back, err := FromStateDict(sd, copt)
			if err != nil {
				t.Errorf("%s, stride at %s: %v", s.name, at, err)
				continue
			}
			again, err := back.StateDict()
			if err != nil {
				t.Fatal(err)
			}
			if digest(t, sd) != digest(t, again) {
				t.Errorf("%s, stride at %s: the state dict changed on its way", s.name, at)
			}
			if s.residual {
				// The keys do not say where the shift feeds; the file does.
				sd.Structure = structure
				if back, err = FromStateDict(sd, CheckpointOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			clip := randomClip(s.frames, 37)
			a, b := (&reference{net: af}).forward(t, clip), (&reference{net: back}).forward(t, clip)
			for k := range a {
				// The identity batch norm's scale differs from 1 by what eps
				// is in float64 and not in float32.
				if d := math.Abs(a[k] - b[k]); d > 1e-6 {
					t.Errorf("%s, stride at %s: logit %d is %g, came back as %g", s.name, at, k, a[k], b[k])
				}
			}
		}
	}
}

// TestRewriteFrames: a transplanted network for other clips is the one that
// Rewrite would have made for them, by way of a file, too.
func TestRewriteFrames(t *testing.T) {
	net := plainSpecs[1].network()
	three, err := Rewrite(net, RewriteOptions{Navigation: Pattern{0.3}})
	if err != nil {
		t.Fatal(err)
	}
	want, err := Rewrite(net, RewriteOptions{Navigation: Pattern{0.3}, Frames: 10})
	if err != nil {
		t.Fatal(err)
	}
	wantDict, err := want.StateDict()
	if err != nil {
		t.Fatal(err)
	}
	exported, err := three.StateDict()
	if err != nil {
		t.Fatal(err)
	}
	back, err := FromStateDict(exported, CheckpointOptions{Frames: 10})
	if err != nil {
		t.Fatal(err)
	}
	direct, err := three.WithFrames(10)
	if err != nil {
		t.Fatal(err)
	}
	for name, net := range map[string]*Network{"direct": direct, "exported": back} {
		sd, err := net.StateDict()
		if err != nil {
			t.Fatal(err)
		}
		if digest(t, sd) != digest(t, wantDict) || sd.Structure != wantDict.Structure {
			t.Errorf("%s: not the network that Rewrite makes for 10 frames", name)
		}
	}
	// Once its bias is trained, the pattern is one no more.
	key := "module.base_model.layer1.list_gen.0.conv_gs.bias"
	exported.Set(key, graph.Float32s([]int64{6}, 0, 1, 0, 1, 0, 1))
	if _, err := FromStateDict(exported, CheckpointOptions{Frames: 10}); err == nil || !strings.Contains(err.Error(), "trained for clips of 3") {
		t.Errorf("trained navigation for other frames: %v", err)
	}
}

// TestWithWeights: weights trained elsewhere take the place of a network's own,
// whose structure no key tells: shift, stride, where the shift feeds.
func TestWithWeights(t *testing.T) {
	for _, s := range plainSpecs {
		net, err := Rewrite(s.network(), RewriteOptions{Navigation: Pattern{0.5}, StrideAt: StrideSource, GateOpen: true})
		if err != nil {
			t.Fatal(err)
		}
		exported, err := net.StateDict()
		if err != nil {
			t.Fatal(err)
		}
		trained := NewStateDict() // under other names, with one weight changed, without the gates' biases
		for key, x := range exported.All() {
			if strings.HasSuffix(key, "att_gen.fc.2.bias") {
				continue
			}
			trained.Set(strings.TrimPrefix(key, "module."), x)
		}
		trained.Set("base_model.layer1.list_gen.0.conv_gs.bias", graph.Float32s([]int64{int64(2 * s.frames)}, make([]float32, 2*s.frames)...))
		got, err := net.WithWeights(trained)
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		sd, err := got.StateDict()
		if err != nil {
			t.Fatal(err)
		}
		if digest(t, sd) != digest(t, trained) || got.FineTune || got.Stages[0].AF.Navigation[0].Fixed != nil {
			t.Errorf("%s: not the weights given, or not taken for trained", s.name)
		}
		for i, b := range slices.Collect(got.AllBlocks()) {
			if old := slices.Collect(net.AllBlocks())[i]; b.Stride() != old.Stride() || !reflect.DeepEqual(b.Shift, old.Shift) || b.FinalReLU != old.FinalReLU {
				t.Errorf("%s: %s changed its structure", s.name, b.Key)
			}
		}
	}
	net, err := Rewrite(plainSpecs[0].network(), RewriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := plainSpecs[2].network().StateDict()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := net.WithWeights(other); err == nil {
		t.Error("took the weights of another network")
	}
}

func TestRewriteRefuses(t *testing.T) {
	plain := plainSpecs[0].network()
	af, err := Rewrite(plain, RewriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	flat := plainSpec{name: "flat", blocks: []int{1, 1, 2}, frames: 1}.network()
	strided := plainSpecs[0].network()
	strided.Stages[1].Blocks[1].Convs[0].Stride = 2
	noFrames := plainSpecs[0].network()
	noFrames.Frames = 0
	for _, tc := range []struct {
		net  *Network
		opt  RewriteOptions
		want string
	}{
		{af, RewriteOptions{}, "layer1: is an AF module already"},
		{flat, RewriteOptions{}, "nothing to rewrite"},
		{strided, RewriteOptions{}, "s1.1: block 1 of its stage has stride 2"},
		{noFrames, RewriteOptions{}, "frames a clip"},
		{plain, RewriteOptions{Groups: 3}, "do not divide into 3 groups"},
		{plain, RewriteOptions{Alpha: 3}, "do not divide by alpha 3"},
	} {
		_, err := Rewrite(tc.net, tc.opt)
		var ge *graph.Error
		if !errors.As(err, &ge) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, want a graph.Error about %q", err, tc.want)
		}
	}
}

func TestPattern(t *testing.T) {
	for _, tc := range []struct {
		text   string
		frames int
		counts int
	}{
		{"all", 8, 8}, {"none", 8, 0}, {"uniform:0.5", 8, 4}, {"uniform:0.5", 1, 1}, {"uniform:0.01", 8, 1},
		{"uniform:0", 8, 0}, {"uniform:1", 7, 7}, {"uniform:0.25", 12, 3}, {"uniform:0.33", 64, 21},
	} {
		p, err := ParsePattern(tc.text)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParsePattern(p.String()); err != nil || again != p {
			t.Errorf("%s is written %s, read back as %v (%v)", tc.text, p, again, err)
		}
		seen := make([]int, tc.frames)
		for block := range tc.frames {
			var at []int
			for f, s := range p.Select(tc.frames, block) {
				if s {
					at = append(at, f)
					seen[f]++
				}
			}
			if len(at) != tc.counts {
				t.Errorf("%s of %d frames, block %d: selects %v, want %d", tc.text, tc.frames, block, at, tc.counts)
			}
			for i := range at { // evenly: gaps around the clip differ by one at most
				gap := (at[(i+1)%len(at)] - at[i] + tc.frames) % tc.frames
				if len(at) > 1 && (gap < tc.frames/len(at) || gap > tc.frames/len(at)+1) {
					t.Errorf("%s of %d frames, block %d: uneven %v", tc.text, tc.frames, block, at)
				}
			}
		}
		for f, n := range seen { // staggered: over as many blocks as frames each has its turn
			if n != tc.counts {
				t.Errorf("%s of %d frames: frame %d selected by %d blocks, want %d", tc.text, tc.frames, f, n, tc.counts)
			}
		}
	}
	for _, bad := range []string{"", "some", "uniform:", "uniform:2", "uniform:-1", "uniform:NaN", "uniform:x"} {
		if p, err := ParsePattern(bad); err == nil {
			t.Errorf("%q: read as %v", bad, p)
		}
	}
}
