package afc

import (
	"context"
	"time"

	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/passes"
)

// OptimizeOptions say what to optimize.
type OptimizeOptions struct {
	Model        string   // path of an ONNX model
	Output       string   // path to write; "": the model is in the report alone
	ExternalData bool     // weights in a file beside Output; always so above 2 GB
	InputShapes  []string // fix open sizes of inputs: "video:1,8,3,224,224", or the sizes alone

	Form
	PassOptions
}

// Optimize makes a model smaller and faster without changing what it computes.
// An AFNet that afc wrote is left as it is.
func Optimize(ctx context.Context, opt OptimizeOptions) (*RewriteReport, error) {
	start := time.Now()
	if opt.Output != "" {
		if err := Writable(opt.Output, opt.Model); err != nil {
			return nil, err
		}
	}
	switch {
	case opt.CheckSeed != 0 && !opt.Check:
		return nil, optionf("CheckSeed", nil, "it goes with {Check}")
	case opt.ExternalData && opt.Output == "":
		return nil, optionf("ExternalData", nil, "it goes with {Output}")
	}
	opt.step("reading " + opt.Model)
	m, err := openModel(opt.Model, opt.Output)
	if err != nil {
		return nil, err
	}
	if err := setInputShapes(m, opt.InputShapes); err != nil {
		return nil, err
	}
	if len(m.Graph.Outputs()) == 0 {
		return nil, &graph.Error{File: opt.Model, Reason: "has no output: there is nothing to compute"}
	}
	if compiled.Is(m) && opt.Check {
		return nil, optionf("Check", nil, "no pass runs on an AFNet that afc wrote; it is left as it is")
	}
	popt := opt.PassOptions.passes("optimizing")
	if err := opt.Form.apply(&popt); err != nil {
		return nil, err
	}
	if compiled.Is(m) && opt.Precision != "" {
		return nil, optionf("Precision", opt.Precision, "an AFNet that afc wrote is left as it is; afc convert writes it in another precision")
	}
	if compiled.Is(m) && opt.Opset != 0 {
		return nil, optionf("Opset", opt.Opset, "an AFNet that afc wrote is left as it is; afc convert writes it in another opset")
	}
	result, err := passes.Optimize(m, popt)
	if err != nil {
		return nil, passFailed(err, opt.PassOptions)
	}
	r, err := newReport(ctx, result, opt.Output, opt.ExternalData, opt.PassOptions)
	if err != nil {
		return nil, err
	}
	r.Elapsed = time.Since(start)
	return r, nil
}
