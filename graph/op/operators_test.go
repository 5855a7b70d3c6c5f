package op_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
	"github.com/afc-project/afc/internal/testutil"
)

// The ONNX backend tests are the outside oracle of operator semantics: every
// case made of claimed operators must pass. Cases are exempt only for a reason
// stated here.
var (
	exemptSequence = "sequences and optionals are not computed with"
	// Before onnx 1.13 the window functions' bodies round π to 3.14159, their
	// recorded outputs do not.
	exemptWindow = "recorded with another π than the function's body has"
	// Claimed operators without a case, since they make random numbers or take
	// more than tensors; TestInferSequences and TestInferRandom have them.
	noCases = []string{"ConcatFromSequence", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
		"SequenceAt", "SequenceConstruct", "SequenceLength", "SplitToSequence"}
	// Sizes that constant inputs alone do not tell inference.
	openSizes = map[string]string{
		"test_loop11": "slices at the loop's counter",
	}
)

// exemptType says why cases with tensors of a type need not pass, "" if they
// must.
func exemptType(d graph.DataType) string {
	switch bits := d.Bits(); {
	case d == graph.String:
		return "strings are not computed with"
	case d == graph.Complex64 || d == graph.Complex128:
		return "complex numbers are not computed with"
	case bits < 8:
		return "elements of less than a byte are not computed with"
	case bits == 8 && d >= graph.Float8E4M3FN:
		return "8-bit floats are not computed with"
	}
	return ""
}

// Largest errors allowed against the recorded outputs, relative to the larger
// of 1 and the recorded value. The recorded outputs carry NumPy's rounding of
// intermediate results in the element type, which differs from afc's.
var corpusTolerance = map[graph.DataType]float64{graph.Float32: 2e-6, graph.Float64: 1e-12, graph.Float16: 2e-3, graph.BFloat16: 1e-2}

// Cases recorded with fewer digits than their type has.
var caseTolerance = map[string]float64{"test_averagepool_2d_ceil_last_window_starts_on_pad": 1e-4}

// operatorCase is a model with one set of recorded inputs and outputs.
type operatorCase struct {
	name   string
	model  *graph.Model
	in     []*graph.Tensor // by graph input; nil: has none
	want   []*graph.Tensor
	exempt string // why it need not pass
}

// operatorCases calls f for every case of the corpora whose nodes, those of
// subgraphs included, are all claimed.
func operatorCases(t *testing.T, claimed func(op, domain string, opset int64) bool, f func(*testing.T, operatorCase)) {
	seen, exempt := map[string]bool{}, 0
	run := func(name string, dir fs.FS) {
		sets, err := fs.Glob(dir, "test_data_set_*")
		if err != nil || len(sets) == 0 {
			return // kept for its model alone
		}
		data, err := fs.ReadFile(dir, "model.onnx")
		if err != nil {
			t.Fatal(err)
		}
		m, err := graph.Decode(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		ok := func(n *graph.Node) bool { return claimed(n.OpType, n.Domain, n.Opset()) }
		if !allNodes(m.Graph, ok) {
			return
		}
		for _, set := range sets {
			c := operatorCase{name: name, model: m}
			if strings.Contains(name, "window") && strings.Contains(name, "_expanded") && m.Opset("") < 18 {
				c.exempt = exemptWindow
			}
			c.load(t, dir, set)
			if c.exempt != "" {
				exempt++
				continue
			}
			allNodes(m.Graph, func(n *graph.Node) bool { seen[n.OpType] = true; return true })
			t.Run(name, func(t *testing.T) { f(t, c) })
		}
	}

	for _, archive := range []string{"operators", "opsets"} {
		cases := readArchive(t, archive)
		names, err := fs.ReadDir(cases, ".")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range names {
			dir, err := fs.Sub(cases, e.Name())
			if err != nil {
				t.Fatal(err)
			}
			run(archive+"/"+e.Name(), dir)
		}
	}
	for _, name := range op.Claims() {
		if claimed(name, "", 0) && !seen[name] && !slices.Contains(noCases, name) {
			t.Errorf("the committed cases have none for %s, which is claimed", name)
		}
	}
	for _, model := range testutil.Corpus(t) {
		dir := filepath.Dir(model)
		run(filepath.Base(dir), os.DirFS(dir))
	}
	t.Logf("%d operators, %d cases exempt", len(seen), exempt)
}

// readArchive reads the cases of testdata/NAME.tar.gz; testdata/README.md
// says where they come from.
func readArchive(t testing.TB, name string) fs.FS {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	cases := fstest.MapFS{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return cases
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		cases[h.Name] = &fstest.MapFile{Data: data}
	}
}

func allNodes(g *graph.Graph, ok func(*graph.Node) bool) bool {
	for n := range g.AllNodes() {
		if !ok(n) {
			return false
		}
	}
	return true
}

func (c *operatorCase) load(t *testing.T, dir fs.FS, set string) {
	t.Helper()
	k := 0
	for _, v := range c.model.Graph.Inputs() {
		var x *graph.Tensor
		if v.Initializer() == nil {
			x = c.tensor(t, v, dir, fmt.Sprintf("%s/input_%d.pb", set, k))
			k++
		}
		c.in = append(c.in, x)
	}
	for i, v := range c.model.Graph.Outputs() {
		c.want = append(c.want, c.tensor(t, v, dir, fmt.Sprintf("%s/output_%d.pb", set, i)))
	}
}

// tensor reads a TensorProto by wrapping it as the initializer of a model.
func (c *operatorCase) tensor(t *testing.T, v *graph.Value, dir fs.FS, file string) *graph.Tensor {
	t.Helper()
	if !v.Type.IsTensor() {
		c.exempt = exemptSequence
		return nil
	}
	data, err := fs.ReadFile(dir, file)
	if err != nil {
		t.Fatal(err)
	}
	// GraphProto.initializer = 5; TensorProto.name = 8; ModelProto.graph = 7.
	data = protowire.AppendString(protowire.AppendTag(data, 8, protowire.BytesType), "x")
	g := protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), data)
	m, err := graph.Decode(protowire.AppendBytes(protowire.AppendTag(nil, 7, protowire.BytesType), g))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	x := m.Graph.Value("x").Initializer()
	if v.Type.Elem == graph.BFloat16 && x.DType == graph.Uint16 {
		x.DType = graph.BFloat16 // older corpora record its bits
	}
	if why := exemptType(x.DType); why != "" && c.exempt == "" {
		c.exempt = why
	}
	return x
}

// TestOperatorsEval evaluates every claimed case and compares with the
// recorded outputs.
func TestOperatorsEval(t *testing.T) {
	claimed := func(name, domain string, opset int64) bool { e, _ := op.Claimed(name, domain, opset); return e }
	operatorCases(t, claimed, func(t *testing.T, c operatorCase) {
		from := map[*graph.Value]*graph.Tensor{}
		for i, v := range c.model.Graph.Inputs() {
			if from[v] = c.in[i]; c.in[i] == nil {
				from[v] = v.Initializer()
			}
		}
		got, err := run(c.model.Graph, from, op.DefaultEvalBytes)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range c.want {
			if err := sameTensor(got[i], want, caseTolerance[path.Base(c.name)]); err != nil {
				t.Errorf("output %d: %v", i, err)
			}
		}
	})
}

// sameTensor compares type, shape and elements, floating-point ones within
// corpusTolerance or, where that is larger, allowed.
func sameTensor(got, want *graph.Tensor, allowed float64) error {
	if got.DType != want.DType || !slices.Equal(got.Dims, want.Dims) {
		return fmt.Errorf("is %s%v, want %s%v", got.DType, got.Dims, want.DType, want.Dims)
	}
	x, y := op.Float64s(got), op.Float64s(want)
	if x == nil {
		a, err := got.Bytes()
		if err != nil {
			return err
		}
		b, err := want.Bytes()
		if err != nil {
			return err
		}
		if !bytes.Equal(a, b) {
			return fmt.Errorf("elements are %x, want %x", a, b)
		}
		return nil
	}
	worst, at := 0.0, 0
	for i := range x {
		if x[i] == y[i] || x[i] != x[i] && y[i] != y[i] {
			continue
		}
		if e := math.Abs(x[i]-y[i]) / max(1, math.Abs(y[i])); !(e <= worst) {
			worst, at = e, i
		}
	}
	if allowed = max(allowed, corpusTolerance[got.DType]); !(worst <= allowed) {
		return fmt.Errorf("error %.3g at element %d, %v instead of %v, allowed %.3g", worst, at, x[at], y[at], allowed)
	}
	return nil
}

// TestOperatorsInfer infers every claimed case in three settings and compares
// with the recorded outputs: with shapes known; with integer inputs constant,
// too, when everything must come out known; and with symbols for the sizes,
// when the outcome must be right for the recorded sizes.
func TestOperatorsInfer(t *testing.T) {
	claimed := func(name, domain string, opset int64) bool { _, i := op.Claimed(name, domain, opset); return i }
	operatorCases(t, claimed, func(t *testing.T, c operatorCase) {
		for _, mode := range []string{"shapes", "constants", "symbols"} {
			m := c.model.Clone()
			g := m.Graph
			sizes := map[string]int64{}
			for i, v := range slices.Clone(g.Inputs()) {
				x := c.in[i]
				if x == nil {
					if mode == "constants" {
						g.RemoveInput(v) // its default remains
					}
					continue
				}
				shape := x.Shape()
				_, err := x.Int64s()
				if mode != "shapes" && (err == nil || len(x.Dims) < 2) && !(mode == "symbols" && len(x.Dims) > 1) {
					k := g.NewInitializer("constant", x)
					v.ReplaceAllUses(k)
					if v.NumUses() == 0 {
						g.RemoveInput(v)
						continue
					}
				}
				if mode == "symbols" {
					for k, d := range x.Dims {
						if d != 1 { // which broadcasting turns on
							name := fmt.Sprintf("n%d", d)
							sizes[name] = d
							shape[k] = graph.Sym(name)
						}
					}
				}
				v.Type = graph.TensorType(x.DType, shape) // not always what the file declares
			}
			op.ForgetShapes(m)
			r := op.Infer(m)
			if mode == "constants" && !r.OK() {
				t.Errorf("%s: %s", mode, r)
			}
			for i, v := range g.Outputs() {
				checkInferred(t, c.name, mode, v, c.want[i], sizes)
			}
		}
	})
}

func checkInferred(t *testing.T, name, mode string, v *graph.Value, want *graph.Tensor, sizes map[string]int64) {
	t.Helper()
	if v.Type.Elem != want.DType {
		t.Errorf("%s: type is %s, want %s", mode, v.Type.Elem, want.DType)
	}
	s := v.Type.Shape
	if s == nil {
		if mode == "constants" {
			t.Errorf("%s: rank is not known, want %v", mode, want.Dims)
		}
		return
	}
	if len(s) != len(want.Dims) {
		t.Errorf("%s: shape is %s, want %v", mode, s, want.Dims)
		return
	}
	open := openSizes[strings.TrimSuffix(path.Base(name), "_1.12")] != ""
	for k, d := range s {
		n, known := d.Size, d.Known()
		if !known && d.Param != "" {
			n, known = op.DimValue(d, sizes)
		}
		if known && n != want.Dims[k] {
			t.Errorf("%s: shape is %s, want %v with %v", mode, s, want.Dims, sizes)
		}
		if mode == "constants" && !open && !d.Known() && !op.FromRun(d) {
			t.Errorf("%s: shape is %s, want %v", mode, s, want.Dims)
		}
	}
}
