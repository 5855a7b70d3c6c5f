package compiled

import (
	"encoding/json"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/key"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/graph"
)

// FileInfo is what a compiled model's metadata says of the file itself, beyond
// the network in it.
type FileInfo struct {
	Lowering string `json:"lowering"`
	Sampling string `json:"sampling,omitempty"` // "gumbel" where noise is an input; else argmax
	Budget   []int  `json:"budget,omitempty"`   // of the lowering topk, by block or one for all
	Masks    bool   `json:"masks,omitempty"`    // there is an output "masks"

	// TrunkIn and TrunkOut name the values that the stem reads and the last
	// stage makes. What lies outside them is the source's, kept as it was; both
	// are empty where the model has the standard input and output.
	TrunkIn  string `json:"trunk_in,omitempty"`
	TrunkOut string `json:"trunk_out,omitempty"`
}

// Metadata returns the properties of a compiled model from which, with its
// initializers, ReadModel makes the network again. They are the same for the
// same network and file.
func Metadata(net *afblock.Network, file FileInfo) []graph.Property {
	said, err := json.Marshal(file)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	props := []graph.Property{{Key: key.Network, Value: weights.Of(net).JSON(said)}}
	if net.FineTune {
		props = append(props, graph.Property{Key: key.Note,
			Value: "AF weights were transplanted from the source, not trained: fine-tune the network before you use its answers"})
	}
	return props
}
