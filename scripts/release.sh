#!/bin/sh
# Builds release archives into build/release: linux amd64 and arm64, macOS,
# Windows, all without cgo (they convert, inspect, optimize and count; verify
# needs the cgo build, which is made for this machine besides), checksums, and a
# list of what is in them (CycloneDX). The same commit gives the same archives.
set -eu
: "${CYCLONEDX:?run make release}"
cd "$(dirname "$0")/.."
version=${VERSION:-$(git describe --tags --always --dirty | sed 's/^v//')}
out=build/release
rm -rf "$out"
mkdir -p "$out"
stamp=$(git log -1 --format=%ct)

build() { # cgo os arch suffix
	name=afc-$version-$2-$3$4
	exe=afc
	[ "$2" = windows ] && exe=afc.exe
	mkdir -p "$out/$name"
	CGO_ENABLED=$1 GOOS=$2 GOARCH=$3 go build -trimpath -ldflags "-s -w -X github.com/afc-project/afc.Version=$version" -o "$out/$name/$exe" ./cmd/afc
	cp LICENSE README.md CHANGELOG.md "$out/$name/"
	find "$out/$name" -exec touch -d "@$stamp" {} +
	if [ "$2" = windows ]; then
		(cd "$out" && find "$name" -type f | LC_ALL=C sort | TZ=UTC zip -q -X "$name.zip" -@)
	else
		tar --sort=name --mtime="@$stamp" --owner=0 --group=0 --numeric-owner -C "$out" -cf - "$name" | gzip -n9 >"$out/$name.tar.gz"
	fi
	rm -r "${out:?}/$name"
	echo "release: $name" >&2
}

build 0 linux amd64 ""
build 0 linux arm64 ""
build 0 darwin amd64 ""
build 0 darwin arm64 ""
build 0 windows amd64 ""
build 1 "$(go env GOHOSTOS)" "$(go env GOHOSTARCH)" -cgo
$CYCLONEDX app -json -licenses -noserial -main cmd/afc -output "$out/afc-$version.cdx.json" .
(cd "$out" && sha256sum ./*.tar.gz ./*.zip ./*.json | sed 's#\./##' >SHA256SUMS)
cat "$out/SHA256SUMS"
