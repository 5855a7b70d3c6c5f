// Package graph is the intermediate representation: ONNX in ONNX's words, in
// memory, in a form that compilers can work on.
//
// # The representation
//
// A [Model] holds a [Graph] of Nodes over Values, and the functions it defines.
// A [Value] is in static single assignment form: made once, by a [Node], as a
// graph input or as an initializer. It knows what makes it and every place that
// reads it, so a rewrite is a change of edges, never a search by name:
//
//	for n := range g.Nodes() {
//		if n.Is("Identity") {
//			n.Output(0).ReplaceAllUses(n.Input(0))
//			g.RemoveNode(n)
//		}
//	}
//
// Edges change through methods only, which keep both ends right. Subgraphs (the
// branches of If, the bodies of Loop and Scan) are attributes of a node; what
// their nodes read from the graph around counts as a use there. A [Tensor] is
// never changed after it was made, so models share tensors freely.
//
// # In and out
//
// [Decode], [ReadFile] and [Model.Encode] are the only doors between this
// representation and protobuf; the generated bindings stay in
// internal/onnxpb. Weights are not copied on either way: they alias the input,
// which ReadFile maps into memory, and Encode hands them to the writer as they
// lie. A model goes from file to file in little more than the time of a copy.
//
// What afc does not use goes through unread and is written back: documentation,
// metadata, training information, device configurations, quantisation
// annotations, sparse tensors, types of sequences, maps and optionals, and
// fields of messages that this version's onnx.proto (onnx 1.23.2) does not
// define; of those, only fields inside key-value pairs and opset imports are
// lost. Three things are normalised: elements of tensors are written as
// raw_data wherever they were, nodes are in topological order, and attributes
// have a type even where a file of IR version 1 had none. Encode is
// deterministic: equal models give equal bytes.
//
// # External data
//
// A model may keep tensors in other files of its folder, and must where it is
// larger than 2 GB. ReadFile finds them, refuses locations that lead out of the
// folder (absolute, through "..", over symbolic links), and tests that each
// tensor's bytes are there and overlap no other's. The files are mapped when a
// tensor's [Tensor.Bytes] are first asked for. [Model.EncodeExternal] writes
// such models; Encode takes external data into the file.
//
// # What is trusted
//
// Nothing in a file. Before it allocates anything for a file's contents, Decode
// walks the wire format: messages nested deeper than 100 are refused, and so
// are files that would take more than 64 MB plus 8 times their size. Tensors
// whose elements do not fill their dimensions are refused. A damaged file gives
// an [*Error] that says where; it does not panic, hang or exhaust memory.
// [Check] then holds a model to the rules of ONNX: the official schemas of every
// opset are built in (internal/schema).
//
// A panic that begins with "BUG:" means that this program broke its own rules.
//
// # What lies where
//
//   - model.go, graph.go, node.go, value.go, attr.go, tensor.go, types.go: the
//     representation; clone.go copies models, sort.go orders nodes.
//   - decode.go, decode_tensor.go, scan.go (limits before allocation), split.go,
//     encode.go, encode_external.go, stream.go, file.go, external.go: files.
//   - mapping.go: what of a mapped file is not needed or gone, and [Guard].
//   - check.go, check_node.go: [Check]. errors.go: [Error].
//   - walk.go: subgraphs, and the inputs that callers give.
//   - text.go: [Text] shows a model to people and golden tests.
//
// What operators mean, types and costs among it, is package op's.
package graph
