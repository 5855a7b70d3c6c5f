package afc

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/export/pytorch"
	"github.com/afc-project/afc/export/triton"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/atomicfile"
)

// Format is what Export writes.
type Format string

// The formats of Export.
const (
	Safetensors Format = "safetensors" // weights, one file
	Pth         Format = "pth"         // weights in PyTorch's archive, as the authors' code reads them
	PyTorch     Format = "pytorch"     // a folder of PyTorch code, configuration and weights
	Triton      Format = "triton"      // a model repository for Triton Inference Server
)

// Formats are all of them, the default first.
var Formats = []Format{Safetensors, Pth, PyTorch, Triton}

// ExportOptions say what to export.
type ExportOptions struct {
	Model    string            // path of an AFNet that afc wrote; for PyTorch and Triton also of a source
	Output   string            // path to write, a folder for PyTorch and Triton; "": weights are in the report alone
	Format   Format            // "": as Output ends, .pth or .pth.tar; else safetensors
	Progress func(step string) // is told what is being done; nil: nobody

	Source       string // PyTorch: the source model, which becomes the teacher
	SourceFrames int    // PyTorch: frames a clip of a source whose graph does not say

	Name      string        // Triton: the model's name; "": Model's, without ending
	Target    triton.Target // Triton: where it runs; "": the CPU
	Instances int           // Triton: copies that serve at once; 0: 1
	MaxBatch  int           // Triton: most clips of a run, where the model takes any number; 0: 8
}

// ExportReport is what Export wrote.
type ExportReport struct {
	Output  string                `json:"output"`
	Format  Format                `json:"format"`
	Tensors int                   `json:"tensors,omitempty"`
	First   string                `json:"first_key,omitempty"`
	Rounded bool                  `json:"rounded,omitempty"`        // the weights come out of a file of half precision: all but navigation's are rounded
	Cannot  []string              `json:"authors_cannot,omitempty"` // what their code cannot express of the network
	Next    string                `json:"next"`                     // what to run with it
	Weights *checkpoint.StateDict `json:"-"`
}

// Export writes a network for other programs: weights for fine-tuning, which
// Convert takes back exactly; PyTorch code that trains it; a repository that
// serves it.
func Export(ctx context.Context, opt ExportOptions) (*ExportReport, error) {
	if opt.Format == "" {
		opt.Format = formatOf(opt.Output)
	}
	if err := opt.check(); err != nil {
		return nil, err
	}
	step := PassOptions{Progress: opt.Progress}.step
	step("reading " + opt.Model)
	m, err := openModel(opt.Model, opt.Output)
	if err != nil {
		return nil, err
	}
	r := &ExportReport{Output: opt.Output, Format: opt.Format}
	step("writing " + opt.Output)
	switch opt.Format {
	case Triton:
		err = r.triton(ctx, m, opt)
	case PyTorch:
		err = r.pytorch(m, opt)
	default:
		err = r.weights(ctx, m, opt)
	}
	return r, err
}

func formatOf(path string) Format {
	if strings.HasSuffix(path, ".pth") || strings.HasSuffix(path, ".pth.tar") {
		return Pth
	}
	return Safetensors
}

// check refuses options that the format does not have.
func (opt *ExportOptions) check() error {
	if !slices.Contains(Formats, opt.Format) {
		return optionf("Format", opt.Format, "there are %s", List(Formats))
	}
	if opt.Target != "" && !slices.Contains(triton.Targets, opt.Target) {
		return optionf("Target", opt.Target, "there are %s", List(triton.Targets))
	}
	if opt.Instances < 0 || opt.MaxBatch < 0 {
		return optionf("Instances", nil, "it and {MaxBatch} are at least 1")
	}
	for _, o := range []struct {
		name   string
		set    bool
		format Format
	}{
		{"Source", opt.Source != "", PyTorch}, {"SourceFrames", opt.SourceFrames != 0, PyTorch},
		{"Name", opt.Name != "", Triton}, {"Target", opt.Target != "", Triton},
		{"Instances", opt.Instances != 0, Triton}, {"MaxBatch", opt.MaxBatch != 0, Triton},
	} {
		if o.set && o.format != opt.Format {
			return optionf(o.name, nil, "it is for {Format} %s, not %s", o.format, opt.Format)
		}
	}
	if opt.Output == "" && (opt.Format == PyTorch || opt.Format == Triton) {
		return optionf("Output", nil, "{Format} %s writes a folder: name it", opt.Format)
	}
	if opt.Output != "" {
		if err := Writable(opt.Output, opt.Model); err != nil {
			return err
		}
	}
	if opt.Format == Safetensors && opt.Output != "" && !strings.HasSuffix(opt.Output, ".safetensors") {
		return filef("%s: weights are written as safetensors; name the file so (WEIGHTS.safetensors, or WEIGHTS.pth for PyTorch's archive)", opt.Output)
	}
	return nil
}

// weights writes a state dict alone.
func (r *ExportReport) weights(ctx context.Context, m *graph.Model, opt ExportOptions) error {
	net, file, err := afnetOf(m)
	if err != nil {
		return err
	}
	r.Rounded = file.Precision == compiled.FP16
	r.Next = "afc convert " + opt.Model + " --weights TRAINED -o AF.onnx brings trained weights back"
	if opt.Format == Pth {
		r.Cannot = pytorch.AuthorsCannot(net)
		r.Next = pytorch.AuthorsCommand(net, opt.Output)
		net = pytorch.AuthorsKeys(net)
	}
	sd, err := weights.Export(net)
	if err != nil {
		return err
	}
	r.Tensors, r.First, r.Weights = sd.Len(), sd.Names()[0], sd
	if opt.Output == "" {
		return nil
	}
	write := checkpoint.WriteSafetensors
	if opt.Format == Pth {
		write = checkpoint.WriteTorch
	}
	return writeFile(ctx, opt.Output, func(w io.Writer) error { return write(w, sd) })
}

// writeFile writes so that the path holds the old file or the whole new one.
func writeFile(ctx context.Context, path string, write func(io.Writer) error) error {
	f, err := atomicfile.Create(path)
	if err != nil {
		return cannotWrite(path, err)
	}
	defer f.Discard()
	if err := write(f); err != nil {
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

// pytorch writes the folder of an AFNet, or of a source alone.
func (r *ExportReport) pytorch(m *graph.Model, opt ExportOptions) error {
	var teacher *afblock.Network
	net, file, err := networkOf(m, recognize.Options{Frames: opt.SourceFrames})
	if err != nil {
		return err
	}
	r.Rounded = file.Precision == compiled.FP16
	if opt.Source != "" {
		src, err := openModel(opt.Source, opt.Output)
		if err != nil {
			return err
		}
		if teacher, _, err = networkOf(src, recognize.Options{Frames: opt.SourceFrames}); err != nil {
			return fmt.Errorf("%s: %w", opt.Source, err)
		}
	}
	if err := pytorch.Write(opt.Output, net, teacher, Version); err != nil {
		return cannotWrite(opt.Output, fmt.Errorf("%s: %w", opt.Model, err))
	}
	r.Next = "torchrun --nproc-per-node GPUS " + filepath.Join(opt.Output, "train.py") + " --videos FRAMES --list LIST.txt --rt 0.5"
	return nil
}

// afnetOf is the AFNet in a model, and how its file was written: one that afc
// wrote, or that another program exported.
func afnetOf(m *graph.Model) (*afblock.Network, compiled.FileInfo, error) {
	if !compiled.Is(m) {
		if net, file, err := networkOf(m, recognize.Options{}); err == nil && len(net.Navigation()) > 0 {
			return net, file, nil
		}
	}
	return compiled.ReadModel(m)
}

// triton writes a model repository.
func (r *ExportReport) triton(ctx context.Context, m *graph.Model, opt ExportOptions) error {
	if opt.Name == "" {
		opt.Name = strings.TrimSuffix(filepath.Base(opt.Model), ".onnx")
	}
	if opt.Target == "" {
		opt.Target = triton.CPU
	}
	o := triton.Options{Name: opt.Name, Target: opt.Target, Instances: max(opt.Instances, 1), MaxBatch: opt.MaxBatch}
	if o.MaxBatch > 0 && !triton.Batched(m) {
		return optionf("MaxBatch", o.MaxBatch, "%s takes a fixed number of clips a run; export a source with an open batch", opt.Model)
	}
	if o.MaxBatch == 0 {
		o.MaxBatch = 8
	}
	config, err := triton.Config(m, o)
	if err != nil {
		return err
	}
	r.Next = "tritonserver --model-repository " + opt.Output
	return cannotWrite(opt.Output, atomicfile.Folder(filepath.Join(opt.Output, opt.Name), func(dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "config.pbtxt"), []byte(config), 0o644); err != nil {
			return err
		}
		if err := os.Mkdir(filepath.Join(dir, "1"), 0o755); err != nil {
			return err
		}
		_, err := writeModel(ctx, m, filepath.Join(dir, "1", "model.onnx"), false)
		return err
	}))
}
