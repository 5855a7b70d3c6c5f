package testutil

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Corpus returns the paths of the ONNX backend test models: the subset
// committed under graph/testdata/onnx, and all of them where they are found, in
// the folder that AFC_ONNX_CORPUS names, in .corpus at the repository's root,
// or where Debian's libonnx-testdata puts them. Each model of a node test lies
// as model.onnx beside its test_data_set_N.
func Corpus(t testing.TB) []string {
	t.Helper()
	root := Root(t)
	folders := []string{filepath.Join(root, "graph", "testdata", "onnx")}
	found := false
	for _, dir := range []string{os.Getenv("AFC_ONNX_CORPUS"), filepath.Join(root, ".corpus"), "/usr/share/libonnx-testdata/data"} {
		if st, err := os.Stat(dir); dir != "" && err == nil && st.IsDir() {
			folders = append(folders, dir)
			found = true
		}
	}
	if !found {
		t.Log("the whole ONNX corpus is not here (set AFC_ONNX_CORPUS, run make corpus, or install libonnx-testdata): using the committed subset only")
	}
	var models []string
	for _, dir := range folders {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if strings.HasSuffix(path, ".onnx") {
				models = append(models, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(models) == 0 {
		t.Fatal("no ONNX test models, not even the committed ones")
	}
	return models
}
