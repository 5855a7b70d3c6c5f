package afc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/afblock/describe"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
	"github.com/afc-project/afc/passes"
)

// EstimateOptions say what to count. By operator, or where the model is not
// recognised, operators are counted as the model stands, and options about
// clips and networks are refused.
type EstimateOptions struct {
	Model        string            // path of an ONNX model, or
	Arch         string            // a network by its name, one of Architectures, without a file
	InputShapes  []string          // fix open sizes of inputs: "video:1,8,3,224,224", or the sizes alone
	SourceFrames int               // frames a clip of a source; 0: as its graph says
	Outputs      []string          // paths that the caller will write, which must not be the model's files
	Progress     func(step string) // is told what is being done; nil: nobody

	By         string // rows: "stage", "block" or "operator"; "": stage, or operator where there are none
	Convention string // "mac", "flop" or "authors"; "": mac

	Frames []int    // frames of the clips to count; nil: the network's
	Size   [][2]int // height and width of their frames; nil: the network's
	// Ratio is how many frames blocks select. Shares without a block are a
	// column each; with blocks they make one. Columns for none and all are added.
	// nil: a quarter, half and all.
	Ratio []Ratio

	Lowering codegen.Lowering // add what this lowering executes; "": none
	Budget   []int            // of topk: frames that blocks compute

	// The AFNet that Convert would make of a source.
	StrideAt           string
	Alpha, FocalGroups int
}

// Ratio is a share of frames, 0 to 1, that a block selects, or all blocks of a
// stage, or ("rest") those not named, or ("") all.
type Ratio struct {
	Block string
	Share float64
}

// CostReport is what Estimate counted.
type CostReport struct {
	Model      string         `json:"model"`
	Network    string         `json:"network,omitempty"` // "TSM ResNet-50"; "" for another kind of model
	Note       string         `json:"note,omitempty"`
	Convention string         `json:"convention"`
	Clips      []ClipCost     `json:"clips,omitempty"`
	Operators  []OperatorCost `json:"operators,omitempty"` // of one run, or one clip where Network is known
	Total      *OperatorCost  `json:"total,omitempty"`
}

// ClipCost is what one clip of a given length and size costs.
type ClipCost struct {
	Frames  int           `json:"frames"`
	Size    [2]int        `json:"size"`
	Columns []NetworkCost `json:"networks"`
}

// NetworkCost is what a clip costs one network.
type NetworkCost struct {
	Name     string        `json:"name"` // "source", "none", "25 %", "all"
	Ratios   []float64     `json:"ratios,omitempty"`
	MACs     float64       `json:"macs"`
	FLOPs    float64       `json:"flops"`
	Authors  float64       `json:"authors"`
	Params   int64         `json:"parameters"`
	Bytes    int64         `json:"activation_bytes"`
	Rows     []CostRow     `json:"rows"`
	Executed *ExecutedCost `json:"executed,omitempty"`

	Count float64 `json:"-"` // in the convention asked for
}

// CostRow is a stage or a block.
type CostRow struct {
	Name    string  `json:"name"`
	MACs    float64 `json:"macs"`
	FLOPs   float64 `json:"flops"`
	Authors float64 `json:"authors"`
	Params  int64   `json:"parameters"`
	Bytes   int64   `json:"activation_bytes"` // of the maps written, as float32

	Count float64 `json:"-"` // in the convention asked for
}

// ExecutedCost is what a lowering makes ONNX Runtime execute.
type ExecutedCost struct {
	Lowering        string `json:"lowering"`
	MACs            int64  `json:"macs"`
	FLOPs           int64  `json:"flops"`
	ActivationBytes int64  `json:"activation_bytes"`
	PeakBytes       int64  `json:"peak_activation_bytes"` // alive at once, every frame selected; an estimate
	Kernels         int64  `json:"kernels"`               // operators that run: on a GPU about as many launches
}

// OperatorCost is what the nodes of one operator cost.
type OperatorCost struct {
	Operator        string `json:"operator"`
	Nodes           int    `json:"nodes"`
	MACs            int64  `json:"macs"`
	FLOPs           int64  `json:"flops"`
	Params          int64  `json:"parameters"`
	ActivationBytes int64  `json:"activation_bytes"`
}

// Estimate counts from shapes what a source and its AFNet cost, or an AFNet, a
// clip; or what any ONNX model costs, a run.
func Estimate(_ context.Context, opt EstimateOptions) (*CostReport, error) {
	e := estimate{EstimateOptions: opt}
	if err := e.check(); err != nil {
		return nil, err
	}
	return e.report()
}

// Architectures lists the networks that Estimate knows by name.
func Architectures() []string { return afblock.Architectures() }

// archClasses is how many classes a network without a file has: those of
// Something-Something, on which the paper compares costs.
const archClasses = 174

// archFrames is how many frames a clip of it has where nobody says.
const archFrames = 8

// estimate is one run of Estimate.
type estimate struct {
	EstimateOptions
	convention afblock.Convention
	strideAt   afblock.StrideAt
}

func (e *estimate) step(text string) { PassOptions{Progress: e.Progress}.step(text) }

// check refuses values that have no sense.
func (e *estimate) check() error {
	var err error
	if e.convention, err = afblock.ParseConvention(cmp.Or(e.Convention, "mac")); err != nil {
		return optionf("Convention", e.Convention, "expected mac, flop or authors")
	}
	if !slices.Contains([]string{"", "stage", "block", "operator"}, e.By) {
		return optionf("By", e.By, "expected stage, block or operator")
	}
	if e.strideAt, err = parseStrideAt(e.StrideAt); err != nil {
		return err
	}
	if err := checkModule(e.Alpha, e.FocalGroups); err != nil {
		return err
	}
	if e.Lowering == "" && e.Budget != nil {
		return optionf("Budget", nil, "it goes with {Lowering} topk")
	}
	for _, r := range e.Ratio {
		if !(r.Share >= 0 && r.Share <= 1) {
			return optionf("Ratio", r.Share, "expected shares from 0 to 1, such as 0.25,0.5")
		}
	}
	return checkLowering(e.Lowering, e.Budget)
}

// byName counts a network without a file.
func (e *estimate) byName() (*CostReport, error) {
	if e.Model != "" {
		return nil, optionf("Arch", e.Arch, "it is counted without a file: give a model or {Arch}")
	}
	if len(e.InputShapes) > 0 {
		return nil, optionf("InputShapes", nil, "it is about a model's inputs; {Arch} takes {Frames} and {Size}")
	}
	if !slices.Contains(Architectures(), e.Arch) {
		return nil, optionf("Arch", e.Arch, "expected one of %s", List(Architectures()))
	}
	why := "a network by its name has its form, and no file to lower"
	if err := e.refuse(why, "SourceFrames", "Alpha", "FocalGroups", "StrideAt", "Lowering", "Budget"); err != nil {
		return nil, err
	}
	if e.By == "operator" {
		return nil, optionf("By", e.By, "a network by its name has no operators: expected stage or block")
	}
	r := &CostReport{Model: e.Arch, Convention: conventionText(e.convention), Note: fmt.Sprintf("with %d classes", archClasses)}
	frames := e.Frames
	if len(frames) == 0 {
		frames = []int{archFrames}
	}
	for _, t := range frames {
		net, err := afblock.Architecture(e.Arch, t, archClasses)
		if err != nil {
			return nil, err
		}
		if len(net.Navigation()) == 0 && e.Ratio != nil {
			return nil, optionf("Ratio", nil, "a %s computes every frame; AFNets are af-…", e.Arch)
		}
		d := describe.Network(net)
		r.Network = d.Method + " " + d.Backbone
		one := *e
		one.Frames = []int{t}
		if err := one.clips(r, net); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (e *estimate) report() (*CostReport, error) {
	if e.Arch != "" {
		return e.byName()
	}
	r := &CostReport{Model: e.Model, Convention: conventionText(e.convention)}
	e.step("reading " + e.Model)
	m, err := openModel(e.Model, e.Outputs...)
	if err != nil {
		return nil, err
	}
	if err := setInputShapes(m, e.InputShapes); err != nil {
		return nil, err
	}
	if compiled.Is(m) {
		if err := e.refuse("an AFNet that afc wrote has its form and says its frames", "SourceFrames", "Alpha", "FocalGroups", "StrideAt"); err != nil {
			return nil, err
		}
	}
	opt := recognize.Options{Frames: e.SourceFrames}
	if len(e.Frames) > 0 {
		opt.Default = e.Frames[0] // as convert reads --frames
	}
	net, _, err := networkOf(m, opt)
	var no *recognize.Error
	if errors.As(err, &no) && no.NeedFrames && !fixedInputs(m) {
		return nil, no // what is open cannot be counted as it stands either
	}
	if errors.As(err, &no) {
		if err := e.byOperator("the model is not recognised, so its operators are counted as it stands"); err != nil {
			return nil, err
		}
		if err := e.refuse("it does not help: "+no.Error(), "SourceFrames"); err != nil {
			return nil, err
		}
		if e.By == "stage" || e.By == "block" {
			return nil, optionf("By", e.By, "the model is not recognised, so it has no stages")
		}
		r.Note = "counted by operator, one run: " + no.Error()
		return r, e.operators(r, m, nil)
	}
	if err != nil {
		return nil, err
	}
	d := describe.Network(net)
	r.Network = d.Method + " " + d.Backbone
	e.step("counting")
	if e.By == "operator" {
		if err := e.byOperator("operators are counted as the model stands"); err != nil {
			return nil, err
		}
		return r, e.operators(r, m, net)
	}
	return r, e.clips(r, net)
}

// byOperator refuses what says nothing of operators.
func (e *estimate) byOperator(why string) error {
	return e.refuse(why, "Frames", "Size", "Ratio", "Lowering", "Budget", "Alpha", "FocalGroups", "StrideAt", "Convention")
}

// refuse refuses the options named, those of them that are set.
func (e *estimate) refuse(why string, options ...string) error {
	set := map[string]bool{
		"SourceFrames": e.SourceFrames != 0, "Alpha": e.Alpha != 0, "FocalGroups": e.FocalGroups != 0, "StrideAt": e.StrideAt != "",
		"Frames": e.Frames != nil, "Size": e.Size != nil, "Ratio": e.Ratio != nil, "Lowering": e.Lowering != "", "Budget": e.Budget != nil,
		"Convention": e.Convention != "",
	}
	for _, name := range options {
		if set[name] {
			return &OptionError{Option: name, Reason: why}
		}
	}
	return nil
}

// fixedInputs reports whether a model leaves no size of its inputs open.
func fixedInputs(m *graph.Model) bool {
	return !slices.ContainsFunc(m.Graph.Inputs(), func(v *graph.Value) bool {
		return v.Initializer() == nil && !v.Type.Shape.Static()
	})
}

// clips counts clips of every length and size asked for.
func (e *estimate) clips(r *CostReport, net *afblock.Network) error {
	frames, sizes := e.Frames, e.Size
	if len(frames) == 0 {
		frames = []int{net.Frames}
	}
	if len(sizes) == 0 {
		sizes = [][2]int{net.FrameSize()}
	}
	for _, t := range frames {
		for _, size := range sizes {
			clip, err := e.clip(net, t, size)
			if err != nil {
				return err
			}
			r.Clips = append(r.Clips, clip)
		}
	}
	return nil
}

// clip counts a clip of t frames: a source and the AFNet convert would write,
// or an AFNet, at every ratio.
func (e *estimate) clip(net *afblock.Network, t int, size [2]int) (ClipCost, error) {
	clip := ClipCost{Frames: t, Size: size}
	af := net
	if p := net.Schedule(); p != nil {
		if err := e.refuse("the file fixes which frames its blocks compute", "Ratio"); err != nil {
			return clip, err
		}
		column, err := e.costOf(net, "frames "+p.String(), afblock.CostOptions{Frames: t, Size: size})
		if err == nil && e.Lowering != "" {
			column.Executed, err = e.executed(net, t, size, nil)
		}
		clip.Columns = append(clip.Columns, column)
		return clip, err
	}
	if len(net.Navigation()) == 0 {
		column, err := e.costOf(net, "source", afblock.CostOptions{Frames: t, Size: size})
		if err != nil {
			return clip, err
		}
		clip.Columns = append(clip.Columns, column)
		if e.Arch != "" {
			return clip, nil // there are no weights to make an AFNet of
		}
		opt := afblock.RewriteOptions{Frames: t, Alpha: e.Alpha, Groups: e.FocalGroups, StrideAt: e.strideAt}
		if opt.Navigation, err = afblock.ParsePattern("all"); err != nil {
			return clip, err
		}
		if af, err = afblock.Rewrite(net, opt); err != nil {
			return clip, err
		}
	}
	blocks := compiled.FocalBlocks(af)
	columns, err := ratioColumns(e.Ratio, blocks)
	if err != nil {
		return clip, err
	}
	for _, col := range columns {
		column, err := e.costOf(af, col.name, afblock.CostOptions{Frames: t, Size: size, Ratios: col.ratios})
		if err != nil {
			return clip, err
		}
		column.Ratios = col.ratios
		if e.Lowering != "" {
			if column.Executed, err = e.executed(af, t, size, col.ratios); err != nil {
				return clip, err
			}
		}
		clip.Columns = append(clip.Columns, column)
	}
	return clip, nil
}

// executed counts what the lowering asked for executes.
func (e *estimate) executed(net *afblock.Network, t int, size [2]int, ratios []float64) (*ExecutedCost, error) {
	opt := codegen.Options{Lowering: e.Lowering, Budget: e.Budget}
	net, err := net.WithFrames(t)
	if err != nil {
		return nil, err
	}
	if net.Size != size {
		return nil, optionf("Lowering", e.Lowering, "counts the graph that convert writes, for frames of %d×%d: leave out {Size}", net.Size[0], net.Size[1])
	}
	cost, err := codegen.ExecutedCost(net, opt, ratios)
	if err != nil {
		return nil, err
	}
	return &ExecutedCost{string(opt.Lowering), cost.MACs, cost.FLOPs(), cost.ActivationBytes, cost.PeakBytes, cost.Kernels}, nil
}

// costOf counts a clip of one network, its rows by stage or by block.
func (e *estimate) costOf(net *afblock.Network, name string, opt afblock.CostOptions) (NetworkCost, error) {
	table, err := net.Cost(opt)
	if err != nil {
		return NetworkCost{}, err
	}
	total := table.Total()
	column := NetworkCost{
		Name: name, Params: table.Params(), Count: total.Count(e.convention),
		MACs: total.MACs, FLOPs: total.Count(afblock.CountFLOPs), Authors: total.Authors,
		Bytes: 4 * int64(total.Activations),
	}
	for _, item := range table.Items {
		key := item.Stage
		if e.By == "block" && item.Key != "" {
			key = item.Key
		}
		i := slices.IndexFunc(column.Rows, func(r CostRow) bool { return r.Name == key })
		if i < 0 {
			i = len(column.Rows)
			column.Rows = append(column.Rows, CostRow{Name: key})
		}
		row := &column.Rows[i]
		row.MACs += item.Ops.MACs
		row.FLOPs += item.Ops.Count(afblock.CountFLOPs)
		row.Authors += item.Ops.Authors
		row.Params += item.Params
		row.Bytes += 4 * int64(item.Ops.Activations)
		row.Count += item.Ops.Count(e.convention)
	}
	return column, nil
}

// operators counts a model as it stands, by operator: one clip where the
// network is known, else one run.
func (e *estimate) operators(r *CostReport, m *graph.Model, net *afblock.Network) error {
	if err := passes.Canonicalize(m); err != nil {
		return passFailed(err, PassOptions{})
	}
	var opt op.CostOptions
	if net != nil {
		clip, err := net.OneClip(m)
		if err != nil {
			return err
		}
		if err := op.SetInputShapes(m, clip); err != nil {
			return err
		}
	}
	if report := op.Infer(m); !report.OK() {
		return &graph.Error{File: e.Model, Reason: report.String()}
	}
	if net != nil && len(net.Navigation()) > 0 {
		opt = codegen.EveryFrame(m, net)
		r.Note = "every block selects every frame"
	}
	sums := map[string]*OperatorCost{}
	for n := range m.Graph.Nodes() {
		cost, err := op.NodeCost(n, opt)
		if err != nil {
			return &graph.Error{File: e.Model, Reason: err.Error() + " (give --input-shapes if an input is open)"}
		}
		s := sums[n.OpType]
		if s == nil {
			s = &OperatorCost{Operator: n.OpType}
			sums[n.OpType] = s
		}
		s.add(cost)
	}
	total := OperatorCost{Operator: "total"}
	for _, op := range slices.SortedFunc(maps.Values(sums), func(x, y *OperatorCost) int {
		return cmp.Or(cmp.Compare(y.MACs, x.MACs), cmp.Compare(y.FLOPs, x.FLOPs), cmp.Compare(x.Operator, y.Operator))
	}) {
		r.Operators = append(r.Operators, *op)
		total.Nodes += op.Nodes
	}
	all, err := op.GraphCost(m.Graph, opt) // shared weights count once
	if err != nil {
		return &graph.Error{File: e.Model, Reason: err.Error()}
	}
	nodes := total.Nodes
	total.add(all)
	total.Nodes = nodes
	r.Total = &total
	return nil
}

func (o *OperatorCost) add(c op.Cost) {
	o.Nodes++
	o.MACs += c.MACs
	o.FLOPs += c.FLOPs()
	o.Params += c.Params
	o.ActivationBytes += c.ActivationBytes
}

// ratioColumn is one answer to "how many frames does each block select?".
type ratioColumn struct {
	name   string
	ratios []float64 // in network order
}

// ratioColumns are the columns of ratios asked for, and the ends of the range,
// none and all.
func ratioColumns(spec []Ratio, blocks []names.Focal) ([]ratioColumn, error) {
	if spec == nil {
		spec = []Ratio{{Share: 0.25}, {Share: 0.5}, {Share: 1}}
	}
	shares := []float64{0, 1}
	for _, r := range spec {
		if r.Block != "" {
			ratios, err := namedRatios(spec, blocks)
			if err != nil {
				return nil, err
			}
			return []ratioColumn{sameRatio(0, blocks), {"at ratios", ratios}, sameRatio(1, blocks)}, nil
		}
		shares = append(shares, r.Share)
	}
	slices.Sort(shares)
	var columns []ratioColumn
	for _, r := range slices.Compact(shares) {
		columns = append(columns, sameRatio(r, blocks))
	}
	return columns, nil
}

func sameRatio(r float64, blocks []names.Focal) ratioColumn {
	name := strconv.FormatFloat(100*r, 'g', 4, 64) + " %"
	switch r {
	case 0:
		name = "none"
	case 1:
		name = "all"
	}
	return ratioColumn{name, slices.Repeat([]float64{r}, len(blocks))}
}

// namedRatios gives every block its share: by its name, its stage's, or the
// rest's.
func namedRatios(spec []Ratio, blocks []names.Focal) ([]float64, error) {
	ratios := slices.Repeat([]float64{-1}, len(blocks))
	rest := 1.0
	for _, r := range spec {
		if r.Block == "rest" {
			rest = r.Share
			continue
		}
		found := false
		for i, b := range blocks {
			if b.Key == r.Block || strings.HasPrefix(b.Key, r.Block+".") {
				ratios[i], found = r.Share, true
			}
		}
		if !found {
			names := make([]string, len(blocks))
			for i, b := range blocks {
				names[i] = b.Key
			}
			return nil, optionf("Ratio", nil, "no block or stage %q; there are %s", r.Block, strings.Join(names, ", "))
		}
	}
	for i, r := range ratios {
		if r < 0 {
			ratios[i] = rest
		}
	}
	return ratios, nil
}

// conventionText says what a convention counts.
func conventionText(c afblock.Convention) string {
	switch c {
	case afblock.CountFLOPs:
		return "flop: 2 × multiply–accumulates + 1 for each element that anything else makes"
	case afblock.CountAuthors:
		return "authors: the counter of the AFNet authors' code (pools 9·C·H·W, nothing for BN and ReLU)"
	}
	return "mac: multiply–accumulates of convolutions and linear layers, which papers call FLOPs"
}
