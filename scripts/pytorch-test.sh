#!/bin/sh
# Runs the tests of the exported PyTorch code in an environment of its own,
# made at first use in .venv-pytorch from pinned versions.
set -eu
cd "$(dirname "$0")/.."
venv=.venv-pytorch
requirements=export/pytorch/tests/requirements.txt

if ! cmp -s "$requirements" "$venv/requirements.txt"; then
	echo "pytorch-test: making $venv" >&2
	rm -rf "$venv"
	python3 -m venv "$venv"
	"$venv/bin/pip" install -q --disable-pip-version-check -r "$requirements"
	cp "$requirements" "$venv/requirements.txt"
fi
go build -o bin/afc ./cmd/afc
go build -o bin/testmodel ./cmd/testmodel
"$venv/bin/ruff" check export/pytorch
"$venv/bin/ruff" format --check export/pytorch
exec env AFC="$PWD/bin/afc" TESTMODEL="$PWD/bin/testmodel" AFC_ORT_LIBRARY="${AFC_ORT_LIBRARY:-$PWD/.ort/libonnxruntime.so.1}" \
	"$venv/bin/python" -m pytest -q export/pytorch/tests "$@"
