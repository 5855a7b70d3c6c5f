package describe

import (
	"bytes"
	"encoding/json"
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
			j, err := json.MarshalIndent(d, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			testutil.Golden(t, "describe_"+name+".json", string(j)+"\n")
		})
	}
}
