package verify

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/internal/table"
	"github.com/afc-project/afc/internal/terminal"
	"github.com/afc-project/afc/verify/ort"
)

// Status is the outcome of a check.
type Status string

// The outcomes. Info rows are measurements without a limit.
const (
	Pass Status = "pass"
	Fail Status = "FAIL"
	Skip Status = "skip"
	Info Status = "info"
)

// Check is a row of the report.
type Check struct {
	Name   string `json:"name"` // short, stable: what --only and scripts use
	Title  string `json:"title"`
	Status Status `json:"status"`
	Figure string `json:"figure,omitempty"` // what was measured
	Limit  string `json:"limit,omitempty"`  // what it is held to
	Where  string `json:"where,omitempty"`  // where the worst error is, or why the check was skipped

	size float64 // of the worst error, to find the worst of several
}

// ModelInfo describes a model of the report.
type ModelInfo struct {
	Role     string `json:"role"` // "model", "source", "a", "b"
	Path     string `json:"path"`
	Nodes    int    `json:"nodes"` // with those of subgraphs
	Opset    int64  `json:"opset"`
	Lowering string `json:"lowering,omitempty"`

	Accuracy *Accuracy `json:"accuracy,omitempty"` // where the clips have labels
}

// Masks is which frames the model computed on the report's clips.
type Masks struct {
	Blocks []string `json:"blocks"`
	Frames int      `json:"frames"`
	// Chosen is [clip][block][frame], 1 where the focal branch computed.
	Chosen [][][]uint8 `json:"-"`
	// Margin is the smallest |logit 1 − logit 0| of any frame, Scale the
	// largest; 0 where the model does not show them.
	Margin float64 `json:"margin"`
	Scale  float64 `json:"scale"`
}

// MarshalJSON writes Chosen as lists of numbers, where encoding/json would write
// text of each block's bytes.
func (m *Masks) MarshalJSON() ([]byte, error) {
	type fields Masks
	chosen := make([][][]int, len(m.Chosen))
	for c, clip := range m.Chosen {
		chosen[c] = make([][]int, len(clip))
		for b, block := range clip {
			chosen[c][b] = make([]int, len(block))
			for f, bit := range block {
				chosen[c][b][f] = int(bit)
			}
		}
	}
	return json.Marshal(struct {
		*fields
		Chosen [][][]int `json:"chosen"`
	}{(*fields)(m), chosen})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (m *Masks) UnmarshalJSON(raw []byte) error {
	type fields Masks
	in := struct {
		*fields
		Chosen [][][]int `json:"chosen"`
	}{fields: (*fields)(m)}
	if err := json.Unmarshal(raw, &in); err != nil {
		return err
	}
	m.Chosen = make([][][]uint8, len(in.Chosen))
	for c, clip := range in.Chosen {
		m.Chosen[c] = make([][]uint8, len(clip))
		for b, block := range clip {
			m.Chosen[c][b] = make([]uint8, len(block))
			for f, bit := range block {
				m.Chosen[c][b][f] = uint8(bit & 1)
			}
		}
	}
	return nil
}

// Ratio is the part of frames computed, over all blocks and clips.
func (m *Masks) Ratio() float64 {
	var on, all float64
	for _, clip := range m.Chosen {
		for _, block := range clip {
			for _, bit := range block {
				on += float64(bit)
				all++
			}
		}
	}
	if all == 0 {
		return 0
	}
	return on / all
}

// BlockRatios is the part of frames that each block computed.
func (m *Masks) BlockRatios() []float64 {
	ratios := make([]float64, len(m.Blocks))
	for _, clip := range m.Chosen {
		for b, block := range clip {
			for _, bit := range block {
				ratios[b] += float64(bit) / float64(len(m.Chosen)*len(block))
			}
		}
	}
	return ratios
}

// Latency is what a race measured of one model, in milliseconds a run.
type Latency struct {
	Model      string  `json:"model"`
	Clips      int64   `json:"clips"` // a run
	Runs       int     `json:"runs"`
	First      float64 `json:"first_ms"`
	P50        float64 `json:"p50_ms"`
	P90        float64 `json:"p90_ms"`
	P99        float64 `json:"p99_ms"`
	Throughput float64 `json:"clips_per_second"`
	// Ratio is the median over rounds of the time divided by the source's; 0
	// without a source.
	Ratio float64 `json:"ratio_to_source,omitempty"`
	// MACs are the multiply–accumulates that the traced run executed, those of
	// changes of layout that are written as convolutions included.
	MACs int64 `json:"executed_macs,omitempty"`
	// MACRatio is a clip's multiply–accumulates divided by the source's; 0
	// without a source.
	MACRatio float64 `json:"mac_ratio_to_source,omitempty"`
	// Activations is the most memory, in bytes, that the runtime had in use on
	// the CPU for activations, Resident what a process that loads and runs the
	// model had resident; both at their peaks, 0 where it is not told.
	Activations int64       `json:"peak_activation_bytes,omitempty"`
	Resident    int64       `json:"peak_resident_bytes,omitempty"`
	Samples     []float64   `json:"samples_ms"`
	Ops         []ort.Tally `json:"operators"` // of the profiled run, longest first
	Stages      []ort.Tally `json:"stages"`
}

func latencyOf(t ort.Timing) Latency {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	l := Latency{
		Model: t.Name, Clips: t.Clips, Runs: len(t.Runs), First: ms(t.First),
		P50: ms(t.Median()), P90: ms(t.Percentile(90)), P99: ms(t.Percentile(99)), Throughput: t.Throughput(),
	}
	for _, r := range t.Runs {
		l.Samples = append(l.Samples, ms(r))
	}
	return l
}

// Report is what verification found.
type Report struct {
	Program   string       `json:"program"` // afc and its version, set by the caller
	Runtime   string       `json:"onnxruntime"`
	Machine   string       `json:"machine"`
	Provider  string       `json:"provider"`
	Inputs    string       `json:"inputs"` // what the models were run on
	Models    []ModelInfo  `json:"models"`
	Checks    []Check      `json:"checks"`
	Masks     *Masks       `json:"masks,omitempty"`
	Errors    []Difference `json:"errors,omitempty"` // of every comparison, for charts
	Latency   []Latency    `json:"latency,omitempty"`
	Agreement *Agreement   `json:"agreement,omitempty"`
	Cost      *Cost        `json:"cost,omitempty"`      // set by the caller, who knows the network
	Placement []ort.Tally  `json:"placement,omitempty"` // nodes by provider
	Fallbacks []ort.Tally  `json:"fallbacks,omitempty"` // operators that ran elsewhere than on the provider

	Recording *Recording `json:"-"` // where Record was asked for
}

// Cost is what a clip takes, in 10⁹ multiply–accumulates.
type Cost struct {
	GMACs float64 `json:"gmacs"` // that run, at the frames selected here
	// Source is what the source takes, 0 where it is not known.
	Source float64 `json:"source_gmacs,omitempty"`
}

// Summary are the answers that a reader looks for first: what a clip costs, how
// long it takes, and how often the answer is the source's.
func (r *Report) Summary() []string {
	var out []string
	if c := r.Cost; c != nil {
		text := fmt.Sprintf("%.3g GMACs a clip", c.GMACs)
		if c.Source > 0 {
			text += fmt.Sprintf(", %.2f of the source's", c.GMACs/c.Source)
		}
		out = append(out, text)
	}
	if len(r.Latency) > 0 {
		l := r.Latency[0]
		text := fmt.Sprintf("%.3g ms a clip", l.P50/float64(max(l.Clips, 1)))
		if l.Ratio > 0 {
			text += fmt.Sprintf(", %.2f of the source's", l.Ratio)
		}
		out = append(out, text)
	}
	if a := r.Agreement; a != nil {
		out = append(out, fmt.Sprintf("answers as the source on %.1f %% of %d clips", 100*a.Top1, a.Clips))
	}
	return out
}

// newReport starts a report with what is known of the machine.
func newReport(p ort.Provider) *Report {
	r := &Report{Provider: p.String(), Machine: fmt.Sprintf("%s/%s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())}
	if v, err := ort.Version(); err == nil {
		r.Runtime = v
	}
	return r
}

// Failed reports whether any check failed.
func (r *Report) Failed() bool {
	return slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Status == Fail })
}

// Count returns how many checks ended in a status.
func (r *Report) Count(s Status) int {
	n := 0
	for _, c := range r.Checks {
		if c.Status == s {
			n++
		}
	}
	return n
}

// WriteJSON writes the report as indented JSON.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the report as tables for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	b := terminal.Text{Width: terminal.Columns(w)}
	r.factsTable(&b)
	b.WriteString("\n")
	r.checksTable(&b)
	if slices.ContainsFunc(r.Models, func(m ModelInfo) bool { return m.Role == "b" }) && len(r.Errors) > 0 {
		b.WriteString("\n")
		r.statisticsTable(&b)
	}
	if r.Masks != nil {
		b.WriteString("\n")
		r.masksTable(&b)
	}
	if len(r.Latency) > 0 {
		b.WriteString("\n")
		r.latencyTable(&b)
	}
	for _, m := range r.Models {
		if m.Accuracy != nil {
			terminal.Sayf(&b, "\n%s: top-1 %.2f %%, top-5 %.2f %% of the labels\n", m.Role, 100*m.Accuracy.Top1, 100*m.Accuracy.Top5)
		}
	}
	if len(r.Placement) > 0 {
		terminal.Sayf(&b, "\nnodes ran on %s\n", tallyText(r.Placement))
	}
	if len(r.Fallbacks) > 0 {
		terminal.Sayf(&b, "not on provider %s: %s\n", r.Provider, tallyText(r.Fallbacks))
	}
	b.WriteString("\n")
	for _, text := range r.Summary() {
		fmt.Fprintf(&b, "%s\n", text)
	}
	terminal.Sayf(&b, "%s\n", r.Verdict())
	_, err := io.WriteString(w, b.String())
	return err
}

// factsTable says what ran on what.
func (r *Report) factsTable(w io.Writer) {
	t := table.List(2)
	for _, m := range r.Models {
		lowering := ""
		if m.Lowering != "" {
			lowering = ", lowering " + m.Lowering
		}
		t.AddSafe(m.Role, fmt.Sprintf("%s (%d nodes, opset %d%s)", terminal.Message(m.Path), m.Nodes, m.Opset, terminal.Line(lowering)))
	}
	t.AddSafe("runtime", fmt.Sprintf("ONNX Runtime %s, provider %s, %s", r.Runtime, r.Provider, r.Machine))
	t.AddSafe("inputs", terminal.Message(r.Inputs))
	t.Write(w, "")
}

// checksTable aligns outcome and title alone: figures and reasons differ too
// much in length.
func (r *Report) checksTable(w io.Writer) {
	t := table.List(3)
	for _, c := range r.Checks {
		found := []string{c.Figure, "", c.Where}
		if c.Limit != "" {
			found[1] = "(limit " + c.Limit + ")"
		}
		found = slices.DeleteFunc(found, func(s string) bool { return s == "" })
		for i, text := range found {
			found[i] = terminal.Message(text)
		}
		t.AddSafe(string(c.Status), terminal.Line(c.Title), strings.Join(found, "  "))
	}
	t.Write(w, "")
}

// statisticsTable says of each output of two models how values and errors are
// spread.
func (r *Report) statisticsTable(w io.Writer) {
	t := table.New("output", "mean", "std", "min", "median", "p90", "p99", "max")
	row := func(name string, s Spread) {
		cells := []string{name}
		for _, v := range []float64{s.Mean, s.Std, s.Min, s.Median, s.P90, s.P99, s.Max} {
			cells = append(cells, fmt.Sprintf("%.3g", v))
		}
		t.Add(cells...)
	}
	for _, d := range r.Errors {
		if s := d.Statistics; s != nil {
			row(d.Output+" of a", s.Want)
			row(d.Output+" of b", s.Got)
			row("  |b − a|", s.Abs)
			row("  |b − a| / |a|", s.Rel)
		}
	}
	t.Write(w, "  ")
}

// masksTable draws the first clip: a row a block, a column a frame.
func (r *Report) masksTable(w io.Writer) {
	m := r.Masks
	margin := ""
	if m.Scale > 0 {
		margin = fmt.Sprintf(", smallest navigation margin %.2e of at most %.2e", m.Margin, m.Scale)
	}
	terminal.Sayf(w, "frames computed: %.1f %% over %d clips%s\n", 100*m.Ratio(), len(m.Chosen), margin)
	if len(m.Chosen) == 0 {
		return
	}
	t := table.List(3)
	t.Align = []table.Align{table.Left, table.Left, table.Right}
	ratios := m.BlockRatios()
	for b, name := range m.Blocks {
		var row strings.Builder
		for _, bit := range m.Chosen[0][b] {
			row.WriteString([]string{"·", "█"}[bit])
		}
		t.AddSafe(terminal.Line(names.InWords(name)), row.String(), fmt.Sprintf("%.0f %%", 100*ratios[b]))
	}
	t.Write(w, "  ")
}

// ratioText is a ratio to the source, "" where there is none.
func ratioText(ratio float64) string {
	if ratio == 0 {
		return ""
	}
	return fmt.Sprintf("%.3f", ratio)
}

func (r *Report) latencyTable(w io.Writer) {
	t := table.New("latency, ms", "first", "p50", "p90", "p99", "clips/s", "÷ source", "MACs", "maps, MB", "process, MB")
	ms := func(x float64) string { return fmt.Sprintf("%.1f", x) }
	for _, l := range r.Latency {
		t.Add(l.Model, ms(l.First), ms(l.P50), ms(l.P90), ms(l.P99), fmt.Sprintf("%.2f", l.Throughput), ratioText(l.Ratio), ratioText(l.MACRatio),
			megabytes(l.Activations), megabytes(l.Resident))
	}
	t.Write(w, "  ")
}
