package seal

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
)

// Write writes the seal into the model's metadata: a digest of the weights of
// every block, so that the block is named whose weights are not those that were
// written. It fails if a weight cannot be read.
func Write(m *graph.Model) error {
	digests, err := weightDigests(m)
	if err != nil {
		return err
	}
	lines := make([]string, 0, len(digests))
	for _, block := range slices.Sorted(maps.Keys(digests)) {
		lines = append(lines, block+" "+digests[block])
	}
	m.SetMeta(names.SealKey, strings.Join(lines, "\n"))
	return nil
}

// Finding is what Check found.
type Finding struct {
	Blocks  int    // under the seal; 0: the model has none
	Changed string // a block whose weights are not those that were written, "" if none
	Added   string // a block that was not there when the file was written, "" if none
}

// Check compares a model's weights with its seal.
func Check(m *graph.Model) (Finding, error) {
	seal := m.Meta(names.SealKey)
	if seal == "" {
		return Finding{}, nil
	}
	got, err := weightDigests(m)
	if err != nil {
		return Finding{}, err
	}
	var f Finding
	for line := range strings.SplitSeq(seal, "\n") {
		f.Blocks++
		block, digest, _ := strings.Cut(line, " ")
		if got[block] != digest {
			f.Changed = block
			return f, nil
		}
		delete(got, block)
	}
	if len(got) > 0 {
		f.Added = slices.Min(slices.Collect(maps.Keys(got)))
	}
	return f, nil
}

// weightDigests returns a digest of the initializers of every block, those of
// subgraphs too (names.BlockOf).
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
			block := names.BlockOf(v.Name())
			content[block] = append(content[block], fmt.Sprintf("%s %s%v %x", v.Name(), t.DType, t.Dims, h))
		}
	}
	return nil
}
