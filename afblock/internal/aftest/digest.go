package aftest

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/graph"
)

// Digest is what checkpoint/testdata/checkpoints/make.py prints: names, types, shapes and
// bytes in one number.
func Digest(t testing.TB, sd interface {
	Names() []string
	Tensor(name string) *graph.Tensor
}) string {
	t.Helper()
	h := sha256.New()
	for _, name := range slices.Sorted(slices.Values(sd.Names())) {
		x := sd.Tensor(name)
		fmt.Fprintf(h, "%s %s %s\n", name, x.DType, strings.ReplaceAll(fmt.Sprint(x.Dims), " ", ", "))
		raw, err := x.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		h.Write(raw)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}
