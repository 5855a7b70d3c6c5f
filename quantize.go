package afc

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/graph"
)

// QuantizeOptions say which model is to be quantised.
type QuantizeOptions struct {
	Model    string            // path of an AFNet that afc wrote, or of a source
	Output   string            // path to write the configuration to; "": it is in the report alone
	Progress func(step string) // is told what is being done; nil: nobody
}

// QuantizeReport is how ONNX Runtime's static quantiser should take a model.
type QuantizeReport struct {
	Output string         `json:"output,omitempty"`
	Config QuantizeConfig `json:"config"`
	Convs  int            `json:"convolutions"` // that the quantiser will take
	Float  int            `json:"float"`        // operators that stay float32
}

// QuantizeConfig has the names and values of the arguments of ONNX Runtime's
// quantize_static.
type QuantizeConfig struct {
	Schema         int      `json:"schema"`
	Format         string   `json:"quant_format"`
	PerChannel     bool     `json:"per_channel"`
	ActivationType string   `json:"activation_type"`
	WeightType     string   `json:"weight_type"`
	OpTypes        []string `json:"op_types_to_quantize"`
	Exclude        []string `json:"nodes_to_exclude"` // nodes by name
}

// Quantize says which nodes of a model to leave in float32 when it is quantised:
// navigation, which decides by comparing two numbers, and the gates, which scale
// whole maps. F(0) is a constant beside the convolutions and is not taken anyway.
// The error is a *graph.Error for models that the quantiser cannot take.
func Quantize(ctx context.Context, opt QuantizeOptions) (*QuantizeReport, error) {
	step := PassOptions{Progress: opt.Progress}.step
	if opt.Output != "" {
		if err := Writable(opt.Output, opt.Model); err != nil {
			return nil, err
		}
	}
	step("reading " + opt.Model)
	m, err := openModel(opt.Model, opt.Output)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	net := &afblock.Network{}
	var file compiled.FileInfo
	if m.Meta(names.OptimizedKey) == "" { // else it is plain, and not to be recognised
		if net, file, err = networkOf(m, recognize.Options{}); err != nil {
			return nil, err
		}
	}
	if err := quantizable(m, net, file.Precision); err != nil {
		return nil, err
	}
	r := &QuantizeReport{Output: opt.Output, Config: QuantizeConfig{
		Schema: 1, Format: "QDQ", PerChannel: true, ActivationType: "QUInt8", WeightType: "QInt8", OpTypes: []string{"Conv", "Gemm"}, Exclude: []string{},
	}}
	keys := decisive(net)
	for n := range m.Graph.Nodes() {
		switch {
		case belongs(n, keys):
			r.Config.Exclude = append(r.Config.Exclude, n.Name)
			r.Float++
		case n.Is("Conv"):
			r.Convs++
		}
	}
	if opt.Output == "" {
		return r, nil
	}
	text, err := json.MarshalIndent(r.Config, "", "  ")
	if err != nil {
		return nil, err
	}
	return r, WriteFile(opt.Output, append(text, '\n'))
}

// quantizable refuses what the quantiser would leave as it is, or fail on.
func quantizable(m *graph.Model, net *afblock.Network, precision compiled.Precision) error {
	if len(net.Navigation()) > 0 && !compiled.Is(m) {
		return &graph.Error{File: m.Path, Reason: "is an AFNet that another program exported; write it anew (afc convert MODEL -o AF.onnx --lowering gather) and quantise that"}
	}
	if precision == compiled.FP16 {
		return &graph.Error{File: m.Path, Reason: "is of half precision, and ONNX Runtime's quantiser takes float32: quantise the file that --precision did not touch"}
	}
	inside, all := 0, 0
	for n := range m.Graph.AllNodes() {
		if !n.Is("Conv") {
			continue
		}
		all++
		if n.Graph() != m.Graph {
			inside++
		}
	}
	if inside > 0 {
		return &graph.Error{File: m.Path, Reason: fmt.Sprintf("%d of its %d convolutions stand in the bodies of Scans and Ifs, where ONNX Runtime's static quantiser does not look: "+
			"write the AFNet with its branches in the main graph (afc convert MODEL -o AF.onnx --lowering gather) and quantise that", inside, all)}
	}
	return nil
}

// decisive are the keys under which an AFNet's navigation and gates stand.
func decisive(net *afblock.Network) []string {
	var keys []string
	for _, n := range net.Navigation() {
		keys = append(keys, n.Key, n.Look.Key, n.Choice.Key)
	}
	for _, s := range net.Stages {
		if s.AF != nil {
			keys = append(keys, names.Gate(s.Name), s.AF.Gate.Squeeze.Key, s.AF.Gate.Excite.Key)
		}
	}
	return keys
}

// belongs reports whether a node bears one of the keys, or computes with a weight
// under it.
func belongs(n *graph.Node, keys []string) bool {
	of := func(name string) bool {
		for _, k := range keys {
			if name == k || strings.HasPrefix(name, k+".") {
				return true
			}
		}
		return false
	}
	if of(n.Name) {
		return true
	}
	for _, v := range n.Inputs() {
		if v != nil && v.Initializer() != nil && of(v.Name()) {
			return true
		}
	}
	return false
}
