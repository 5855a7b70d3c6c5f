//go:build cgo

package ort

import (
	"fmt"

	native "github.com/yalue/onnxruntime_go"
)

// appendProvider makes a session use a provider. Unless fallback is allowed,
// loading then fails when a node would land on the CPU.
func appendProvider(so *native.SessionOptions, p Provider) error {
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
	return p.unavailable(providerReason(err.Error(), log))
}

func appendCUDA(so *native.SessionOptions, options map[string]string) error {
	o, err := native.NewCUDAProviderOptions()
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

func appendTensorRT(so *native.SessionOptions, options map[string]string) error {
	o, err := native.NewTensorRTProviderOptions()
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
	so, err := native.NewSessionOptions()
	if err != nil {
		return p.unavailable(err.Error())
	}
	defer so.Destroy()
	return appendProvider(so, p)
}
