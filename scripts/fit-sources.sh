#!/bin/sh
# Trains a TSM of basic blocks on motions and a TSN on what moves, in the Python environment of pytorch-test, and fits AFNets to
# both: the second table of docs/BENCHMARKS.md. About half an hour of processor time; what was trained is kept in .fit-sources.
set -eu
cd "$(dirname "$0")/.."
venv=.venv-pytorch
requirements=export/pytorch/tests/requirements.txt
out=.fit-sources

if ! cmp -s "$requirements" "$venv/requirements.txt"; then
	echo "fit-sources: making $venv" >&2
	rm -rf "$venv"
	python3 -m venv "$venv"
	"$venv/bin/pip" install -q --disable-pip-version-check -r "$requirements"
	cp "$requirements" "$venv/requirements.txt"
fi
go build -o bin/afc ./cmd/afc
go build -o bin/testmodel ./cmd/testmodel
mkdir -p "$out"

# source NAME CLASSES STEPS CLIPS ARRAYS-FLAG SHIFT
source() {
	test ! -e "$out/$1/trained.safetensors" || return 0
	rm -rf "${out:?}/$1"
	bin/testmodel -depth 18 -width 16 -size 64 -classes "$2" -bn -shift "$6" -o "$out/$1.onnx"
	bin/afc export "$out/$1.onnx" --format pytorch -o "$out/$1"
	bin/testmodel -arrays "$out/$1" -seed 101 -clips "$4" $5
	"$venv/bin/python" scripts/fit-sources/train.py "$out/$1" "$out/$1.clips.npy" "$out/$1.labels.npy" "$3"
	rm "$out/$1.clips.npy"
}
source basic-tsm 10 2800 10000 "" concat
source basic-tsn 5 400 6000 -shapes none
AFC_FIT_SOURCES="$PWD/$out" go test ./fit -run '^$' -bench Sources -benchtime 1x -timeout 120m -v
