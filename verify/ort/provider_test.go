package ort

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseProvider(t *testing.T) {
	for spec, want := range map[string]Provider{
		"cpu":                         {Name: "cpu"},
		"CUDA:device_id=1":            {Name: "cuda", Options: []Option{{"device_id", "1"}}},
		"webgpu:a=b,c=d=e":            {Name: "webgpu", Options: []Option{{"a", "b"}, {"c", "d=e"}}},
		"tensorrt:trt_fp16_enable=":   {Name: "tensorrt", Options: []Option{{"trt_fp16_enable", ""}}},
		"openvino:device_type=CPU,a=": {Name: "openvino", Options: []Option{{"device_type", "CPU"}, {"a", ""}}},
	} {
		got, err := ParseProvider(spec)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", spec, d)
		}
	}
	for _, bad := range []string{"", "gpu", "cuda:", "cuda:device", "cuda:=1"} {
		if p, err := ParseProvider(bad); err == nil {
			t.Errorf("%q is taken for %v", bad, p)
		}
	}
}

// TestProviderReason holds the extraction to what ONNX Runtime 1.30 says.
func TestProviderReason(t *testing.T) {
	const where = "/onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:1988 onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : "
	for _, tt := range []struct {
		text string
		log  []string
		want string
	}{
		{"OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load shared library",
			[]string{"E: " + where + "Failed to load library /x/libonnxruntime_providers_shared.so with error: cannot open shared object file"},
			"cannot load /x/libonnxruntime_providers_shared.so with error: cannot open shared object file"},
		{where + "Failed to load library /x/libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared object file", nil,
			"cannot load /x/libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared object file"},
		{"/onnxruntime_src/webgpu_context.cc:136 Initialize()::<lambda()> status == Success was false. Failed to get a WebGPU adapter: No supported adapters", nil,
			"Failed to get a WebGPU adapter: No supported adapters"},
		{"WebGPU execution provider is not supported in this build. ", nil, "WebGPU execution provider is not supported in this build."},
	} {
		if got := providerReason(tt.text, tt.log); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
