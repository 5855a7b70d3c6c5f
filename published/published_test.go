package published

import "testing"

// TestRows: figures lie where those of recognition can.
func TestRows(t *testing.T) {
	for _, name := range Names() {
		d, err := Of(name)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, r := range d.Rows {
			if r.Score < 10 || r.Score > 90 || r.GFLOPs < 1 || r.GFLOPs > 70 || seen[r.Method] {
				t.Errorf("%s: %+v", name, r)
			}
			seen[r.Method] = true
		}
		if !seen["AR-Net"] && name != "sthv2" || d.Source == "" {
			t.Errorf("%s: %d rows of %q", name, len(d.Rows), d.Source)
		}
	}
	if _, err := Of("imagenet"); err == nil {
		t.Error("figures of an unknown data set")
	}
}
