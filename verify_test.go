package afc

import (
	"testing"

	"github.com/afc-project/afc/verify"
)

// TestRequire: a check that must pass fails where it was skipped, and alone then.
func TestRequire(t *testing.T) {
	report := func() *verify.Report {
		return &verify.Report{Checks: []verify.Check{{Name: "seal", Status: verify.Skip, Where: "no seal"}, {Name: "load", Status: verify.Pass}}}
	}
	r := report()
	if err := require(r, []string{"seal", "load"}); err != nil || !r.Failed() || r.Checks[1].Status != verify.Pass {
		t.Errorf("%v, %+v", err, r.Checks)
	}
	r = report()
	if err := require(r, nil); err != nil || r.Failed() {
		t.Errorf("nothing required: %v, %+v", err, r.Checks)
	}
	if err := require(report(), []string{"latency"}); err == nil {
		t.Error("a check that did not run is not missed")
	}
}
