#!/bin/sh
# Puts the ONNX backend tests (models with recorded inputs and outputs) into
# .corpus/ of the project, from a PyPI wheel of onnx that carries them (newer ones do not):
# pinned version, checked checksum. Does nothing when they are already there.
set -eu

version=1.19.1
wheel_sha256=1839af08ab4a909e4af936b8149c27f8c64b96138981024e251906e0539d8bf9 # cp311 manylinux_2_17_x86_64; only its data is used

root=$(cd "$(dirname "$0")/.." && pwd)
dest=$root/.corpus
note() { echo "fetch-corpus: $*" >&2; }
die() { note "$*"; exit 1; }

if [ "$(cat "$dest/VERSION" 2>/dev/null)" = "$version" ]; then
	note "the backend tests of onnx $version are in $dest"
	exit 0
fi

for pip in pip3 pip "python3 -m pip"; do $pip --version >/dev/null 2>&1 && break || pip=; done
[ -n "$pip" ] && command -v python3 >/dev/null ||
	die "needs python3 and pip; or install Debian's libonnx-testdata, or set AFC_ONNX_CORPUS to a folder that has node/"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
note "fetching onnx==$version with $pip"
$pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 \
	--platform manylinux_2_17_x86_64 --dest "$tmp" "onnx==$version" >"$tmp/pip.log" 2>&1 ||
	die "pip failed: $(tail -n 1 "$tmp/pip.log")"
wheel=$(ls "$tmp"/onnx-*.whl)
got=$(if command -v sha256sum >/dev/null; then sha256sum "$wheel"; else shasum -a 256 "$wheel"; fi | cut -d' ' -f1)
[ "$got" = "$wheel_sha256" ] || die "$(basename "$wheel") has SHA-256 $got, expected $wheel_sha256"
python3 -m zipfile -e "$wheel" "$tmp/wheel"

rm -rf "$dest"
mv "$tmp/wheel/onnx/backend/test/data" "$dest"
echo "$version" >"$dest/VERSION"
note "the backend tests of onnx $version are in $dest"
