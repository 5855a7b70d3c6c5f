package afc

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/regular"
	"github.com/afc-project/afc/internal/terminal"
)

// originOf says which file a source model is: its name without folders, and the
// SHA-256 of its bytes.
func originOf(path string) (string, error) {
	digest, err := fileDigest(path)
	if err != nil {
		return "", err
	}
	return filepath.Base(path) + " " + digest, nil
}

func fileDigest(path string) (string, error) {
	f, err := regular.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// FindSource looks beside an AFNet for the model that it was made from: under
// the name that Convert put into its metadata, or under another, with the same
// bytes. It returns "" and why where there is none.
func FindSource(path string) (source, why string, err error) {
	m, err := openModel(path)
	if err != nil {
		return "", "", err
	}
	origin := m.Meta(names.SourceKey)
	if err := m.Close(); err != nil {
		return "", "", err
	}
	name, digest, ok := cutLast(origin)
	if !ok {
		return "", "the file does not say what it was made from", nil
	}
	dir := filepath.Dir(path)
	candidates := []string{}
	if filepath.Base(name) == name { // never out of the folder
		candidates = append(candidates, filepath.Join(dir, name))
	}
	more, err := filepath.Glob(filepath.Join(escaped(dir), "*.onnx"))
	if err != nil {
		return "", "", err
	}
	for _, c := range append(candidates, more...) {
		if got, err := fileDigest(c); err == nil && got == digest {
			return c, "", nil
		}
	}
	return "", fmt.Sprintf("its source, %s, is not beside it", terminal.Line(name)), nil
}

// cutLast cuts at the last space.
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ' ')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// escaped is a folder in a pattern of filepath.Glob.
func escaped(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// AFNets lists the AFNets that afc wrote in a folder.
func AFNets(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(escaped(dir), "*.onnx"))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(files, func(path string) bool {
		if Readable(path) != nil {
			return true
		}
		m, err := graph.ReadFile(path)
		if err != nil {
			return true
		}
		defer m.Close()
		return !compiled.Is(m)
	}), nil
}

// DefaultOutput is where a network made of a file goes if nothing is said:
// beside it, MODEL.onnx to MODEL.af.onnx.
func DefaultOutput(path string) string {
	base := path
	for _, ending := range []string{".onnx", ".pth.tar", ".pth", ".pt", ".safetensors", ".npz", ".tar"} {
		if trimmed, ok := strings.CutSuffix(path, ending); ok && filepath.Base(trimmed) != "" {
			base = trimmed
			break
		}
	}
	return base + ".af.onnx"
}

// Fresh refuses an output that is there already. Its error is a *FileError.
func Fresh(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return filef("%s is there already; give another name with -o, or --force to replace it", path)
	}
	return nil
}
