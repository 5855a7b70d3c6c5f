#!/bin/sh
# Proves AFNets on ONNX Runtime's CUDA and TensorRT providers, in every lowering,
# with a pinned onnxruntime-gpu and NVIDIA's libraries from PyPI in an environment
# of its own. Without an NVIDIA GPU it is skipped, saying so.
# Usage: cuda-test.sh [MODEL.onnx]; by default a TSN ResNet-50 with random weights.
set -eu
cd "$(dirname "$0")/.."
version=1.30.0
note() { echo "cuda-test: $*" >&2; }

if ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L 2>/dev/null | grep -q GPU; then
	note "skipped: no NVIDIA GPU (nvidia-smi lists none)"
	exit 0
fi
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader

dir=build/cuda
mkdir -p "$dir"
if [ -z "${AFC_ORT_LIBRARY:-}" ]; then
	[ -x "$dir/venv/bin/python" ] || python3 -m venv "$dir/venv"
	"$dir/venv/bin/pip" install -q "onnxruntime-gpu[cuda,cudnn]==$version" || {
		note "skipped: onnxruntime-gpu $version cannot be fetched; set AFC_ORT_LIBRARY to it"
		exit 0
	}
	site=$("$dir/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	AFC_ORT_LIBRARY=$(find "$site/onnxruntime/capi" -name 'libonnxruntime.so.*' | head -n 1)
	for lib in "$site"/nvidia/*/lib; do LD_LIBRARY_PATH=$lib:${LD_LIBRARY_PATH:-}; done
	export AFC_ORT_LIBRARY LD_LIBRARY_PATH
fi
make -s build
bin/afc doctor

source=${1:-$dir/tsn.onnx}
[ -f "$source" ] || go run ./cmd/testmodel -dynamic -o "$source"
failed=0
for provider in cuda tensorrt; do
	for lowering in mask gather topk branch; do
		set -- --lowering "$lowering"
		[ "$lowering" = topk ] && set -- "$@" --budget 4
		bin/afc convert "$source" "$@" -o "$dir/$lowering.onnx" >/dev/null 2>&1
		fallback=
		[ "$lowering" = mask ] || fallback=--allow-fallback # control flow and shapes run on the CPU, and are listed
		note "$provider, $lowering"
		bin/afc verify "$source" "$dir/$lowering.onnx" --provider "$provider" $fallback --report "$dir/$provider-$lowering.html" ||
			{ code=$?; [ "$code" = 5 ] && note "$provider is not available: skipped" || failed=1; }
	done
done
exit $failed
