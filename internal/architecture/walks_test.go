package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"strings"
	"testing"
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

// walks reports whether a function ranges over stages and asks one for its
// blocks and for its module.
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
			found = found || asks(loop, "Blocks") && (asks(loop, "AF") || asks(loop, "Fusion"))
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
