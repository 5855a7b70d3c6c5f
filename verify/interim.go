package verify

import (
	"encoding/json"
	"slices"

	"github.com/afc-project/afc/verify/ort"
)

// interim is a report under way, which a guarded child keeps with its parent.
// The row of the check under way says that it failed, those after it that they
// were not reached.
type interim struct {
	Running int     `json:"running"` // the check under way
	Report  *Report `json:"report"`
}

// keepInterim says what was found before the check that runs now, of those
// chosen.
func keepInterim(r *Report, chosen []check) {
	if !ort.Guarded() {
		return
	}
	now := *r
	now.Checks = slices.Clone(r.Checks)
	for i, c := range chosen[len(r.Checks):] {
		row := Check{Name: c.name, Title: c.title, Status: Skip, Where: "not reached"}
		if i == 0 {
			row.Status = Fail
		}
		now.Checks = append(now.Checks, row)
	}
	if text, err := json.Marshal(interim{len(r.Checks), &now}); err == nil {
		ort.Keep(text)
	}
}

// Interim returns what the checks of a child had found before it died, the one
// under way failed; nil if there were none.
func Interim(crash *ort.CrashError) *Report {
	var found interim
	if json.Unmarshal(crash.Kept, &found) != nil || found.Report == nil || found.Running >= len(found.Report.Checks) {
		return nil
	}
	found.Report.Checks[found.Running].Where = crash.Error()
	return found.Report
}
