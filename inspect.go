package afc

import (
	"context"

	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/describe"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/passes"
)

// InspectOptions say what to look at.
type InspectOptions struct {
	Model        string            // path of an ONNX model
	InputShapes  []string          // fix open sizes of inputs: "video:1,8,3,224,224", or the sizes alone
	SourceFrames int               // frames a clip, where the graph does not say; 0: it does
	Outputs      []string          // paths that the caller will write, which must not be the model's files
	Progress     func(step string) // is told what is being done; nil: nobody
}

// Inspect says what is in a model: read back if afc wrote it, else recognised.
// The error is *recognize.Error for what is neither.
func Inspect(_ context.Context, opt InspectOptions) (*describe.Description, error) {
	step := PassOptions{Progress: opt.Progress}.step
	step("reading " + opt.Model)
	m, err := openModel(opt.Model, opt.Outputs...)
	if err != nil {
		return nil, err
	}
	if err := setInputShapes(m, opt.InputShapes); err != nil {
		return nil, err
	}
	step("recognising " + opt.Model)
	opset, ir := m.Opset(""), m.IRVersion // the file's own
	if compiled.Is(m) {
		if opt.SourceFrames != 0 {
			return nil, optionf("SourceFrames", nil, "an AFNet that afc wrote says how many frames its clips have")
		}
	} else if err := passes.Canonicalize(m); err != nil {
		return nil, passFailed(err, PassOptions{})
	}
	d, err := describe.Model(m, recognize.Options{Frames: opt.SourceFrames})
	if err != nil {
		return nil, err
	}
	d.File, d.Opset, d.IR = opt.Model, opset, ir
	return d, nil
}
