package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/passes"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify/ort"
)

var propertyChecks = flag.Int("property-checks", 300, "random networks that TestProperty makes")

// propertyLimit bounds differences between two ways to compute one network, in
// parts of the largest logit: these nets amplify rounding.
const propertyLimit = 1e-4

// TestProperty makes random small video ResNets in random spellings and holds
// for each: the file round-trips; it is recognised as what was built; optimize
// keeps its outputs; every lowering of its AFNet agrees with mask. A failure is
// shrunk, and the smallest failing model written to build/.
//
// Thousands of networks: go test ./cmd/afc -run TestProperty -property-checks 5000.
// The same again: add the -rapid.seed that is printed.
func TestProperty(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	checks := *propertyChecks
	if testing.Short() {
		checks = min(checks, 10)
	}
	flags := map[string]string{"rapid.checks": strconv.Itoa(checks), "rapid.nofailfile": "true", "rapid.shrinktime": "20s"}
	if given := flag.Lookup("rapid.seed").Value.String(); given == "0" {
		flags["rapid.seed"] = strconv.FormatUint(rand.Uint64()|1, 10)
		t.Logf("-rapid.seed=%s", flags["rapid.seed"])
	}
	for name, value := range flags {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	failed := filepath.Join(testutil.Root(t), "build", "property-failure.onnx")
	rapid.Check(t, func(t *rapid.T) {
		spec := drawSpec(t)
		t.Logf("%+v", spec)
		p := property{t, spec, spec.Build(), failed}
		defer p.keepIfFailed()
		p.roundTrip()
		p.optimize()
		p.convert()
	})
}

// drawSpec draws a small network. Choices early in each list are what failures
// shrink to.
func drawSpec(t *rapid.T) testmodels.Spec {
	pick := func(name string, of ...int) int { return rapid.SampledFrom(of).Draw(t, name) }
	yes := func(name string) bool { return rapid.Bool().Draw(t, name) }
	s := testmodels.Spec{
		Blocks:           rapid.SliceOfN(rapid.IntRange(1, 4), 2, 4).Draw(t, "blocks"),
		Basic:            yes("basic"),
		Width:            pick("width", 8, 16, 24),
		Frames:           rapid.IntRange(1, 6).Draw(t, "frames"),
		Size:             rapid.IntRange(17, 49).Draw(t, "size"),
		Classes:          rapid.IntRange(2, 6).Draw(t, "classes"),
		Batch:            pick("batch", 1, 2),
		Dynamic:          yes("dynamic"),
		Input:            testmodels.Input(pick("input", 0, 1, 2)),
		Channels:         pick("channels", 3, 2, 10),
		Pixels:           yes("pixels"),
		Shift:            testmodels.Shift(pick("shift", 0, 1, 2, 3, 4, 5, 6)),
		FoldDiv:          pick("fold", 8, 4, 3),
		ShiftBlock:       yes("shift before block"),
		ShiftEverySecond: yes("shift every second"),
		BN:               testmodels.BN(pick("bn", 0, 1)),
		Head:             testmodels.Head(pick("head", 0, 1, 2, 3, 4, 5, 6)),
		Softmax:          yes("softmax"),
		Opset:            int64(pick("opset", 13, 11, 12, 9, 10, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)),
		Seed:             uint64(rapid.IntRange(0, 99).Draw(t, "seed")),

		InitializersAsInputs: yes("initializers as inputs"),
		ConstantWeights:      yes("constant weights"),
		Unnamed:              yes("unnamed"),
	}
	s.Blocks[0] = max(s.Blocks[0], 2) // else there may be nothing to rewrite
	s.CaffeStride = !s.Basic && yes("caffe stride")
	s.Identities = s.BN == testmodels.BNKept && yes("identities")
	if s.Shift != testmodels.NoShift {
		s.Frames = max(s.Frames, 2) // a shift within one frame is no shift
	}
	switch s.Shift {
	case testmodels.ShiftScatter:
		s.Dynamic, s.Opset = false, max(s.Opset, 11)
	case testmodels.ShiftGather:
		s.Opset = max(s.Opset, 11)
	}
	if err := s.Validate(); err != nil {
		t.Fatalf("drawSpec drew what cannot be built: %v", err)
	}
	return s
}

// property is one random network under test.
type property struct {
	*rapid.T
	spec   testmodels.Spec
	model  *graph.Model
	failed string // where a failing model is written
}

// keepIfFailed writes the model of a failure; the last written is the smallest.
func (p *property) keepIfFailed() {
	if !p.Failed() {
		return
	}
	var b bytes.Buffer
	err := errors.Join(p.spec.Build().Encode(&b), os.MkdirAll(filepath.Dir(p.failed), 0o777), os.WriteFile(p.failed, b.Bytes(), 0o666))
	p.Logf("the model is in %s (%v)", p.failed, err)
}

func (p *property) encode(m *graph.Model) []byte {
	var b bytes.Buffer
	if err := m.Encode(&b); err != nil {
		p.Fatalf("encode: %v", err)
	}
	return b.Bytes()
}

// decode reads a copy of the model, as commands do: passes change what they are
// given.
func (p *property) decode(data []byte) *graph.Model {
	m, err := graph.Decode(data)
	if err != nil {
		p.Fatalf("decode: %v", err)
	}
	return m
}

func (p *property) roundTrip() {
	data := p.encode(p.model)
	m := p.decode(data)
	if err := graph.Check(m); err != nil {
		p.Fatalf("check: %v", err)
	}
	if !bytes.Equal(p.encode(m), data) {
		p.Fatalf("decoded and encoded again, the model has other bytes")
	}
}

func (p *property) optimize() {
	want := p.run(p.model, "source", p.spec.Frames)
	result, err := passes.Optimize(p.decode(p.encode(p.model)), passes.Options{Check: true, Seed: p.spec.Seed})
	if err != nil {
		p.Fatalf("optimize: %v", err)
	}
	p.agree("optimize", p.run(result.Model, "optimized", p.spec.Frames), want)
}

func (p *property) convert() {
	options := afblock.RewriteOptions{
		Frames:     rapid.SampledFrom([]int{0, 0, 2, 3, 5}).Draw(p.T, "AFNet's frames"),
		Groups:     rapid.SampledFrom([]int{2, 1}).Draw(p.T, "groups"),
		Navigation: afblock.Pattern{Ratio: rapid.SampledFrom([]float64{0.5, 0, 1, 0.25}).Draw(p.T, "selected")},
		StrideAt:   afblock.StrideAt(rapid.SampledFrom([]int{0, 1}).Draw(p.T, "stride at")),
		Unselected: afblock.Unselected(rapid.SampledFrom([]int{0, 1}).Draw(p.T, "unselected")),
	}
	if p.spec.Frames == 1 || p.spec.Pixels { // the input may as well be frames in the batch; the frame axis is not told apart
		options.Frames = 0
	}
	given := 0
	noClips := (p.spec.Input == testmodels.FramesInBatch || p.spec.Pixels) && p.spec.Shift == testmodels.NoShift && p.spec.Head == testmodels.PerFrameScores
	if noClips || p.spec.Frames == 1 {
		given = p.spec.Frames // nothing in the graph says it
	}
	frames := cmp.Or(options.Frames, p.spec.Frames)
	recognize := recognize.Options{Frames: given}
	seen, err := passes.Run(passes.ToConvert, passes.Input{Model: p.decode(p.encode(p.model))},
		passes.Options{StopAfter: "recognize", Convert: passes.Convert{Recognize: recognize}})
	if err != nil {
		p.Fatalf("recognize: %v", err)
	}
	p.recognized(seen.Network)
	lowered := map[codegen.Lowering]*graph.Model{}
	for _, lowering := range codegen.Lowerings {
		opt := passes.Options{
			Check: true, Seed: p.spec.Seed,
			Convert: passes.Convert{Recognize: recognize, Rewrite: &options, Lower: codegen.Options{Lowering: lowering}},
		}
		if lowering == codegen.TopK {
			opt.Lower.Budget = []int{frames}
		}
		result, err := passes.Run(passes.ToConvert, passes.Input{Model: p.decode(p.encode(p.model))}, opt)
		if err != nil {
			p.Fatalf("convert, lowering %s: %v", lowering, err)
		}
		lowered[lowering] = p.decode(p.encode(result.Model))
	}
	want := p.run(lowered[codegen.Mask], "mask", frames)
	for _, lowering := range codegen.Lowerings[1:] {
		p.agree(string(lowering), p.run(lowered[lowering], string(lowering), frames), want)
	}
}

// recognized holds what was recognised to what was built.
func (p *property) recognized(net *afblock.Network) {
	if net.Frames != p.spec.Frames {
		p.Fatalf("recognised %d frames, built %d", net.Frames, p.spec.Frames)
	}
	if len(net.Stages) != len(p.spec.Blocks) {
		p.Fatalf("recognised %d stages, built %d", len(net.Stages), len(p.spec.Blocks))
	}
	for i, s := range net.Stages {
		if len(s.Blocks) != p.spec.Blocks[i] {
			p.Fatalf("%s: recognised %d blocks, built %d", s.Name, len(s.Blocks), p.spec.Blocks[i])
		}
		for k, b := range s.Blocks {
			shifted := p.spec.Shift != testmodels.NoShift && !(p.spec.ShiftEverySecond && k%2 == 1)
			switch {
			case (b.Shift != nil) != shifted:
				p.Fatalf("%s: recognised shift %v, built %v", b.Key, b.Shift, shifted)
			case shifted && (b.Shift.Fold != b.In()/p.spec.FoldDiv || b.Shift.Residual != p.spec.ShiftBlock):
				p.Fatalf("%s: recognised %+v of %d channels, built fold 1/%d, before the block: %v", b.Key, *b.Shift, b.In(), p.spec.FoldDiv, p.spec.ShiftBlock)
			}
		}
	}
}

// run computes a model's logits on clips of so many frames that depend on the
// input's shape alone.
func (p *property) run(m *graph.Model, name string, frames int) []float32 {
	m.Path = name
	s, err := ort.NewSession(m, ort.SessionOptions{Threads: 1})
	if err != nil {
		p.Fatalf("%s: %v", name, err)
	}
	defer s.Close()
	in := s.Inputs()[0]
	dims := in.Type.Shape.Dims()
	if dims[0] < 0 {
		dims[0] = 2
		if p.spec.Input == testmodels.FramesInBatch {
			dims[0] = 2 * int64(frames)
		}
	}
	n := int64(1)
	for i := range dims {
		if dims[i] < 0 {
			p.Fatalf("%s: input %s has more than one open dimension", name, in.Type)
		}
		n *= dims[i]
	}
	out, err := s.Run(p.Context(), noise(rand.New(rand.NewPCG(p.spec.Seed, 1)), in.Type.Elem, dims, n))
	if err != nil {
		p.Fatalf("%s: %v", name, err)
	}
	logits, err := out[0].Float32s()
	if err != nil {
		p.Fatalf("%s: %v", name, err)
	}
	return logits
}

// noise is a clip of n random values, normal or, as pixels, uniform.
func noise(r *rand.Rand, elem graph.DataType, dims []int64, n int64) *graph.Tensor {
	if elem == graph.Uint8 {
		pixels := make([]byte, n)
		for i := range pixels {
			pixels[i] = byte(r.Uint32())
		}
		t, err := graph.NewTensor(elem, dims, pixels)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return t
	}
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return graph.Float32s(dims, x...)
}

func (p *property) agree(name string, got, want []float32) {
	if len(got) != len(want) {
		p.Fatalf("%s: %d logits, want %d", name, len(got), len(want))
	}
	var largest, worst float64
	at := 0
	for i := range want {
		largest = max(largest, math.Abs(float64(want[i])))
		if d := math.Abs(float64(got[i]) - float64(want[i])); d > worst || math.IsNaN(d) {
			worst, at = d, i
		}
	}
	if !(worst <= propertyLimit*largest) {
		p.Fatalf("%s: logit %d is %g, want %g: off by %.2g of the largest, limit %g", name, at, got[at], want[at], worst/largest, propertyLimit)
	}
}
