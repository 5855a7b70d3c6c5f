// Package testutil finds and reads what tests compare against: the repository,
// the shared fixtures beside it, NumPy archives and golden files.
package testutil

import (
	"archive/zip"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sbinet/npyio/npy"

	"github.com/afc-project/afc/graph"
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
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	arrays := map[string]*graph.Tensor{}
	for _, f := range z.File {
		a, err := readArray(f)
		if err != nil {
			t.Fatalf("%s: %s: %v", path, f.Name, err)
		}
		arrays[strings.TrimSuffix(f.Name, ".npy")] = a
	}
	return arrays
}

var numpyTypes = map[string]graph.DataType{
	"<f2": graph.Float16, "<f4": graph.Float32, "<f8": graph.Float64,
	"|i1": graph.Int8, "<i2": graph.Int16, "<i4": graph.Int32, "<i8": graph.Int64,
	"|u1": graph.Uint8, "|b1": graph.Bool,
}

func readArray(f *zip.File) (*graph.Tensor, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	n, err := npy.NewReader(r) // reads the header alone
	if err != nil {
		return nil, err
	}
	descr := n.Header.Descr
	dtype, ok := numpyTypes[descr.Type]
	if !ok || descr.Fortran && len(descr.Shape) > 1 {
		return nil, fmt.Errorf("array of type %q, Fortran order %v is not read here", descr.Type, descr.Fortran)
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	dims := make([]int64, len(descr.Shape))
	for i, d := range descr.Shape {
		dims[i] = int64(d)
	}
	return graph.NewTensor(dtype, dims, raw)
}

// Golden compares got with the file testdata/name of the calling test's
// package; go test -update rewrites it.
func Golden(t testing.TB, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", filepath.FromSlash(name))
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
