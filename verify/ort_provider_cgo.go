//go:build cgo

package verify

import (
	"fmt"
	"strings"

	ort "github.com/yalue/onnxruntime_go"
)

// appendProvider makes a session use a provider. Unless fallback is allowed,
// loading then fails when a node would land on the CPU.
func appendProvider(so *ort.SessionOptions, p Provider) error {
	if !p.AllowFallback {
		if err := so.AddSessionConfigEntry("session.disable_cpu_ep_fallback", "1"); err != nil {
			return p.unavailable(err.Error())
		}
	}
	options := make(map[string]string, len(p.Options))
	for _, o := range p.Options {
		options[o.Key] = o.Value
	}
	log, err := captureLog(func() error {
		switch p.Name {
		case "cuda":
			return appendCUDA(so, options)
		case "tensorrt":
			return appendTensorRT(so, options)
		case "openvino":
			return so.AppendExecutionProviderOpenVINO(options)
		case "coreml":
			return so.AppendExecutionProviderCoreMLV2(options)
		case "webgpu":
			return so.AppendExecutionProvider("WebGPU", options)
		}
		return fmt.Errorf("unknown provider")
	})
	if err == nil {
		return nil
	}
	// The error is often just "failed to load shared library"; the log has
	// which one and why.
	for _, line := range log {
		if _, why, ok := strings.Cut(line, "Failed to load library "); ok {
			return p.unavailable("cannot load " + why)
		}
	}
	text := strings.TrimSpace(err.Error())
	if i := strings.LastIndex(text, " was false. "); i >= 0 { // an assertion of the runtime: only its message speaks to users
		text = text[i+len(" was false. "):]
	}
	return p.unavailable(text)
}

func appendCUDA(so *ort.SessionOptions, options map[string]string) error {
	o, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return err
	}
	defer o.Destroy()
	if options["cudnn_conv_algo_search"] == "" {
		// The default tries every algorithm for each new shape, and each number
		// of selected frames is one.
		options["cudnn_conv_algo_search"] = "HEURISTIC"
	}
	if err := o.Update(options); err != nil {
		return err
	}
	return so.AppendExecutionProviderCUDA(o)
}

func appendTensorRT(so *ort.SessionOptions, options map[string]string) error {
	o, err := ort.NewTensorRTProviderOptions()
	if err != nil {
		return err
	}
	defer o.Destroy()
	if len(options) > 0 {
		if err := o.Update(options); err != nil {
			return err
		}
	}
	return so.AppendExecutionProviderTensorRT(o)
}

func (p Provider) unavailable(reason string) error {
	return &UnavailableError{"provider " + p.Name, reason, p.howToGet()}
}

// ProbeProvider says why the library that Find found has no such provider, or
// why it does not load: an *UnavailableError. It returns nil if sessions can
// use it.
func ProbeProvider(p Provider) error {
	if err := environment(); err != nil {
		return err
	}
	if p.CPU() {
		return nil
	}
	so, err := ort.NewSessionOptions()
	if err != nil {
		return p.unavailable(err.Error())
	}
	defer so.Destroy()
	return appendProvider(so, p)
}
