#!/bin/sh
# Puts ONNX Runtime's shared library into .ort/ of the project: pinned version,
# checked against the checksums below. Sources, in order: $AFC_ORT_LIBRARY, npm,
# pip. Does nothing when the right library is already there.
set -eu

version=1.30.0
# onnxruntime-node's archive holds the libraries of every platform, so one
# checksum (npm's "integrity", SHA-512) covers them all.
npm_sha512=twhs1C2C/BFkz1yc5OY0KIU2GUq6DURO7hD4bx5Q2Qy3nAMJwRXW8xU3NVczE29VA9lolLOYepoD8fjTGOfIqw==
wheel_sha256=fd54b314ea385bcecac69ab431f020ba503e3878dad4ebb645fec5a24b041242 # cp311 manylinux_2_28_x86_64

root=$(cd "$(dirname "$0")/.." && pwd)
dest=$root/.ort
note() { echo "fetch-ort: $*" >&2; }
die() { note "$*"; exit 1; }

if [ -n "${AFC_ORT_LIBRARY:-}" ]; then
	[ -f "$AFC_ORT_LIBRARY" ] || die "AFC_ORT_LIBRARY names $AFC_ORT_LIBRARY, which is not a file; correct it or unset it"
	note "using AFC_ORT_LIBRARY=$AFC_ORT_LIBRARY"
	exit 0
fi

case $(uname -s)-$(uname -m) in
Linux-x86_64) npm_dir=linux/x64 lib=libonnxruntime.so.1 ;;
Linux-aarch64) npm_dir=linux/arm64 lib=libonnxruntime.so.1 ;;
Darwin-arm64) npm_dir=darwin/arm64 lib=libonnxruntime.1.dylib ;;
*) die "no prebuilt ONNX Runtime $version for $(uname -s) $(uname -m); build it and set AFC_ORT_LIBRARY" ;;
esac

sha256() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1; }
sha512() { openssl dgst -sha512 -binary "$1" | openssl base64 -A; }

# installed says whether .ort/ holds the pinned version, unchanged since it was checked.
installed() {
	[ -f "$dest/$lib" ] && [ -f "$dest/SHA256" ] && [ "$(cat "$dest/SHA256")" = "$version $(sha256 "$dest/$lib")" ]
}
if installed; then
	note "ONNX Runtime $version is in $dest"
	exit 0
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

from_npm() {
	command -v npm >/dev/null && command -v openssl >/dev/null || return 1
	note "fetching onnxruntime-node@$version with npm"
	(cd "$tmp" && npm pack --silent --ignore-scripts "onnxruntime-node@$version") >"$tmp/npm.log" 2>&1 || {
		note "npm failed: $(tail -n 1 "$tmp/npm.log")"
		return 1
	}
	got=$(sha512 "$tmp/onnxruntime-node-$version.tgz")
	[ "$got" = "$npm_sha512" ] || die "onnxruntime-node-$version.tgz has SHA-512 $got, expected $npm_sha512"
	tar -xzf "$tmp/onnxruntime-node-$version.tgz" -C "$tmp" "package/bin/napi-v6/$npm_dir"
	mv "$tmp/package/bin/napi-v6/$npm_dir" "$tmp/lib"
}

from_pip() {
	[ "$npm_dir" = linux/x64 ] || return 1
	for pip in pip3 pip "python3 -m pip"; do $pip --version >/dev/null 2>&1 && break || pip=; done
	[ -n "$pip" ] || return 1
	command -v python3 >/dev/null || return 1
	note "fetching onnxruntime==$version with $pip"
	$pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 \
		--platform manylinux_2_28_x86_64 --dest "$tmp" "onnxruntime==$version" >"$tmp/pip.log" 2>&1 || {
		note "pip failed: $(tail -n 1 "$tmp/pip.log")"
		return 1
	}
	wheel=$(ls "$tmp"/onnxruntime-*.whl)
	got=$(sha256 "$wheel")
	[ "$got" = "$wheel_sha256" ] || die "$(basename "$wheel") has SHA-256 $got, expected $wheel_sha256"
	python3 -m zipfile -e "$wheel" "$tmp/wheel"
	mkdir "$tmp/lib"
	mv "$tmp"/wheel/onnxruntime/capi/libonnxruntime*.so* "$tmp/lib/"
	mv "$tmp/lib/libonnxruntime.so.$version" "$tmp/lib/$lib"
}

from_npm || from_pip ||
	die "cannot fetch ONNX Runtime $version: install node/npm or python/pip and run this again, or set AFC_ORT_LIBRARY to a $lib of that version"

mkdir -p "$dest"
rm -f "$dest"/libonnxruntime* "$dest/SHA256"
mv "$tmp"/lib/libonnxruntime* "$dest/"
echo "$version $(sha256 "$dest/$lib")" >"$dest/SHA256"
note "ONNX Runtime $version is in $dest"
