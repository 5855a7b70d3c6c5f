package architecture

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/internal/testutil"
)

const module = "github.com/afc-project/afc/"

// goPackage is a package of the repository as go list tells it, its path
// without the module's, and what it imports (its tests apart).
type goPackage struct {
	path, dir string
	files     []string
	imports   []string
}

// packages lists the packages that have more than tests.
func packages(t *testing.T) []goPackage {
	t.Helper()
	list := exec.Command("go", "list", "-f", `{{.ImportPath}}|{{.Dir}}|{{join .GoFiles " "}} {{join .CgoFiles " "}} {{join .IgnoredGoFiles " "}}|{{join .Imports " "}}`, "./...")
	list.Dir = testutil.Root(t)
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var found []goPackage
	for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		fields := strings.Split(line, "|")
		if files := strings.Fields(fields[2]); len(files) > 0 {
			path := strings.TrimPrefix(strings.TrimSuffix(fields[0], "/"), strings.TrimSuffix(module, "/"))
			found = append(found, goPackage{cmp.Or(strings.TrimPrefix(path, "/"), "."), fields[1], files, strings.Fields(fields[3])})
		}
	}
	if len(found) < 10 {
		t.Fatalf("go list names only %d packages", len(found))
	}
	return found
}

var quoted = regexp.MustCompile("`([^`]+)`")

// table reads a table of docs/ARCHITECTURE.md whose header begins with a word:
// what its first and last column quote, by the first.
func table(t *testing.T, header string) map[string][]string {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join(testutil.Root(t), "docs", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(doc), "| "+header+" |")
	if !ok {
		t.Fatalf("docs/ARCHITECTURE.md has no table of %q", header)
	}
	rows := map[string][]string{}
	for _, line := range strings.Split(rest, "\n")[2:] {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		key := quoted.FindStringSubmatch(cells[0])
		if key == nil {
			t.Fatalf("row %q names nothing in its first column", line)
		}
		names := []string{}
		for _, m := range quoted.FindAllStringSubmatch(cells[len(cells)-1], -1) {
			names = append(names, m[1])
		}
		rows[key[1]] = names
	}
	return rows
}

// TestImports holds every package, commands and sub-packages too, to what
// docs/ARCHITECTURE.md lets it import of ours, and that table to what is there.
// Helpers under internal/ are open to all.
func TestImports(t *testing.T) {
	rooms := table(t, "package")
	for _, pkg := range packages(t) {
		allowed, known := rooms[pkg.path]
		if !known {
			t.Errorf("package %s has no row in docs/ARCHITECTURE.md: say what lives there and what it may import", pkg.path)
			continue
		}
		delete(rooms, pkg.path)
		for _, imp := range pkg.imports {
			ours, ok := strings.CutPrefix(imp, module)
			if imp+"/" == module {
				ours, ok = ".", true
			}
			if ok && !strings.HasPrefix(ours, "internal/") && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s; docs/ARCHITECTURE.md lets it import %v", pkg.path, ours, allowed)
			}
		}
		for _, name := range allowed {
			if !slices.Contains(pkg.imports, module+name) && !(name == "." && slices.Contains(pkg.imports, strings.TrimSuffix(module, "/"))) {
				t.Errorf("docs/ARCHITECTURE.md lets %s import %s, which it does not", pkg.path, name)
			}
		}
	}
	for name := range rooms {
		t.Errorf("docs/ARCHITECTURE.md has a row for %s, which is no package", name)
	}
}

// TestOutsideImports holds what comes from outside to the packages that
// docs/ARCHITECTURE.md names; nothing else may be imported but Go's own library.
func TestOutsideImports(t *testing.T) {
	places := table(t, "from outside")
	for _, pkg := range packages(t) {
		for _, imp := range pkg.imports {
			if strings.HasPrefix(imp+"/", module) {
				continue
			}
			listed := false
			for outside, in := range places {
				if imp != outside && !strings.HasPrefix(imp, outside+"/") {
					continue
				}
				if listed = true; !slices.Contains(in, pkg.path) {
					t.Errorf("%s imports %s; docs/ARCHITECTURE.md keeps that to %v", pkg.path, imp, in)
				}
			}
			if host, _, _ := strings.Cut(imp, "/"); strings.Contains(host, ".") && !listed {
				t.Errorf("%s imports %s, which docs/ARCHITECTURE.md does not list", pkg.path, imp)
			}
		}
	}
}

// TestPackagesDocumented: every package says in its doc.go what it is and maps
// its files.
func TestPackagesDocumented(t *testing.T) {
	for _, pkg := range packages(t) {
		doc, err := os.ReadFile(filepath.Join(pkg.dir, "doc.go"))
		if err != nil {
			t.Errorf("package %s has no doc.go", pkg.path)
			continue
		}
		for _, file := range pkg.files {
			if file != "doc.go" && !mapped(string(doc), file) {
				t.Errorf("%s/doc.go does not say what is in %s", pkg.path, file)
			}
		}
	}
}

var fileName = regexp.MustCompile(`[a-z0-9_*]+(\.pb)?\.go`)

// mapped reports whether a text names a file, or a pattern it matches.
func mapped(doc, file string) bool {
	return slices.ContainsFunc(fileName.FindAllString(doc, -1), func(pattern string) bool {
		ok, _ := filepath.Match(pattern, file)
		return ok
	})
}
