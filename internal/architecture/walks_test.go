package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/internal/testutil"
)

// TestWalks counts the functions that go through a network's stages and know
// what is in one, blocks or an AF module: docs/ARCHITECTURE.md lists them, and
// says why each is not a loop over afblock's Walk. Another one is a decision,
// not an oversight.
func TestWalks(t *testing.T) {
	listed := table(t, "walk")
	for _, pkg := range packages(t) {
		for _, name := range pkg.files {
			if strings.HasSuffix(name, ".pb.go") || pkg.path == "afblock/describe" { // whose stages are a Description's
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(pkg.dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok || !walks(f) {
					continue
				}
				walk := path.Join(pkg.path, name) + ": " + f.Name.Name
				if _, ok := listed[walk]; !ok {
					t.Errorf("%s goes through stages, blocks and modules by hand: make it a loop over afblock's Walk, or say in docs/ARCHITECTURE.md why not", walk)
				}
				delete(listed, walk)
			}
		}
	}
	for walk := range listed {
		t.Errorf("docs/ARCHITECTURE.md lists the walk %q, which is none", walk)
	}
}

// TestQuestions looks for what answers each of the twenty questions where
// docs/ARCHITECTURE.md says it is.
func TestQuestions(t *testing.T) {
	answers := table(t, "file")
	if len(answers) != 20 {
		t.Errorf("%d questions have an answer, want 20", len(answers))
	}
	for answer := range answers {
		name, decl, _ := strings.Cut(answer, ": ")
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(testutil.Root(t), name), nil, 0)
		if err != nil {
			t.Error(err)
			continue
		}
		if !slices.Contains(declared(file), decl) {
			t.Errorf("%s does not declare %s", name, decl)
		}
	}
}

// declared lists what a file declares at its top: functions, methods, types and
// variables, by name.
func declared(file *ast.File) []string {
	var list []string
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			list = append(list, d.Name.Name)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					list = append(list, s.Name.Name)
				case *ast.ValueSpec:
					for _, n := range s.Names {
						list = append(list, n.Name)
					}
				}
			}
		}
	}
	return list
}

// walks reports whether a function ranges over stages and either asks one for its
// blocks and makes or asks a module, or does one thing for a stage with a module
// and another for one without.
func walks(f *ast.FuncDecl) bool {
	found := false
	ast.Inspect(f, func(n ast.Node) bool {
		loop, ok := n.(*ast.RangeStmt)
		if !ok {
			return true
		}
		over := loop.X
		if s, ok := over.(*ast.SliceExpr); ok {
			over = s.X
		}
		if s, ok := over.(*ast.SelectorExpr); ok && s.Sel.Name == "Stages" {
			found = found || asks(loop, "Blocks") && mentions(loop.Body, "AF", "Fusion") || decides(loop)
		}
		return true
	})
	return found
}

// decides reports whether a loop has an if with an else that is about modules.
func decides(loop *ast.RangeStmt) bool {
	found := false
	ast.Inspect(loop.Body, func(n ast.Node) bool {
		if s, ok := n.(*ast.IfStmt); ok && s.Else != nil {
			found = found || mentions(s.Cond, "AF")
		}
		return true
	})
	return found
}

// mentions reports whether a field of one of these names stands in a piece of code.
func mentions(in ast.Node, fields ...string) bool {
	found := false
	ast.Inspect(in, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			found = found || slices.Contains(fields, s.Sel.Name)
		}
		return true
	})
	return found
}

// asks reports whether a loop asks what it goes through, or anything if that
// has no name, for a field.
func asks(loop *ast.RangeStmt, field string) bool {
	found := false
	stage, named := loop.Value.(*ast.Ident)
	ast.Inspect(loop.Body, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == field {
			x, ok := s.X.(*ast.Ident)
			found = found || !named || ok && x.Name == stage.Name
		}
		return true
	})
	return found
}
