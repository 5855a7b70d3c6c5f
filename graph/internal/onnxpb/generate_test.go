package onnxpb

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
)

// TestBindingsAreCurrent: the generated code describes the messages of
// onnx.proto as protoc reads it. It fails where someone changed one without
// make proto.
func TestBindingsAreCurrent(t *testing.T) {
	protoc, err := exec.LookPath("protoc")
	if err != nil {
		t.Skip("no protoc here")
	}
	cmd := exec.Command(protoc, "--descriptor_set_out=/dev/stdout", "onnx.proto")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("protoc: %v\n%s", err, &stderr)
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(stdout.Bytes(), set); err != nil {
		t.Fatal(err)
	}
	want := set.File[0]
	got := protodesc.ToFileDescriptorProto(File_afc_onnx_proto)
	// generate.sh renames the package, and with it every reference.
	got.Name, got.Package = want.Name, want.Package
	for _, m := range got.MessageType {
		rename(m)
	}
	if !proto.Equal(got, want) {
		t.Error("onnx.pb.go is not what onnx.proto says; run make proto")
	}
}

func rename(m *descriptorpb.DescriptorProto) {
	for _, f := range m.Field {
		if name, ok := strings.CutPrefix(f.GetTypeName(), ".afc"); ok {
			f.TypeName = proto.String(name)
		}
	}
	for _, n := range m.NestedType {
		rename(n)
	}
}
