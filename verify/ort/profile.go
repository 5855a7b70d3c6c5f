package ort

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Profile is what a session's fastest run did, node by node, as ONNX Runtime
// traced it.
type Profile struct {
	Events []NodeEvent // in order of execution

	// PeakMemory is the most memory, in bytes, that the CPU arena had in use at
	// once: activations and scratch, not weights. 0 where the runtime does not
	// trace it.
	PeakMemory int64
}

// NodeEvent is one execution of a node of the graph as the runtime optimised
// it. A node of a branch or loop body has one event each time it runs.
type NodeEvent struct {
	Node     string // the node's name; fused and inserted nodes bear the runtime's
	Op       string
	Provider string        // "CPUExecutionProvider"
	Time     time.Duration // without the bodies it ran
	Inputs   []string      // "float[2 8 3 64 64]"
	InShapes [][]int64     // theirs
	OutShape []int64       // shape of the first output, nil if unknown
}

// MACs is the number of multiply–accumulates of a convolution or matrix product,
// by the shapes that it ran with; 0 of another node.
func (e NodeEvent) MACs() int64 {
	out := volume(e.OutShape)
	switch e.Op {
	case "Conv", "FusedConv", "NhwcFusedConv", "ConvInteger":
		return out * e.reads(1)
	case "QLinearConv":
		return out * e.reads(3)
	case "Gemm", "FusedGemm":
		if len(e.InShapes) == 0 || len(e.OutShape) == 0 || e.OutShape[0] == 0 {
			return 0
		}
		return out * volume(e.InShapes[0]) / e.OutShape[0]
	case "MatMul", "FusedMatMul":
		if len(e.InShapes) == 0 || len(e.InShapes[0]) == 0 {
			return 0
		}
		return out * e.InShapes[0][len(e.InShapes[0])-1]
	}
	return 0
}

// reads is the number of products for each output of a convolution whose kernel
// is input i.
func (e NodeEvent) reads(i int) int64 {
	if i >= len(e.InShapes) || len(e.InShapes[i]) == 0 {
		return 0
	}
	return volume(e.InShapes[i][1:])
}

func volume(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return n
}

// MACs is the number of multiply–accumulates of the traced run.
func (p *Profile) MACs() int64 {
	n := int64(0)
	for _, e := range p.Events {
		n += e.MACs()
	}
	return n
}

// traceEvent is an event of a Chrome trace (ph "X").
type traceEvent struct {
	Cat  string `json:"cat"`
	Name string `json:"name"`
	TID  int64  `json:"tid"`
	TS   int64  `json:"ts"`  // µs
	Dur  int64  `json:"dur"` // µs
	Args struct {
		Op       string               `json:"op_name"`
		Provider string               `json:"provider"`
		Inputs   []map[string][]int64 `json:"input_type_shape"`
		Outputs  []map[string][]int64 `json:"output_type_shape"`
		Peak     string               `json:"mem_in_use_peak"`
	} `json:"args"`
}

// EndProfile closes the session and returns the trace of its fastest run, whose
// file it removes. The session must have been loaded with a ProfilePrefix of its
// own.
func (s *Session) EndProfile() (*Profile, error) {
	if s.options.ProfilePrefix == "" {
		return nil, &RunError{s.Model, "profile", "the session was loaded without profiling"}
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	found, err := filepath.Glob(s.options.ProfilePrefix + "_*.json")
	if err != nil || len(found) != 1 {
		return nil, &RunError{s.Model, "profile", fmt.Sprintf("%d traces at %s_*.json, expected one", len(found), s.options.ProfilePrefix)}
	}
	defer os.Remove(found[0])
	data, err := os.ReadFile(found[0])
	if err != nil {
		return nil, err
	}
	p, err := parseProfile(data)
	if err != nil {
		return nil, &RunError{s.Model, "profile", err.Error()}
	}
	return p, nil
}

func parseProfile(data []byte) (*Profile, error) {
	var trace []traceEvent
	if err := json.Unmarshal(data, &trace); err != nil {
		return nil, fmt.Errorf("the trace is not as expected: %w", err)
	}
	var run *traceEvent // the fastest: first runs pack weights, others are interrupted
	for i, e := range trace {
		if e.Cat == "Session" && e.Name == "model_run" && (run == nil || e.Dur < run.Dur) {
			run = &trace[i]
		}
	}
	if run == nil {
		return nil, fmt.Errorf("it holds no run")
	}
	from, to := run.TS, run.TS+run.Dur
	trace = slices.DeleteFunc(trace, func(e traceEvent) bool {
		return e.TS < from || e.TS > to || e.Cat != "Node" || !strings.HasSuffix(e.Name, "_kernel_time")
	})
	slices.SortStableFunc(trace, func(a, b traceEvent) int {
		return cmp.Or(cmp.Compare(a.TS, b.TS), cmp.Compare(b.Dur, a.Dur)) // an outer event before those in it
	})
	p := &Profile{Events: make([]NodeEvent, len(trace))}
	var open []int // events around the current one
	for i, e := range trace {
		for len(open) > 0 && trace[open[len(open)-1]].TS+trace[open[len(open)-1]].Dur <= e.TS {
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			p.Events[open[len(open)-1]].Time -= time.Duration(e.Dur) * time.Microsecond
		}
		p.Events[i] = e.event()
		if hasBody(e.Args.Op) {
			open = append(open, i)
		}
		if peak, err := strconv.ParseInt(e.Args.Peak, 10, 64); err == nil {
			p.PeakMemory = max(p.PeakMemory, peak)
		}
	}
	return p, nil
}

func hasBody(op string) bool { return op == "If" || op == "Loop" || op == "Scan" }

func (e traceEvent) event() NodeEvent {
	n := NodeEvent{
		Node:     strings.TrimSuffix(e.Name, "_kernel_time"),
		Op:       e.Args.Op,
		Provider: e.Args.Provider,
		Time:     time.Duration(e.Dur) * time.Microsecond,
	}
	for _, in := range e.Args.Inputs {
		for elem, dims := range in { // always one
			n.Inputs = append(n.Inputs, fmt.Sprintf("%s%v", elem, dims))
			n.InShapes = append(n.InShapes, dims)
		}
	}
	if len(e.Args.Outputs) > 0 {
		for _, dims := range e.Args.Outputs[0] {
			n.OutShape = dims
		}
	}
	return n
}

// Tally is time and executions under one name.
type Tally struct {
	Name  string        `json:"name"`
	Nodes int           `json:"nodes"` // different nodes
	Runs  int           `json:"runs"`
	Time  time.Duration `json:"ns"`
}

// By sums the trace under the names that key gives its events, longest time
// first. Events with the key "" are left out.
func (p *Profile) By(key func(NodeEvent) string) []Tally {
	var order []string
	sums := map[string]*Tally{}
	nodes := map[[2]string]bool{}
	for _, e := range p.Events {
		k := key(e)
		if k == "" {
			continue
		}
		t := sums[k]
		if t == nil {
			t = &Tally{Name: k}
			sums[k] = t
			order = append(order, k)
		}
		t.Runs++
		t.Time += e.Time
		if id := [2]string{k, e.Node}; !nodes[id] {
			nodes[id] = true
			t.Nodes++
		}
	}
	out := make([]Tally, len(order))
	for i, k := range order {
		out[i] = *sums[k]
	}
	slices.SortStableFunc(out, func(a, b Tally) int {
		return cmp.Or(cmp.Compare(b.Time, a.Time), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// ByOp sums the trace over operators.
func (p *Profile) ByOp() []Tally { return p.By(func(e NodeEvent) string { return e.Op }) }

// ByProvider sums the trace over providers: where the nodes ran.
func (p *Profile) ByProvider() []Tally { return p.By(func(e NodeEvent) string { return e.Provider }) }
