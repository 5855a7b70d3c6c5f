#!/bin/sh
# Shows afc on a model built here: convert, verify, flops estimate. Files go to
# build/demo.
set -eu
cd "$(dirname "$0")/.."
dir=build/demo
mkdir -p "$dir"

show() {
	printf '\n$ %s\n' "$*"
	"$@"
}

echo "A TSN ResNet-50 of 8 frames, 112², with random weights:"
show go run ./cmd/testmodel -size 112 -o "$dir/tsn.onnx"
show bin/afc convert "$dir/tsn.onnx" -o "$dir/af.onnx"
show bin/afc verify "$dir/tsn.onnx" "$dir/af.onnx"
show bin/afc flops estimate "$dir/tsn.onnx"
