package afblock

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCellPattern(t *testing.T) {
	draw := func(p CellPattern, grid, block int) string {
		var b strings.Builder
		for i, on := range p.Select(grid, block) {
			if i > 0 && i%grid == 0 {
				b.WriteByte('/')
			}
			b.WriteByte(".#"[map[bool]int{true: 1}[on]])
		}
		return b.String()
	}
	for _, tc := range []struct {
		spec        string
		grid, block int
		want        string
	}{
		{"all", 2, 0, "##/##"},
		{"checker", 3, 0, "#.#/.#./#.#"},
		{"checker", 3, 1, ".#./#.#/.#."},
		{"center:0.25", 4, 0, "..../.##./.##./...."},
		{"center:0.25", 4, 5, "..../.##./.##./...."},
		{"center:0", 4, 0, "..../..../..../...."},
		{"center:0.01", 3, 0, ".../.#./..."},
		{"center:1", 2, 0, "##/##"},
		{"center:0.25", 2, 0, "#./.."}, // all are as near: blocks take turns
		{"center:0.25", 2, 1, "../.#"},
		{"center:0.25", 2, 2, "../#."},
	} {
		p, err := ParseCellPattern(tc.spec)
		if err != nil {
			t.Fatal(err)
		}
		if got := draw(p, tc.grid, tc.block); got != tc.want {
			t.Errorf("%s on %d×%d, block %d: %s, want %s", tc.spec, tc.grid, tc.grid, tc.block, got, tc.want)
		}
		if p.String() != tc.spec {
			t.Errorf("%s is spelled %s", tc.spec, p)
		}
	}
	for _, bad := range []string{"", "center", "center:", "center:2", "center:-1", "center:NaN", "checkers"} {
		if _, err := ParseCellPattern(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestCellGeometry: the rows of a cell are those that nearest upsampling gives it,
// whole maps are covered, and pooling windows are PyTorch's.
func TestCellGeometry(t *testing.T) {
	for grid := 1; grid <= 9; grid++ {
		for n := grid; n < 70; n++ {
			for i := range n {
				c := CellOf(i, n, grid)
				if i < CellStart(c, n, grid) || i >= CellStart(c+1, n, grid) {
					t.Fatalf("row %d of %d is of cell %d of %d, which is [%d, %d)", i, n, c, grid, CellStart(c, n, grid), CellStart(c+1, n, grid))
				}
			}
		}
	}
	var windows [][2]int
	for i := range 3 {
		from, to := CellPool(3).Window(i, 7)
		windows = append(windows, [2]int{from, to})
	}
	if d := cmp.Diff([][2]int{{0, 3}, {2, 5}, {4, 7}}, windows); d != "" {
		t.Errorf("windows over 7 rows (-want +got)\n%s", d)
	}
}
