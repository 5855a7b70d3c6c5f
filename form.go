package afc

import (
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/passes"
)

// Form says how a model is written, whatever it computes.
type Form struct {
	// Precision is what the model computes in: "fp32", or "fp16" for half
	// precision, in which what decides stays float32. "": fp32, or as an AFNet that
	// afc wrote has it.
	Precision string
	// IOPrecision is that of inputs and outputs: "fp16" goes with Precision fp16.
	// "" or "fp32": as they are, float32 where the model does not say otherwise.
	IOPrecision string
	// Opset is the version of ONNX's operators, 13 to 24; 0: the source's, or 13.
	Opset int
}

// apply checks a form and has the pipeline write it.
func (f Form) apply(p *passes.Options) error {
	var err error
	if f.Opset != 0 && (f.Opset < passes.OldestOpset || f.Opset > passes.NewestOpset) {
		return optionf("Opset", f.Opset, "expected %d to %d", passes.OldestOpset, passes.NewestOpset)
	}
	p.Opset = int64(f.Opset)
	p.KeepPrecision = f.Precision == ""
	if f.Precision != "" {
		if p.Lower.Precision, err = compiled.ParsePrecision(f.Precision); err != nil {
			return optionf("Precision", f.Precision, "expected fp32 or fp16")
		}
	}
	if f.IOPrecision != "" {
		if p.Lower.IO, err = compiled.ParsePrecision(f.IOPrecision); err != nil {
			return optionf("IOPrecision", f.IOPrecision, "expected fp32 or fp16")
		}
		if p.Lower.Precision != compiled.FP16 {
			return optionf("IOPrecision", f.IOPrecision, "it goes with {Precision} fp16")
		}
	}
	return nil
}
