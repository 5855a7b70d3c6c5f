package codegen_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/interpret"
	"github.com/afc-project/afc/verify"
)

// mobile is an AF-MobileNetV3 with random weights, on frames of a size.
func mobile(t *testing.T, frames int, size afblock.Size) *afblock.Network {
	t.Helper()
	net, err := afblock.Architecture("af-mobilenetv3", frames, 5)
	if err != nil {
		t.Fatal(err)
	}
	net.Size = size
	r := &randomNet{rng: rand.New(rand.NewPCG(11, 12))}
	for key, at := range net.Tensors() {
		d := (*at).Dims
		n := int(d[0])
		switch {
		case strings.HasSuffix(key, ".running_var"):
			*at = r.uniform(0.6, 1.4, n)
		case strings.HasSuffix(key, ".running_mean"):
			*at = r.normal(0.2, d...)
		case len(d) > 1: // a kernel or matrix
			fan := 1.0
			for _, x := range d[1:] {
				fan *= float64(x)
			}
			*at = r.normal(1.4/math.Sqrt(fan), d...)
		case strings.HasSuffix(key, ".bias"):
			*at = r.normal(0.3, d...)
		default:
			*at = r.uniform(0.5, 1.2, n)
		}
	}
	return net
}

// TestMobileLoweringsAreTheNetwork holds every lowering of an AF-MobileNetV3 to
// the interpreter, which shares no code with any: at odd sizes, where the border
// counts for more in F(0); with both answers to a skipped frame; for no frame,
// every frame and some.
func TestMobileLoweringsAreTheNetwork(t *testing.T) {
	const frames = 3
	for _, size := range []afblock.Size{{64, 64}, {45, 67}, {33, 47}} {
		for _, unselected := range []afblock.Unselected{afblock.UnselectedBias, afblock.UnselectedZero} {
			net := mobile(t, frames, size)
			net.Unselected = unselected
			reference, err := interpret.New(net)
			if err != nil {
				t.Fatal(err)
			}
			for _, lowering := range codegen.Lowerings {
				t.Run(fmt.Sprintf("%s/%s/%s", size, unselected, lowering), func(t *testing.T) {
					r := open(t, net, codegen.Options{Lowering: lowering, MasksInput: true, Budget: budgetFor(lowering, frames)})
					for share := range 3 {
						holdToInterpreter(t, r, reference, frames, size, func(b, t int) bool { return (b+2*t)%3 < share+share/2 })
					}
				})
			}
		}
	}
}

// holdToInterpreter runs two clips with chosen frames both ways.
func holdToInterpreter(t *testing.T, r runner, net *interpret.Network, frames int, size afblock.Size, chosen func(b, t int) bool) {
	t.Helper()
	const clips = 2
	x := clip(clips, spec{frames: frames, size: size})
	var masks []float32
	force := make([][]bool, len(net.Blocks))
	for b := range force {
		for f := range frames {
			on := chosen(b, f)
			force[b] = append(force[b], on)
			masks = append(masks, map[bool]float32{true: 1}[on])
		}
	}
	dims := []int64{clips, int64(len(force)), int64(frames)}
	out, err := r.session.RunNamed(context.Background(), map[string]*graph.Tensor{
		"video": x, names.MasksIn: graph.Float32s(dims, append(masks, masks...)...),
	})
	if err != nil {
		t.Fatal(err)
	}
	pixels, err := x.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	var want []float32
	for i := range clips {
		a, err := net.Clip(pixels[i*len(pixels)/clips:(i+1)*len(pixels)/clips], size[0], size[1], interpret.Given{Force: force})
		if err != nil {
			t.Fatal(err)
		}
		for _, score := range a.Scores[0] {
			want = append(want, float32(score))
		}
	}
	got := out[afblock.DefaultOutput]
	same(t, "logits", got, graph.Float32s(got.Dims, want...), verify.Tolerance{Name: "interpreted", Scale: 1e-5})
}
