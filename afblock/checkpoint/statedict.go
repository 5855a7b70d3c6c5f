package checkpoint

import (
	"iter"
	"slices"

	"github.com/afc-project/afc/graph"
)

// StateDict is a checkpoint: tensors by name, in the order of the file.
type StateDict struct {
	names   []string
	tensors map[string]*graph.Tensor

	// File is where it was read from, for messages, and Key what its tensors stood
	// under there, "" at the top; OtherKeys are those that further tensors stand
	// under, where nobody chose.
	File, Key string
	OtherKeys []string
	// Skeleton is what afc knows of the network beyond shapes ("afc.network",
	// see Metadata), where the file carries it; else "".
	Skeleton string
}

// New returns an empty state dict.
func New() *StateDict { return &StateDict{tensors: map[string]*graph.Tensor{}} }

// Len returns the number of tensors.
func (sd *StateDict) Len() int { return len(sd.names) }

// Names returns the names in order. The caller must not change the slice.
func (sd *StateDict) Names() []string { return sd.names }

// Tensor returns the tensor of that name, nil if there is none.
func (sd *StateDict) Tensor(name string) *graph.Tensor { return sd.tensors[name] }

// Set adds a tensor, or replaces the one of that name, which keeps its place.
func (sd *StateDict) Set(name string, t *graph.Tensor) {
	if sd.tensors[name] == nil {
		sd.names = append(sd.names, name)
	}
	sd.tensors[name] = t
}

// All iterates over names and tensors in order.
func (sd *StateDict) All() iter.Seq2[string, *graph.Tensor] {
	return func(yield func(string, *graph.Tensor) bool) {
		for _, name := range slices.Clone(sd.names) {
			if !yield(name, sd.tensors[name]) {
				return
			}
		}
	}
}
