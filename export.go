package afc

import (
	"context"
	"strings"

	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/internal/atomicfile"
)

// ExportOptions say whose weights to export.
type ExportOptions struct {
	Model    string            // path of an AFNet that afc wrote
	Output   string            // path to write, ending in .safetensors; "": the weights are in the report alone
	Progress func(step string) // is told what is being done; nil: nobody
}

// ExportReport is what Export wrote.
type ExportReport struct {
	Output  string                `json:"output"`
	Tensors int                   `json:"tensors"`
	First   string                `json:"first_key"`
	Weights *checkpoint.StateDict `json:"-"`
}

// Export writes an AFNet's weights under the authors' keys, for fine-tuning in
// PyTorch. Convert takes them back, exactly.
func Export(ctx context.Context, opt ExportOptions) (*ExportReport, error) {
	step := PassOptions{Progress: opt.Progress}.step
	if opt.Output != "" {
		if err := Writable(opt.Output, opt.Model); err != nil {
			return nil, err
		}
		if !strings.HasSuffix(opt.Output, ".safetensors") {
			return nil, filef("%s: weights are written as safetensors; name the file so (WEIGHTS.safetensors)", opt.Output)
		}
	}
	step("reading " + opt.Model)
	m, err := openModel(opt.Model, opt.Output)
	if err != nil {
		return nil, err
	}
	net, _, err := compiled.ReadModel(m)
	if err != nil {
		return nil, err
	}
	sd, err := weights.Export(net)
	if err != nil {
		return nil, err
	}
	r := &ExportReport{opt.Output, sd.Len(), sd.Names()[0], sd}
	if opt.Output == "" {
		return r, nil
	}
	step("writing " + opt.Output)
	return r, writeWeights(ctx, sd, opt.Output)
}

// writeWeights writes a state dict so that the path holds the old file or the
// whole new one.
func writeWeights(ctx context.Context, sd *checkpoint.StateDict, path string) error {
	f, err := atomicfile.Create(path)
	if err != nil {
		return cannotWrite(path, err)
	}
	defer f.Discard()
	if err := checkpoint.WriteSafetensors(f, sd); err != nil {
		return cannotWrite(path, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f.Commit(); err != nil {
		return cannotWrite(path, err)
	}
	return nil
}
