package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/afc-project/afc/graph"
)

// SealKey is the metadata key of a model's seal: a digest of the weights of
// every block, so that a file whose weights were damaged on the way is told
// from a sound one, and the block is named. The mask lowering that a model is
// compared with is rebuilt from the same weights and cannot tell.
const SealKey = "afc.seal"

// Seal writes the seal into the model's metadata. It fails if a weight cannot
// be read.
func Seal(m *graph.Model) error {
	digests, err := weightDigests(m)
	if err != nil {
		return err
	}
	lines := make([]string, 0, len(digests))
	for _, block := range slices.Sorted(maps.Keys(digests)) {
		lines = append(lines, block+" "+digests[block])
	}
	m.SetMeta(SealKey, strings.Join(lines, "\n"))
	return nil
}

// weightDigests returns a digest of the initializers of every block, those of
// subgraphs too. A block is what stands before the last two parts of a
// weight's name ("layer1.refine_module.0" of "….conv1.weight"); indices and
// shapes that belong to none are one more, "constants".
func weightDigests(m *graph.Model) (map[string]string, error) {
	content := map[string][]string{}
	if err := collectWeights(m.Graph, content); err != nil {
		return nil, err
	}
	digests := make(map[string]string, len(content))
	for block, weights := range content {
		slices.Sort(weights)
		h := sha256.Sum256([]byte(strings.Join(slices.Compact(weights), "\n")))
		digests[block] = hex.EncodeToString(h[:8])
	}
	return digests, nil
}

func collectWeights(g *graph.Graph, content map[string][]string) error {
	for sub := range g.AllGraphs() {
		for _, v := range sub.Initializers() {
			t := v.Initializer()
			raw, err := t.Bytes()
			if err != nil {
				return err
			}
			h := sha256.Sum256(raw)
			t.Release()
			block := blockOf(v.Name())
			content[block] = append(content[block], fmt.Sprintf("%s %s%v %x", v.Name(), t.DType, t.Dims, h))
		}
	}
	return nil
}

func blockOf(name string) string {
	name, _, _ = strings.Cut(name, "[") // a piece of a weight
	name, derived := strings.CutPrefix(name, "afc.")
	parts := strings.Split(name, ".")
	switch {
	case derived && len(parts) <= 2:
		return "constants"
	case derived: // "….zero", of the block itself
		return strings.Join(parts[:len(parts)-1], ".")
	case len(parts) <= 2:
		return parts[0]
	}
	return strings.Join(parts[:len(parts)-2], ".")
}
