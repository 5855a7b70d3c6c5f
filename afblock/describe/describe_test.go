package describe

import (
	"bytes"
	"encoding/json"
	"math"
	"path/filepath"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
)

// TestDescribe holds what inspect shows of a source, as text, JSON and drawing,
// and of the AFNet made of it.
func TestDescribe(t *testing.T) {
	testutil.NoOrphans(t, "*")
	m, err := graph.ReadFile(testutil.Shared(t, "fixtures", "sources", "tsm_r50_zeros_op13.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	net, err := recognize.Network(m, recognize.Options{})
	if err != nil {
		t.Fatal(err)
	}
	af, err := afblock.Rewrite(net, afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.5}})
	if err != nil {
		t.Fatal(err)
	}
	for name, net := range map[string]*afblock.Network{"source": net, "af": af} {
		t.Run(name, func(t *testing.T) {
			d := Network(net)
			d.File = filepath.Base(d.File)
			var text bytes.Buffer
			if err := d.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			testutil.Golden(t, "describe_"+name+".txt", text.String())
			testutil.Golden(t, "describe_"+name+".dot", d.DOT())
			var drawing bytes.Buffer
			if err := d.WriteSVG(&drawing); err != nil {
				t.Fatal(err)
			}
			testutil.Golden(t, "describe_"+name+".svg", drawing.String())
			checkSums(t, d)
			j, err := json.MarshalIndent(d, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			testutil.Golden(t, "describe_"+name+".json", string(j)+"\n")
		})
	}
}

// checkSums: what is on the boxes of a drawing adds up.
func checkSums(t *testing.T, d *Description) {
	t.Helper()
	total := d.StemMACs + d.Head.MACs
	for _, s := range d.Stages {
		total += s.MACs
		if m := s.AF; m != nil {
			if sum := m.AmpleMACs + m.FocalMACs + m.FusionMACs + m.RestMACs; math.Abs(sum-s.MACs) > 1e-9*s.MACs || min(m.AmpleMACs, m.FocalMACs, m.FusionMACs, m.RestMACs) <= 0 {
				t.Errorf("%s: parts of %g, the stage costs %g", s.Name, sum, s.MACs)
			}
		}
	}
	if math.Abs(total-d.MACs) > 1e-9*d.MACs {
		t.Errorf("parts of %g, the network costs %g", total, d.MACs)
	}
}
