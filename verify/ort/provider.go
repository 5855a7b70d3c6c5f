package ort

import (
	"fmt"
	"slices"
	"strings"
)

// Provider is an execution provider of ONNX Runtime with its options.
type Provider struct {
	Name    string // "cpu" (or ""), "cuda", "tensorrt", "webgpu", "coreml", "openvino"
	Options []Option

	// AllowFallback lets nodes that the provider has no kernel for run on the
	// CPU. Otherwise such a model does not load.
	AllowFallback bool
}

// Option is a key and value of a provider, as ONNX Runtime's documentation of
// the provider names them.
type Option struct{ Key, Value string }

// Providers lists the providers afc knows, in the order it prints them.
var Providers = []string{"cpu", "cuda", "tensorrt", "webgpu", "coreml", "openvino"}

// ParseProvider reads "name" or "name:key=value,key=value".
func ParseProvider(s string) (Provider, error) {
	name, opts, has := strings.Cut(s, ":")
	p := Provider{Name: strings.ToLower(name)}
	if !slices.Contains(Providers, p.Name) {
		return Provider{}, fmt.Errorf("unknown provider %q: expected one of %s", name, strings.Join(Providers, ", "))
	}
	if !has {
		return p, nil
	}
	for pair := range strings.SplitSeq(opts, ",") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return Provider{}, fmt.Errorf("provider option %q: expected key=value", pair)
		}
		p.Options = append(p.Options, Option{key, value})
	}
	return p, nil
}

// CPU reports whether the provider is the CPU.
func (p Provider) CPU() bool { return p.Name == "" || p.Name == "cpu" }

func (p Provider) String() string {
	name := p.Name
	if name == "" {
		name = "cpu"
	}
	pairs := make([]string, len(p.Options))
	for i, o := range p.Options {
		pairs[i] = o.Key + "=" + o.Value
	}
	if len(pairs) == 0 {
		return name
	}
	return name + ":" + strings.Join(pairs, ",")
}

// howToGet says where a library with the provider comes from.
func (p Provider) howToGet() string {
	switch p.Name {
	case "cuda", "tensorrt":
		return "set " + LibraryVariable + " to the library of a GPU build (PyPI's onnxruntime-gpu) and install its CUDA, cuDNN and TensorRT versions"
	case "webgpu":
		return "use the library of npm's onnxruntime-node (scripts/fetch-ort.sh) and a Vulkan driver; VK_ICD_FILENAMES names the driver to use"
	case "openvino":
		return "set " + LibraryVariable + " to the library of PyPI's onnxruntime-openvino"
	case "coreml":
		return "run on macOS with the library of npm's onnxruntime-node (scripts/fetch-ort.sh)"
	}
	return howToGet
}

// ExecutionProvider is ONNX Runtime's name for the provider.
func (p Provider) ExecutionProvider() string {
	switch p.Name {
	case "cuda":
		return "CUDAExecutionProvider"
	case "tensorrt":
		return "TensorrtExecutionProvider"
	case "webgpu":
		return "WebGpuExecutionProvider"
	case "coreml":
		return "CoreMLExecutionProvider"
	case "openvino":
		return "OpenVINOExecutionProvider"
	}
	return "CPUExecutionProvider"
}

// providerReason says why a provider did not load, in as few of ONNX Runtime's
// words as tell it: which library is missing stands in its error, or in its log
// alone, behind source positions and asserted conditions.
func providerReason(text string, log []string) string {
	for _, line := range append(slices.Clone(log), text) {
		if _, why, ok := strings.Cut(line, "Failed to load library "); ok {
			return "cannot load " + strings.TrimSpace(why)
		}
	}
	if _, message, ok := strings.Cut(text, " was false. "); ok {
		text = message
	}
	return strings.TrimSpace(text)
}
