package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/describe"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
	"github.com/afc-project/afc/passes"
)

// flopsReport is what flops estimate tells.
type flopsReport struct {
	Model      string         `json:"model"`
	Network    string         `json:"network,omitempty"` // "TSM ResNet-50"; "" for another kind of model
	Note       string         `json:"note,omitempty"`
	Convention string         `json:"convention"`
	Clips      []clipCost     `json:"clips,omitempty"`
	Operators  []operatorCost `json:"operators,omitempty"` // of one run, or one clip where Network is known
	Total      *operatorCost  `json:"total,omitempty"`
	convention afblock.Convention
}

// clipCost is what one clip of a given length and size costs.
type clipCost struct {
	Frames  int          `json:"frames"`
	Size    [2]int       `json:"size"`
	Columns []costColumn `json:"networks"`
}

// costColumn is what a clip costs one network.
type costColumn struct {
	Name     string        `json:"name"` // "source", "none", "25 %", "all"
	Ratios   []float64     `json:"ratios,omitempty"`
	MACs     float64       `json:"macs"`
	FLOPs    float64       `json:"flops"`
	Authors  float64       `json:"authors"`
	Params   int64         `json:"parameters"`
	Bytes    int64         `json:"activation_bytes"`
	Rows     []costRow     `json:"rows"`
	Executed *executedCost `json:"executed,omitempty"`
	count    float64       // in the convention asked for
}

// costRow is a stage or a block.
type costRow struct {
	Name    string  `json:"name"`
	MACs    float64 `json:"macs"`
	FLOPs   float64 `json:"flops"`
	Authors float64 `json:"authors"`
	Params  int64   `json:"parameters"`
	Bytes   int64   `json:"activation_bytes"` // of the maps written, as float32
	count   float64
}

// executedCost is what a lowering makes ONNX Runtime execute.
type executedCost struct {
	Lowering        string `json:"lowering"`
	MACs            int64  `json:"macs"`
	FLOPs           int64  `json:"flops"`
	ActivationBytes int64  `json:"activation_bytes"`
}

// operatorCost is what the nodes of one operator cost.
type operatorCost struct {
	Operator        string `json:"operator"`
	Nodes           int    `json:"nodes"`
	MACs            int64  `json:"macs"`
	FLOPs           int64  `json:"flops"`
	Params          int64  `json:"parameters"`
	ActivationBytes int64  `json:"activation_bytes"`
}

func (a *app) flopsEstimate(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("flops estimate takes MODEL.onnx, got %d arguments", c.NArg())
	}
	e := estimate{app: a, c: c, path: c.Args().First()}
	report, err := e.report()
	if err != nil {
		return err
	}
	if path := c.String("plot"); path != "" {
		if err := plotCosts(report, path); err != nil {
			return err
		}
	}
	switch {
	case c.Bool("json"):
		return a.writeJSON(report)
	case c.Bool("csv"):
		return report.writeCSV(a.stdout)
	}
	return report.print(a.stdout)
}

// estimate is one run of flops estimate.
type estimate struct {
	*app
	c    *cli.Context
	path string
}

func (e *estimate) report() (*flopsReport, error) {
	convention, err := afblock.ParseConvention(e.c.String("convention"))
	if err != nil {
		return nil, usagef("--%v", err)
	}
	by := e.c.String("by")
	if !slices.Contains([]string{"stage", "block", "operator"}, by) {
		return nil, usagef("--by %s: expected stage, block or operator", by)
	}
	r := &flopsReport{Model: e.path, Convention: conventionText(convention), convention: convention}
	p := e.progress()
	defer p.Stop()
	p.Step("reading %s", e.path)
	m, err := openModel(e.path, e.c.String("plot"))
	if err != nil {
		return nil, err
	}
	if err := setInputShapes(m, e.c.StringSlice("input-shapes")); err != nil {
		return nil, err
	}
	net, err := e.network(m)
	var no *recognize.Error
	if errors.As(err, &no) {
		r.Note = "counted by operator, one run: " + oneLine(no.Error())
		return r, e.operators(r, m, nil)
	}
	if err != nil {
		return nil, err
	}
	d := describe.Network(net)
	r.Network = d.Method + " " + d.Backbone
	p.Step("counting")
	if by == "operator" {
		return r, e.operators(r, m, net)
	}
	return r, e.clips(r, net, by)
}

// network reads a compiled model back, or recognises a source.
func (e *estimate) network(m *graph.Model) (*afblock.Network, error) {
	if compiled.Is(m) {
		net, _, err := compiled.ReadModel(m)
		return net, err
	}
	if err := passes.Canonicalize(m); err != nil {
		return nil, passFailed(err)
	}
	return recognize.Network(m, recognize.Options{Frames: e.c.Int("source-frames")})
}

// clips counts clips of every length and size asked for.
func (e *estimate) clips(r *flopsReport, net *afblock.Network, by string) error {
	frames, err := intList("frames", e.c.String("frames"))
	if err != nil {
		return err
	}
	if len(frames) == 0 {
		frames = []int{net.Frames}
	}
	sizes, err := sizeList(e.c.String("size"))
	if err != nil {
		return err
	}
	if len(sizes) == 0 {
		if sizes = [][2]int{net.Size}; net.Size[0] == 0 {
			sizes = [][2]int{{224, 224}}
		}
	}
	for _, t := range frames {
		for _, size := range sizes {
			clip, err := e.clip(r, net, by, t, size)
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
func (e *estimate) clip(r *flopsReport, net *afblock.Network, by string, t int, size [2]int) (clipCost, error) {
	clip := clipCost{Frames: t, Size: size}
	af := net
	if net.FocalBlocks() == 0 {
		column, err := costOf(net, "source", by, r.convention, afblock.CostOptions{Frames: t, Size: size})
		if err != nil {
			return clip, err
		}
		clip.Columns = append(clip.Columns, column)
		opt := afblock.RewriteOptions{Frames: t, Alpha: e.c.Int("alpha"), Groups: e.c.Int("focal-groups")}
		if opt.StrideAt, err = strideAt(e.c); err != nil {
			return clip, err
		}
		if opt.Navigation, err = afblock.ParsePattern("all"); err != nil {
			return clip, err
		}
		if af, err = afblock.Rewrite(net, opt); err != nil {
			return clip, err
		}
	}
	blocks := codegen.FocalBlocks(af)
	columns, err := ratioColumns(e.c.String("ratio"), blocks)
	if err != nil {
		return clip, err
	}
	for _, col := range columns {
		column, err := costOf(af, col.name, by, r.convention, afblock.CostOptions{Frames: t, Size: size, Ratios: col.ratios})
		if err != nil {
			return clip, err
		}
		column.Ratios = col.ratios
		if e.c.String("lowering") != "" {
			if column.Executed, err = e.executed(af, t, size, col.ratios); err != nil {
				return clip, err
			}
		}
		clip.Columns = append(clip.Columns, column)
	}
	return clip, nil
}

// executed counts what the lowering asked for executes.
func (e *estimate) executed(net *afblock.Network, t int, size [2]int, ratios []float64) (*executedCost, error) {
	opt, err := loweringFlags(e.c)
	if err != nil {
		return nil, err
	}
	if t != net.Frames {
		if net, err = net.WithFrames(t); err != nil {
			return nil, err
		}
	}
	if net.Size != size {
		return nil, usagef("--lowering counts the graph that convert writes, for frames of %d×%d: leave out --size", net.Size[0], net.Size[1])
	}
	cost, err := codegen.ExecutedCost(net, opt, ratios)
	if err != nil {
		return nil, err
	}
	return &executedCost{string(opt.Lowering), cost.MACs, cost.FLOPs(), cost.ActivationBytes}, nil
}

// costOf counts a clip of one network, its rows by stage or by block.
func costOf(net *afblock.Network, name, by string, convention afblock.Convention, opt afblock.CostOptions) (costColumn, error) {
	table, err := net.Cost(opt)
	if err != nil {
		return costColumn{}, err
	}
	total := table.Total()
	column := costColumn{
		Name: name, Params: table.Params(), count: total.Count(convention),
		MACs: total.MACs, FLOPs: total.Count(afblock.CountFLOPs), Authors: total.Authors,
		Bytes: 4 * int64(total.Activations),
	}
	for _, item := range table.Items {
		key := item.Stage
		if by == "block" && item.Block != "" {
			key = item.Block
		}
		i := slices.IndexFunc(column.Rows, func(r costRow) bool { return r.Name == key })
		if i < 0 {
			i = len(column.Rows)
			column.Rows = append(column.Rows, costRow{Name: key})
		}
		row := &column.Rows[i]
		row.MACs += item.Ops.MACs
		row.FLOPs += item.Ops.Count(afblock.CountFLOPs)
		row.Authors += item.Ops.Authors
		row.Params += item.Params
		row.Bytes += 4 * int64(item.Ops.Activations)
		row.count += item.Ops.Count(convention)
	}
	return column, nil
}

// operators counts a model as it stands, by operator: one clip where the
// network is known, else one run.
func (e *estimate) operators(r *flopsReport, m *graph.Model, net *afblock.Network) error {
	if err := passes.Canonicalize(m); err != nil {
		return passFailed(err)
	}
	var opt op.CostOptions
	if net != nil {
		if err := codegen.FixClip(m, net); err != nil {
			return err
		}
	}
	if report := op.Infer(m); !report.OK() {
		return &graph.Error{File: e.path, Reason: report.String()}
	}
	if net != nil && net.FocalBlocks() > 0 {
		opt = codegen.AllSelected(m, net)
		r.Note = "every block selects every frame"
	}
	sums := map[string]*operatorCost{}
	for n := range m.Graph.Nodes() {
		cost, err := op.NodeCost(n, opt)
		if err != nil {
			return &graph.Error{File: e.path, Reason: err.Error() + " (give --input-shapes if an input is open)"}
		}
		s := sums[n.OpType]
		if s == nil {
			s = &operatorCost{Operator: n.OpType}
			sums[n.OpType] = s
		}
		s.add(cost)
	}
	total := operatorCost{Operator: "total"}
	for _, op := range slices.SortedFunc(maps.Values(sums), func(x, y *operatorCost) int {
		return cmp.Or(cmp.Compare(y.MACs, x.MACs), cmp.Compare(y.FLOPs, x.FLOPs), cmp.Compare(x.Operator, y.Operator))
	}) {
		r.Operators = append(r.Operators, *op)
		total.Nodes += op.Nodes
	}
	all, err := op.GraphCost(m.Graph, opt) // shared weights count once
	if err != nil {
		return &graph.Error{File: e.path, Reason: err.Error()}
	}
	nodes := total.Nodes
	total.add(all)
	total.Nodes = nodes
	r.Total = &total
	return nil
}

func (o *operatorCost) add(c op.Cost) {
	o.Nodes++
	o.MACs += c.MACs
	o.FLOPs += c.FLOPs()
	o.Params += c.Params
	o.ActivationBytes += c.ActivationBytes
}

// share prints the share of a source that a column costs.
func share(column, source costColumn) string {
	if source.count == 0 {
		return ""
	}
	return fmt.Sprintf("%.3f", column.count/source.count)
}
