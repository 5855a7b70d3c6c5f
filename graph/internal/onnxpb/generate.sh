#!/bin/sh
# Regenerates onnx.pb.go from onnx.proto, which is kept as the PyPI package
# onnx 1.23.2 ships it. Needs protoc (3.15 or later) and Go; the protoc-gen-go
# used is the one of the protobuf version that go.mod pins.
#
# The proto package is renamed on the way. Names do not appear on the wire, but
# they do in protobuf's process-wide registry, where another ONNX library
# linked into the same binary would clash with ours.
set -eu
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/afc"
sed 's/^package onnx;$/package afc.onnx;/' onnx.proto >"$tmp/afc/onnx.proto"
go build -o "$tmp/protoc-gen-go" google.golang.org/protobuf/cmd/protoc-gen-go
protoc --plugin="$tmp/protoc-gen-go" --proto_path="$tmp" \
	--go_out="$tmp" --go_opt=Mafc/onnx.proto=./onnxpb afc/onnx.proto
# Keep the generator's version in the header, not the local protoc's.
sed '/^\/\/ 	protoc  /d' "$tmp/onnxpb/onnx.pb.go" >onnx.pb.go
