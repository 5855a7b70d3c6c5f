package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/afblock/describe"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/verify"
)

// reports are what commands print with --json.
var reports = []struct {
	command string
	report  any
}{
	{"convert, optimize", afc.RewriteReport{}}, {"fit", afc.FitReport{}}, {"tune", afc.TuneReport{}}, {"export", afc.ExportReport{}}, {"inspect", describe.Description{}},
	{"inspect of a model that is not recognised", refusal{}}, {"flops estimate", afc.CostReport{}}, {"flops measure", afc.MeasureReport{}},
	{"verify", verify.Report{}}, {"sweep", afc.SweepReport{}}, {"doctor", diagnosis{}}, {"setup", setupReport{}}, {"any command that fails before it prints", failure{}},
}

// TestJSONPage holds docs/JSON.md to the types; -update writes it.
func TestJSONPage(t *testing.T) {
	p := &jsonPage{docs: map[string]string{}, done: map[reflect.Type]bool{}}
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
		fmt.Fprintf(&p.b, "\n### %s\n\n", typ.Name())
		p.object(typ)
	}
	testutil.GoldenAt(t, filepath.Join(testutil.Root(t), "docs", "JSON.md"), p.b.String())
}

// jsonPage describes types as the JSON that they are written as.
type jsonPage struct {
	b     strings.Builder
	docs  map[string]string // by "folder.Type.Field"
	done  map[reflect.Type]bool
	queue []reflect.Type
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
		if !p.done[typ] {
			p.done[typ] = true
			p.queue = append(p.queue, typ)
		}
		return "[" + typ.Name() + "](#" + strings.ToLower(typ.Name()) + ")"
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

// TestJSON: whatever is asked for with --json, the answer is one JSON object
// with its schema, errors too.
func TestJSON(t *testing.T) {
	model := modelFile(t, small)
	dir := t.TempDir()
	af := filepath.Join(dir, "af.onnx")
	mustRun(t, "convert", model, "-o", af)
	for _, args := range [][]string{
		{"inspect", model}, {"inspect", af}, {"convert", model, "-o", filepath.Join(dir, "x.onnx")}, {"optimize", model, "-o", filepath.Join(dir, "x.onnx")},
		{"flops", "estimate", model}, {"flops", "estimate", model, "--by", "operator"}, {"export", af, "-o", filepath.Join(dir, "x.safetensors")}, {"doctor"},
		{"inspect", filepath.Join(dir, "none.onnx")}, {"convert", model, "--size", "64", "-o", filepath.Join(dir, "x.onnx")}, {"optimize"},
		{"flops", "estimate", model, "--frames", "0"}, {"export", model, "-o", filepath.Join(dir, "x.safetensors")}, {"verify", filepath.Join(dir, "none.onnx")},
	} {
		o := tryRun(t, append(args, "--json")...)
		var got struct {
			Schema int
			Error  *struct {
				Message string
				Code    int `json:"exit_code"`
			}
		}
		if err := json.Unmarshal([]byte(o.stdout), &got); err != nil || got.Schema != schema {
			t.Errorf("afc %q: %v, schema %d in\n%s", args, err, got.Schema, o.stdout)
			continue
		}
		if failed := got.Error != nil; args[0] != "doctor" && failed != (o.code != exitOK) || failed && (got.Error.Code != o.code || !strings.Contains(o.stderr, got.Error.Message)) {
			t.Errorf("afc %q: exit %d, error %+v, stderr %s", args, o.code, got.Error, o.stderr)
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
