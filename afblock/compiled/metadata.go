package compiled

import (
	"encoding/json"
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/graph"
)

// Sampling is how logits become a selection.
type Sampling string

const (
	Argmax Sampling = ""       // a frame is selected when its logit is the larger
	Gumbel Sampling = "gumbel" // the same, with noise added that is an input
)

// ParseSampling reads "argmax" or "gumbel".
func ParseSampling(s string) (Sampling, error) {
	switch s {
	case "argmax":
		return Argmax, nil
	case "gumbel":
		return Gumbel, nil
	}
	return Argmax, fmt.Errorf("sampling %q: expected argmax or gumbel", s)
}

// Precision is the type that a model computes in.
type Precision string

const (
	FP32 Precision = ""     // float32
	FP16 Precision = "fp16" // float16, but for what decides (package graph/half)
)

// ParsePrecision reads "fp32" or "fp16".
func ParsePrecision(s string) (Precision, error) {
	switch s {
	case "fp32":
		return FP32, nil
	case "fp16":
		return FP16, nil
	}
	return FP32, fmt.Errorf("precision %q: expected fp32 or fp16", s)
}

// FileInfo is what a compiled model's metadata says of the file itself, beyond
// the network in it.
type FileInfo struct {
	Lowering string   `json:"lowering"`
	Sampling Sampling `json:"sampling,omitempty"`
	Budget   []int    `json:"budget,omitempty"` // of the lowering topk, by block or one for all
	Masks    bool     `json:"masks,omitempty"`  // there is an output "masks"
	Dial     bool     `json:"dial,omitempty"`   // there is an input "margin"

	Precision Precision `json:"precision,omitempty"`    // that it computes in
	IO        Precision `json:"io_precision,omitempty"` // of inputs and outputs

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
	props := []graph.Property{{Key: names.NetworkKey, Value: weights.Of(net).JSON(said)}}
	if net.FineTune {
		props = append(props, graph.Property{Key: names.NoteKey,
			Value: "AF weights were transplanted from the source, not trained: fine-tune the network before you use its answers"})
	}
	return props
}
