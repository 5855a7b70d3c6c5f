package graph

// Model is an ONNX model: a graph with the opsets it speaks and what else the
// file carries (onnx.proto, ModelProto).
type Model struct {
	IRVersion       int64
	Opsets          []Opset // in file order
	ProducerName    string
	ProducerVersion string
	Domain          string
	ModelVersion    int64
	Doc             string
	Metadata        []Property // in file order; see Meta and SetMeta
	Graph           *Graph
	Functions       []*Function

	// Path is the file the model was read from, "" if none. Messages name it;
	// external data is resolved against its folder.
	Path string

	mapping []byte          // the file, if it is mapped into memory; see Close
	files   []*externalFile // that tensors lie in

	// opaque holds what afc carries through unread: training info, device
	// configurations and unknown fields, as wire bytes.
	opaque []byte
}

// Opset is an operator set the model imports. Domain "" is the ONNX domain
// ("ai.onnx" is its alias).
type Opset struct {
	Domain  string
	Version int64
}

// Property is a key and value of a metadata_props list.
type Property struct{ Key, Value string }

// NewModel returns an empty model of the given ai.onnx opset with an empty graph.
func NewModel(name string, irVersion, opset int64) *Model {
	m := &Model{IRVersion: irVersion, Opsets: []Opset{{"", opset}}, Graph: NewGraph(name)}
	m.Own()
	return m
}

// IRVersionOf returns the IR version of the ONNX release that brought an ai.onnx
// opset, for models that are written anew.
func IRVersionOf(opset int64) int64 {
	// The newest opset of each IR version, from 3 on (onnx.helper.VERSION_TABLE).
	for i, newest := range []int64{8, 9, 10, 11, 14, 18, 20, 22, 23, 24, 27} {
		if opset <= newest {
			return 3 + int64(i)
		}
	}
	return newestIR
}

// opsetOwner is a Model or Function: what says in which version of an operator set
// the nodes of a graph are written.
type opsetOwner interface{ Opset(domain string) int64 }

// Own tells the model's graphs which opsets their nodes are written in, where
// a graph or function was put into it by hand.
func (m *Model) Own() {
	m.Graph.owner = m
	for _, f := range m.Functions {
		f.Body.owner = f
	}
}

// Opset returns the version the model imports of a domain, 0 if it does not.
// "" and "ai.onnx" are the same domain.
func (m *Model) Opset(domain string) int64 { return opsetIn(m.Opsets, domain) }

// Opset returns the version the function imports of a domain, 0 if it does not.
func (f *Function) Opset(domain string) int64 { return opsetIn(f.Opsets, domain) }

func opsetIn(list []Opset, domain string) int64 {
	for _, o := range list {
		if CanonicalDomain(o.Domain) == CanonicalDomain(domain) {
			return o.Version
		}
	}
	return 0
}

// CanonicalDomain returns the one name of a domain that has two: "" for
// "ai.onnx".
func CanonicalDomain(d string) string {
	if d == "ai.onnx" {
		return ""
	}
	return d
}

// Meta returns the value of a metadata key, "" if absent.
func (m *Model) Meta(key string) string {
	for _, p := range m.Metadata {
		if p.Key == key {
			return p.Value
		}
	}
	return ""
}

// SetMeta sets a metadata key, keeping its place, or appends it.
func (m *Model) SetMeta(key, value string) {
	for i := range m.Metadata {
		if m.Metadata[i].Key == key {
			m.Metadata[i].Value = value
			return
		}
	}
	m.Metadata = append(m.Metadata, Property{key, value})
}

// Function is a model-local function; its body is a Graph whose inputs and
// outputs are the function's formal parameters (untyped).
type Function struct {
	Name, Domain, Overload, Doc string
	Opsets                      []Opset
	Attributes                  []string     // names without default
	AttributeDefaults           []*Attribute // attributes with default
	Body                        *Graph
	Metadata                    []Property

	opaque []byte
}
