package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/afc-project/afc/verify/ort"
)

// figure is a cell, measured. Ratios are of times; those of a round are taken
// between runs that follow each other.
type figure struct {
	Of           string     `json:"of"`
	Over         string     `json:"over"`
	Size         int        `json:"size"`
	Batch        int        `json:"batch"`
	Threads      int        `json:"threads"`
	Floor        float64    `json:"mac_ratio"`
	Bar          float64    `json:"bar,omitempty"`
	Goal         float64    `json:"goal,omitempty"`
	Ratio        float64    `json:"median"`
	Low          float64    `json:"lower_quartile"`
	Up           float64    `json:"upper_quartile"`
	Minima       float64    `json:"of_minima"`
	CPU          float64    `json:"processor_time,omitempty"`
	Milliseconds [2]float64 `json:"median_ms"`
}

// report is a run on a machine.
type report struct {
	Date    string   `json:"date"`
	Machine string   `json:"machine"`
	Cores   int      `json:"cores"`
	Load    string   `json:"load_at_start"` // of the last 1, 5, 15 minutes
	Runtime string   `json:"onnxruntime"`
	Go      string   `json:"go"`
	Rounds  int      `json:"rounds"`
	Figures []figure `json:"figures"`
}

func newReport(rounds int) (*report, error) {
	version, err := ort.Version()
	if err != nil {
		return nil, err
	}
	return &report{
		Date: time.Now().UTC().Format(time.DateOnly), Machine: processor(), Cores: runtime.NumCPU(), Load: load(),
		Runtime: version, Go: runtime.Version(), Rounds: rounds,
	}, nil
}

func (r *report) json() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}

// markdown is the table. A figure without goal has only its ratio to tell.
func (r *report) markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s, %d cores, load at start %s, ONNX Runtime %s, %s, %s; medians of %d interleaved rounds, quartiles in brackets.\n\n",
		r.Machine, r.Cores, r.Load, r.Runtime, r.Go, r.Date, r.Rounds)
	b.WriteString("| time of | over | size | batch | threads | MACs | bar | goal | median | minima | processor time |\n")
	b.WriteString("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, f := range r.Figures {
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %.2f | %s | %s | %.3f [%.3f–%.3f] | %.3f | %s |\n",
			f.Of, f.Over, f.Size, f.Batch, f.Threads, f.Floor, orDash(f.Bar), orDash(f.Goal),
			f.Ratio, f.Low, f.Up, f.Minima, orDash(f.CPU))
	}
	return b.Bytes()
}

func orDash(x float64) string {
	if x == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3g", x)
}

// processor names the processor, as Linux tells it.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(info)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				return strings.TrimSpace(strings.TrimLeft(name, "\t :"))
			}
		}
	}
	return runtime.GOOS + "/" + runtime.GOARCH
}

// load is the system's load average, "unknown" where it does not tell. Ratios
// of a busy machine are rough.
func load() string {
	avg, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(avg))[:3], " ")
}
