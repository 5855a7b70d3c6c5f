package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/internal/table"
	"github.com/afc-project/afc/internal/terminal"
	"github.com/afc-project/afc/passes"
)

// schema is the version of what --json prints (docs/JSON.md). It grows when a
// field changes its meaning or goes; new fields may come at any time.
const schema = 1

// writeJSON prints a report with the version of its form.
func (a *app) writeJSON(v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	body, ok := bytes.CutPrefix(raw, []byte("{\n"))
	if !ok {
		panic("BUG: a report that is no JSON object")
	}
	_, err = fmt.Fprintf(a.stdout, "{\n  \"schema\": %d,\n%s\n", schema, body)
	return err
}

// failure is what --json prints of an error, besides the message on standard
// error.
type failure struct {
	Error failureFacts `json:"error"`
}

type failureFacts struct {
	Message string `json:"message"`
	Code    int    `json:"exit_code"`
}

// printRewrite writes the report for people: what was done, what was not and why, and
// the model before and after.
func printRewrite(w io.Writer, r *afc.RewriteReport) error {
	for _, n := range r.Notes {
		terminal.Sayf(w, "note: %s\n", terminal.Message(n))
	}
	t := table.New("", "after")
	cells := func(name, before, after string) { t.Add(name, after) }
	if r.Before != nil {
		t = table.New("", "before", "after")
		cells = func(name, before, after string) { t.Add(name, before, after) }
	}
	var before passes.Stats
	if r.Before != nil {
		before = *r.Before
	}
	for _, op := range operators(before, r.After) {
		cells(op, count(before.Count(op)), count(r.After.Count(op)))
	}
	t.Rule()
	cells("nodes", count(before.Nodes), count(r.After.Nodes))
	cells("parameters", countText(before.Parameters), countText(r.After.Parameters))
	cells("constants", bytesText(before.Bytes), bytesText(r.After.Bytes))
	if err := t.Write(w, "  "); err != nil {
		return err
	}
	what := ""
	if n := r.Network; n != nil {
		what = fmt.Sprintf("%s of %d frames, lowering %s (%s), ", kindOf(n), n.Frames, n.Lowering, n.Reason)
	}
	where := ""
	if r.Data != "" {
		where = " and its weights in " + r.Data
	}
	err := terminal.Sayf(w, "%s: %s%s%s, in %.2f s\n", r.Output, what, bytesText(r.Size), where, r.Elapsed.Seconds())
	return err
}

// operators lists what occurs before or after, by name.
func operators(stats ...passes.Stats) []string {
	seen := map[string]bool{}
	for _, s := range stats {
		for _, o := range s.Operators {
			seen[o.Op] = true
		}
	}
	return slices.SortedFunc(maps.Keys(seen), cmp.Compare[string])
}

// count prints a number of nodes, nothing for none.
func count(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// kindOf says what a network is.
func kindOf(n *afc.NetworkFacts) string {
	if n.Schedule != "" {
		return "network without ample branches (no AFNet), frames " + n.Schedule + ","
	}
	return "AFNet"
}
