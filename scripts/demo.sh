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

printf '\nA small TSM that was trained, fitted on 200 unlabelled clips and held to its source on 100 others:\n'
go run ./cmd/testmodel -motion "$dir/motion" -clips 200
frames="--template img_%05d.png --scale 64"
show bin/afc fit "$dir/motion/tsm.onnx" -o "$dir/motion/af.onnx" --videos "$dir/motion/fit" $frames
show bin/afc verify "$dir/motion/tsm.onnx" "$dir/motion/af.onnx" --videos "$dir/motion/test" $frames --only load,reference,agreement
