package testutil

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/numpy"
)

var update = flag.Bool("update", false, "rewrite golden files with what the tests got")

// Root returns the repository's folder.
func Root(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("no caller information")
	}
	root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		// Built with -trimpath: tests run in their package's folder, so walk up.
		root, err = os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
			if root == filepath.Dir(root) {
				t.Fatal("no go.mod in this folder or any above it")
			}
			root = filepath.Dir(root)
		}
	}
	return root
}

// Shared returns the path of a file under ../shared, beside the repository. It
// skips the test if the file is not there: a clone may stand alone.
func Shared(t testing.TB, rel ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{Root(t), "..", "shared"}, rel...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no %s beside the repository", filepath.Join(append([]string{"shared"}, rel...)...))
	}
	return path
}

// NPZ reads every array of a NumPy archive.
func NPZ(t testing.TB, path string) map[string]*graph.Tensor {
	t.Helper()
	read, err := numpy.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	arrays := map[string]*graph.Tensor{}
	for _, a := range read {
		arrays[a.Name] = a.Tensor
	}
	return arrays
}

// Golden compares got with the file testdata/name of the calling test's
// package; go test -update rewrites it.
func Golden(t testing.TB, name, got string) {
	t.Helper()
	GoldenAt(t, filepath.Join("testdata", filepath.FromSlash(name)), got)
}

// GoldenAt is Golden for a file elsewhere, such as a page of docs.
func GoldenAt(t testing.TB, path, got string) {
	t.Helper()
	compared.Store(path, true)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update makes it)", err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s: differs (-want +got; go test -update accepts it)\n%s", path, d)
	}
}

// compared holds the paths of the golden files that tests asked for.
var compared sync.Map

// NoOrphans has the test fail if, once it and its subtests are through, there are
// golden files testdata/PATTERN that none of them asked for, but for those of the
// other patterns. A run of some subtests alone does not tell.
func NoOrphans(t *testing.T, pattern string, but ...string) {
	t.Helper()
	t.Cleanup(func() {
		if some := flag.Lookup("test.run"); t.Failed() || t.Skipped() || strings.Contains(some.Value.String(), "/") {
			return
		}
		for _, path := range orphans(t, pattern, but) {
			t.Errorf("%s belongs to no test", path)
		}
	})
}

func orphans(t *testing.T, pattern string, but []string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", filepath.FromSlash(pattern)))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(files, func(path string) bool {
		_, asked := compared.Load(path)
		return asked || slices.ContainsFunc(but, func(b string) bool {
			other, err := filepath.Match(filepath.Join("testdata", filepath.FromSlash(b)), path)
			return other && err == nil
		})
	})
}

// GoldenLines compares lines, each a name and a value with ": " between, with
// the file testdata/name as Golden does, and says which names differ. Of a part
// of the lines, say in a short run, it does not ask that there be no others.
func GoldenLines(t testing.TB, name string, got []string, part bool) {
	t.Helper()
	if *update && !part {
		Golden(t, name, strings.Join(got, "\n")+"\n")
		return
	}
	raw, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
	if err != nil {
		t.Fatalf("%v (go test -update makes it)", err)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		want[key] = value
	}
	for _, line := range got {
		key, value, _ := strings.Cut(line, ": ")
		if w, known := want[key]; !known {
			t.Errorf("%s has no line %q", name, key)
		} else if w != value {
			t.Errorf("%s:\n got %s\nwant %s", key, value, w)
		}
		delete(want, key)
	}
	if !part {
		for _, key := range slices.Sorted(maps.Keys(want)) {
			t.Errorf("%s: nothing makes the line %q any more", name, key)
		}
	}
}
