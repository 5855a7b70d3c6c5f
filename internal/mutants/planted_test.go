package mutants

import (
	"strings"
	"testing"
)

// edit replaces a piece of a source file, which must be there once.
type edit struct{ file, from, to string }

// planted are faults of the compiler that all lowerings share, so that no
// lowering held to another shows them. Row is the check that finds each.
var planted = []struct {
	name, row string
	edits     []edit
}{
	{"padding not counted in average pools", "", []edit{
		{"codegen/ops.go", `graph.Int("count_include_pad", 1)`, `graph.Int("count_include_pad", 0)`}}},
	{"no ReLU behind the stem", "", []edit{
		{"codegen/lower.go", `return b.layers(x, stem.Layers(), stem.Conv.Key)`, `return b.maxPool(b.conv(x, convOf(&stem.Conv)), *stem.Pool, "maxpool")`}}},
	{"no ReLU in navigation", "", []edit{
		{"codegen/navigation.go", `n.relu(n.conv(pooled, convOf(&nav.Look)), names.Relu(nav.Key))`, `n.conv(pooled, convOf(&nav.Look))`}}},
	{"ReLU behind every block", "", []edit{
		{"codegen/block.go", `b.act(sum, blk.Act, blk.Key)`, `b.act(sum, afblock.ReLU, blk.Key)`}}},
	{"gates exchanged", "", []edit{
		{"codegen/gate.go", `in(g, a.v)`, `in(rest, a.v)`},
		{"codegen/gate.go", `in(rest, f.v)`, `in(g, f.v)`},
		{"codegen/lowgate.go", `g := b.sigmoid(b.convWith(z, last, kernel), hint("gate"))`, `g := b.sigmoid(b.convWith(z, last, b.node("Neg", "swapped", in(kernel))), hint("gate"))`}}},
	{"residual path not shifted", "", []edit{
		{"codegen/block.go", `return s, s`, `return s, x`}}},
	{"a single frame keeps shifted channels", "", []edit{
		{"codegen/shift.go", `for c := 2 * fold; c < x.c; c++ {`, `for c := 0; c < x.c; c++ {`}}},
	{"the answer for skipped frames ignored", "", []edit{
		{"codegen/lower.go", `	opt.Lowering = choice.Lowering
`, `	opt.Lowering = choice.Lowering
	other := *net
	other.Unselected = afblock.UnselectedBias
	net = &other
`}}},
	{"another rounding where sizes do not divide", "", []edit{
		{"codegen/ops.go", `graph.Str("nearest_mode", "floor")`, `graph.Str("nearest_mode", "round_prefer_ceil")`}}},
	{"the output masks in reverse order", "masks[", []edit{
		{"codegen/navigation.go", `parts[i] = n.reshape(s.mask`, `parts[len(parts)-1-i] = n.reshape(s.mask`}}},
	{"the ample branch takes the last channels", "source", []edit{
		{"afblock/rewrite_block.go", `parts = append(parts, r.rows(c.Weight, o*c.In()*k2, in*k2))`, `parts = append(parts, r.rows(c.Weight, (c.Out()-out+o)*c.In()*k2, in*k2))`}}},
	{"a mean over one frame too many", "", []edit{
		{"afblock/shell.go", `1/float32(frames)`, `1/float32(frames+1)`}}},
}

// TestPlanted: without a fault the trial finds nothing; each fault it finds.
func TestPlanted(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the compiler again for each fault")
	}
	if o := try(t, nil); !o.built || o.found() {
		t.Fatalf("without a fault: built %v, exit %d: %s", o.built, o.code, o.said)
	}
	for _, fault := range planted {
		t.Run(fault.name, func(t *testing.T) {
			files := map[string]string{}
			for _, e := range fault.edits {
				text, edited := files[e.file]
				if !edited {
					text = source(t, e.file)
				}
				if strings.Count(text, e.from) != 1 {
					t.Fatalf("%s has %q %d times, want once: the fault no longer fits", e.file, e.from, strings.Count(text, e.from))
				}
				files[e.file] = strings.Replace(text, e.from, e.to, 1)
			}
			o := try(t, files)
			switch {
			case !o.built:
				t.Fatalf("does not compile: %s", o.said)
			case o.code != 1:
				t.Errorf("exit %d, want 1: %s", o.code, o.said)
			case !strings.Contains(o.said, fault.row):
				t.Errorf("found as %q, want row %s", o.said, fault.row)
			}
			t.Log(o.said)
		})
	}
}
