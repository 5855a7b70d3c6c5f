package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"image"
	"image/png"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/afblock/describe"
	"github.com/afc-project/afc/explain"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// reports are what commands print with --json.
var reports = []struct {
	command string
	report  any
}{
	{"convert, optimize", afc.RewriteReport{}}, {"fit", afc.FitReport{}}, {"tune", afc.TuneReport{}}, {"export", afc.ExportReport{}}, {"quantize-config", afc.QuantizeReport{}}, {"inspect", describe.Description{}},
	{"inspect of a model that is not recognised", refusal{}}, {"flops estimate", afc.CostReport{}}, {"flops measure", afc.MeasureReport{}},
	{"verify", verify.Report{}}, {"sweep", afc.SweepReport{}}, {"explain", explain.Data{}}, {"doctor", diagnosis{}}, {"setup", setupReport{}}, {"any command that fails before it prints", failure{}},
}

// TestJSONPage holds docs/JSON.md to the types; -update writes it.
func TestJSONPage(t *testing.T) {
	p := &jsonPage{docs: map[string]string{}, called: map[reflect.Type]string{}}
	fmt.Fprintf(&p.b, "# What `--json` prints\n\nGenerated from the types (`go test ./cmd/afc -run TestJSONPage -update`). Every object has\n"+
		"`\"schema\": %d` first; the number grows when a field changes its meaning or goes, while new\nfields may come at any time. Fields with “?” are left out where they say nothing.\n", schema)
	for _, r := range reports {
		typ := reflect.TypeOf(r.report)
		fmt.Fprintf(&p.b, "\n## %s\n\n", r.command)
		p.object(typ)
	}
	for len(p.queue) > 0 {
		typ := p.queue[0]
		p.queue = p.queue[1:]
		fmt.Fprintf(&p.b, "\n### %s\n\n", p.called[typ])
		p.object(typ)
	}
	testutil.GoldenAt(t, filepath.Join(testutil.Root(t), "docs", "JSON.md"), p.b.String())
}

// jsonPage describes types as the JSON that they are written as.
type jsonPage struct {
	b      strings.Builder
	docs   map[string]string       // by "folder.Type.Field"
	called map[reflect.Type]string // headings of objects, each of its own
	queue  []reflect.Type
}

func (p *jsonPage) object(typ reflect.Type) {
	p.read(typ)
	p.b.WriteString("| field | type | what it is |\n|---|---|---|\n")
	p.fields(typ)
}

func (p *jsonPage) fields(typ reflect.Type) {
	p.read(typ)
	for f := range fieldsOf(typ) {
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			p.fields(f.Type)
			continue
		}
		if name == "-" && f.Name == "Chosen" { // written by MarshalJSON
			name = "chosen"
		}
		if name == "-" || !f.IsExported() || name == "" {
			continue
		}
		if strings.Contains(rest, "omitempty") {
			name += "?"
		}
		fmt.Fprintf(&p.b, "| `%s` | %s | %s |\n", name, p.typeName(f.Type), strings.ReplaceAll(p.docs[typ.PkgPath()+"."+typ.Name()+"."+f.Name], "|", "\\|"))
	}
}

func fieldsOf(typ reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range typ.NumField() {
			if !yield(typ.Field(i)) {
				return
			}
		}
	}
}

// typeName is JSON's name of a type; objects are described further down.
func (p *jsonPage) typeName(typ reflect.Type) string {
	switch typ.Kind() {
	case reflect.Pointer:
		return p.typeName(typ.Elem())
	case reflect.Slice, reflect.Array:
		return "list of " + p.typeName(typ.Elem())
	case reflect.Map:
		return "object of " + p.typeName(typ.Elem())
	case reflect.Struct:
		if p.called[typ] == "" {
			name := typ.Name()
			for other := range p.called {
				if p.called[other] == name { // of another package
					name = path.Base(typ.PkgPath()) + " " + typ.Name()
					break
				}
			}
			p.called[typ] = name
			p.queue = append(p.queue, typ)
		}
		name := p.called[typ]
		return "[" + name + "](#" + strings.ReplaceAll(strings.ToLower(name), " ", "-") + ")"
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Interface:
		return "any"
	}
	return "number"
}

// read takes the comments of a type's fields from its source.
func (p *jsonPage) read(typ reflect.Type) {
	dir := strings.TrimPrefix(strings.TrimPrefix(typ.PkgPath(), "github.com/afc-project/afc"), "/")
	if typ.PkgPath() == "main" || p.docs[typ.PkgPath()] != "" {
		if p.docs[typ.PkgPath()] != "" {
			return
		}
		dir = "cmd/afc"
	}
	p.docs[typ.PkgPath()] = "read"
	files, _ := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(dir), "*.go"))
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			continue
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					text := strings.Join(strings.Fields(f.Doc.Text()+" "+f.Comment.Text()), " ")
					for _, name := range f.Names {
						p.docs[typ.PkgPath()+"."+spec.Name.Name+"."+name.Name] = text
					}
				}
			}
			return true
		})
	}
}

// reportOf is the type that docs/JSON.md has for a command.
func reportOf(command string) reflect.Type {
	for _, r := range reports {
		if slices.Contains(strings.Split(r.command, ", "), command) {
			return reflect.TypeOf(r.report)
		}
	}
	return nil
}

// TestJSON: whatever is asked for with --json, the answer is one JSON object of the
// form that docs/JSON.md describes, errors too, and of every command both are tried.
func TestJSON(t *testing.T) {
	lib, missing := ort.Find()
	if missing == nil {
		t.Setenv(ort.LibraryVariable, lib.Path)
	}
	t.Chdir(t.TempDir())
	for name, raw := range map[string][]byte{"m.onnx": encodedSpec(t, small), "miss.onnx": encodedSpec(t, testmodels.NearMisses()[0].Spec)} {
		if err := os.WriteFile(name, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mustRun(t, "convert", "m.onnx", "-o", "af.onnx")
	mustRun(t, "convert", "m.onnx", "-o", "gathered.onnx", "--lowering", "gather")
	clips := clipsFile(t, 12, small.Frames, 3, small.Size, small.Size)
	frames := framesFolder(t, 2)
	tried := map[string]bool{}
	for _, c := range []struct {
		report string // as in reports
		args   []string
		code   int
	}{
		{"inspect", []string{"inspect", "m.onnx"}, exitOK}, {"inspect", []string{"inspect", "af.onnx"}, exitOK},
		{"inspect of a model that is not recognised", []string{"inspect", "miss.onnx"}, exitNotRecognized}, {"", []string{"inspect", "none.onnx"}, exitUsage},
		{"convert", []string{"convert", "m.onnx", "-o", "x.onnx"}, exitOK}, {"", []string{"convert", "m.onnx", "--size", "64", "-o", "x.onnx"}, exitUsage},
		{"", []string{"convert", "miss.onnx", "-o", "x.onnx"}, exitNotRecognized},
		{"optimize", []string{"optimize", "m.onnx", "-o", "x.onnx"}, exitOK}, {"", []string{"optimize"}, exitUsage},
		{"flops estimate", []string{"flops", "estimate", "m.onnx"}, exitOK}, {"flops estimate", []string{"flops", "estimate", "m.onnx", "--by", "operator"}, exitOK},
		{"flops estimate", []string{"flops", "estimate", "af.onnx", "--by", "block"}, exitOK}, {"flops estimate", []string{"flops", "estimate", "--arch", "af-resnet50"}, exitOK},
		{"", []string{"flops", "estimate", "m.onnx", "--frames", "0"}, exitUsage},
		{"export", []string{"export", "af.onnx", "-o", "x.safetensors"}, exitOK}, {"export", []string{"export", "af.onnx", "-o", "x", "--format", "pytorch"}, exitOK},
		{"export", []string{"export", "af.onnx", "-o", "y", "--format", "triton"}, exitOK}, {"", []string{"export", "m.onnx", "-o", "x.safetensors"}, exitInvalid},
		{"quantize-config", []string{"quantize-config", "gathered.onnx"}, exitOK}, {"", []string{"quantize-config", "none.onnx"}, exitUsage},
		{"doctor", []string{"doctor"}, -1}, {"", []string{"doctor", "x"}, exitUsage}, {"", []string{"setup", "x"}, exitUsage},
		{"verify", []string{"verify", "m.onnx", "af.onnx", "--rounds", "1"}, exitOK}, {"verify", []string{"verify", "--same", "m.onnx", "af.onnx"}, exitMismatch},
		{"verify", []string{"verify", "--same", "af.onnx", "--save-outputs", "run.npz"}, exitOK}, {"", []string{"verify", "none.onnx"}, exitUsage},
		{"flops measure", []string{"flops", "measure", "af.onnx"}, exitOK}, {"", []string{"flops", "measure"}, exitUsage},
		{"sweep", []string{"sweep", "m.onnx", "af.onnx", "--input", clips, "--rounds", "1", "--published", "sthv1"}, exitOK}, {"", []string{"sweep"}, exitUsage},
		{"explain", append([]string{"explain", "af.onnx", "--source", "m.onnx"}, frames...), exitOK}, {"", []string{"explain", "none.onnx"}, exitUsage},
		{"fit", []string{"fit", "m.onnx", "-o", "fitted.onnx", "--input", clips}, exitOK}, {"", []string{"fit", "m.onnx"}, exitUsage},
		{"tune", []string{"tune", "af.onnx", "-o", "tuned.onnx", "--source", "m.onnx", "--input", clips, "--epochs", "1", "--batch", "2"}, exitOK}, {"", []string{"tune"}, exitUsage},
	} {
		command := c.args[0]
		if command == "flops" {
			command += " " + c.args[1]
		}
		tried[command+" "+c.report] = true
		if slices.Contains([]string{"verify", "flops measure", "sweep", "explain", "fit", "tune"}, command) && missing != nil {
			continue
		}
		o := jsonOf(t, append(c.args, "--json"))
		if c.code >= 0 && o.code != c.code {
			t.Errorf("afc %q: exit %d, want %d: %s", c.args, o.code, c.code, o.stderr)
		}
		typ := reportOf(c.report)
		if typ == nil {
			typ = reflect.TypeFor[failure]()
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(o.stdout), &got); err != nil || got["schema"] != float64(schema) {
			t.Errorf("afc %q: %v, schema %v in\n%s", c.args, err, got["schema"], o.stdout)
			continue
		}
		delete(got, "schema")
		for _, fault := range unlike(typ, got, c.args[0]) {
			t.Errorf("afc %q: %s", c.args, fault)
		}
		if failed, ok := got["error"].(map[string]any); ok && (failed["exit_code"] != float64(o.code) || !strings.Contains(o.stderr, failed["message"].(string))) {
			t.Errorf("afc %q: exit %d, error %v, stderr %s", c.args, o.code, failed, o.stderr)
		}
	}
	for _, w := range words((&app{}).cli().Commands) {
		if slices.ContainsFunc(w.flags, func(f flagWord) bool { return f.name == "json" }) && (!tried[w.name+" "] || !tried[w.name+" "+w.name] && w.name != "setup") {
			t.Errorf("afc %s --json is not tried, with success and with an error", w.name)
		}
	}
}

// jsonOf runs a command, those that run models as processes of their own.
func jsonOf(t *testing.T, args []string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := program(t.Context(), args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Run()
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// unlike says where a JSON value is not what the type says: another kind, a field
// that it does not have, or one missing that is never left out.
func unlike(typ reflect.Type, got any, at string) []string {
	wrong := func(want string) []string { return []string{fmt.Sprintf("%s is %T, want %s", at, got, want)} }
	switch typ.Kind() {
	case reflect.Pointer:
		return unlike(typ.Elem(), got, at)
	case reflect.Interface:
		return nil
	case reflect.String:
		if _, ok := got.(string); !ok {
			return wrong("text")
		}
	case reflect.Bool:
		if _, ok := got.(bool); !ok {
			return wrong("true or false")
		}
	case reflect.Slice, reflect.Array:
		list, ok := got.([]any)
		if !ok {
			return wrong("a list")
		}
		var faults []string
		for i, x := range list {
			faults = append(faults, unlike(typ.Elem(), x, fmt.Sprintf("%s[%d]", at, i))...)
		}
		return faults
	case reflect.Struct:
		object, ok := got.(map[string]any)
		if !ok {
			return wrong("an object")
		}
		return unlikeObject(typ, object, at)
	default:
		if _, ok := got.(float64); !ok {
			return wrong("a number")
		}
	}
	return nil
}

func unlikeObject(typ reflect.Type, object map[string]any, at string) []string {
	var faults []string
	known := map[string]bool{}
	var look func(reflect.Type)
	look = func(typ reflect.Type) {
		for f := range fieldsOf(typ) {
			name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous && name == "" {
				look(f.Type)
				continue
			}
			if name == "-" && f.Name == "Chosen" { // written by MarshalJSON, as numbers
				name = "chosen"
			}
			if name == "-" || name == "" || !f.IsExported() {
				continue
			}
			known[name] = true
			switch value, there := object[name]; {
			case there:
				faults = append(faults, unlike(f.Type, value, at+"."+name)...)
			case !strings.Contains(rest, "omit"):
				faults = append(faults, at+" lacks "+name)
			}
		}
	}
	look(typ)
	for name := range object {
		if !known[name] {
			faults = append(faults, at+" has "+name+", which docs/JSON.md does not know")
		}
	}
	return faults
}

// TestUnlike: the check of forms finds each kind of fault.
func TestUnlike(t *testing.T) {
	for raw, want := range map[string]string{
		`{"message": "x", "exit_code": 2}`: "", `{"message": "x"}`: "lacks exit_code", `{"message": 1, "exit_code": 2}`: "message is float64, want text",
		`{"message": "x", "exit_code": 2, "more": 1}`: "has more", `[]`: "want an object", `{"message": "x", "exit_code": null}`: "want a number",
	} {
		var got any
		if err := json.Unmarshal([]byte(raw), &got); err != nil {
			t.Fatal(err)
		}
		if faults := strings.Join(unlike(reflect.TypeFor[failureFacts](), got, "x"), "; "); (want == "") != (faults == "") || !strings.Contains(faults, want) {
			t.Errorf("%s: %q, want %q", raw, faults, want)
		}
	}
}

// TestMasksAreLists: masks are lists of numbers, and come back as they were.
func TestMasksAreLists(t *testing.T) {
	in := &verify.Masks{Blocks: []string{"a"}, Frames: 3, Chosen: [][][]uint8{{{1, 0, 1}}}}
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), `"chosen":[[[1,0,1]]]`) {
		t.Errorf("%s", raw)
	}
	var back verify.Masks
	if err := json.Unmarshal(raw, &back); err != nil || !reflect.DeepEqual(&back, in) {
		t.Errorf("%+v, %v", back, err)
	}
}

// framesFolder writes videos as folders of frames, and returns the flags that read
// them.
func framesFolder(t *testing.T, videos int) []string {
	t.Helper()
	dir := t.TempDir()
	for v := range videos {
		folder := filepath.Join(dir, "class", fmt.Sprint(v))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= 4; n++ {
			img := image.NewGray(image.Rect(0, 0, 32, 32))
			for i := range img.Pix {
				img.Pix[i] = uint8(i*n + 40*v)
			}
			var b bytes.Buffer
			if err := png.Encode(&b, img); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("img_%05d.png", n)), b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return []string{"--videos", dir, "--template", "img_%05d.png"}
}
