package weights

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/internal/aftest"
	"github.com/afc-project/afc/internal/testutil"
)

func readSpatial(t *testing.T) *checkpoint.StateDict {
	t.Helper()
	sd, err := checkpoint.Read(testutil.Shared(t, "fixtures", "spatial", "afr50_tsm_spatial_t4.pth.tar"))
	if err != nil {
		t.Fatal(err)
	}
	return sd
}

// TestCellsRoundTrip: trained cells go out as they came in, by way of keys and by
// way of the structure that a file carries.
func TestCellsRoundTrip(t *testing.T) {
	in := readSpatial(t)
	net, err := FromStateDict(in, Options{ShiftDiv: 8, Size: afblock.Size{112, 112}, Grid: []int{4, 2, 2}})
	if err != nil {
		t.Fatal(err)
	}
	testutil.Golden(t, "structure/afr50_tsm_spatial_t4.txt", aftest.Structure(net))
	out, err := Export(net)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(in.Names(), out.Names()); d != "" {
		t.Fatalf("names (-want +got)\n%s", d)
	}
	for _, name := range in.Names() {
		a, errA := in.Tensor(name).Bytes()
		b, errB := out.Tensor(name).Bytes()
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s changed on its way (%v, %v)", name, errA, errB)
		}
	}
	again, err := FromStateDict(out, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(aftest.Structure(net), aftest.Structure(again)); d != "" {
		t.Errorf("by its structure (-want +got)\n%s", d)
	}
	if !strings.Contains(out.Skeleton, `"format":3`) {
		t.Error("a reader that knows no cells would take the structure for one without")
	}
}

// TestCellsRefused: what the tensors do not tell must be told, and fit.
func TestCellsRefused(t *testing.T) {
	for _, tc := range []struct {
		grid  []int
		size  afblock.Size
		wants string
	}{
		{nil, afblock.Size{112, 112}, "--spatial"},
		{[]int{4, 2}, afblock.Size{112, 112}, "2 grids of cells for 3 modules"},
		{[]int{4, 2, 65}, afblock.Size{112, 112}, "65 cells a side"},
		{[]int{4, 2, 5}, afblock.Size{112, 112}, "layer3.list_gen.1: a grid of 5×5 cells on maps of 4×4"},
	} {
		_, err := FromStateDict(readSpatial(t), Options{ShiftDiv: 8, Size: tc.size, Grid: tc.grid})
		if err == nil || !strings.Contains(err.Error(), tc.wants) {
			t.Errorf("grids %v: %v, want an error about %q", tc.grid, err, tc.wants)
		}
	}
}

// TestFixedCellsRoundTrip: cells that are the same in all frames have no tensors,
// and are told by the structure.
func TestFixedCellsRoundTrip(t *testing.T) {
	af, err := afblock.Rewrite(aftest.Plains[0].Network(), afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.5}})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := Export(af)
	if err != nil {
		t.Fatal(err)
	}
	af, err = af.FixCells([]int{2}, afblock.CellPattern{Kind: "checker"})
	if err != nil {
		t.Fatal(err)
	}
	out, err := Export(af)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(whole.Names(), out.Names()); d != "" {
		t.Errorf("fixed cells have tensors (-want +got)\n%s", d)
	}
	again, err := FromStateDict(out, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range again.Navigation() {
		if d := cmp.Diff(af.Navigation()[i].Cells, n.Cells); d != "" {
			t.Errorf("cells of block %d (-want +got)\n%s", i, d)
		}
	}
}
