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
PATH=$PWD/bin:$PATH
(
	cd "$dir"
	rm -f -- *.af.onnx
	show afc convert tsn.onnx
	show afc verify
	show afc flops estimate tsn.onnx
)

printf '\nA small TSM that was trained, fitted on 200 unlabelled clips and held to its source on 100 others:\n'
go run ./cmd/testmodel -motion "$dir/motion" -clips 200
cd "$dir/motion"
frames="--template img_%05d.png --scale 64"
rm -f -- *.af.onnx
show afc fit tsm.onnx --videos fit $frames
show afc verify tsm.af.onnx --videos test $frames --only load,reference,agreement
show afc sweep tsm.onnx tsm.af.onnx --videos test $frames --threads 1 --published sthv1 --plot sweep.svg
show afc explain tsm.af.onnx --source tsm.onnx --videos test $frames --threads 1 -o "$PWD/explain.html"
