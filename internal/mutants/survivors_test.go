package mutants

// survivors are edits that nothing finds, with the reason; docs/VERIFY.md tells
// of them.
var survivors = map[string]string{
	"codegen/shift_select.go: return l.opt.takes(ShiftSelect) && s != nil && !s.Residual && s.Fold > 0 && l.net.Frames > 1 && ⇒ return l.opt.takes(ShiftSelect) && s == nil && !s.Residual && s.Fold > 0 && l.net.Frames > 1 &&": "decides in which of two ways a shift is written, both right",
	"codegen/splitstream.go: case c == nil: ⇒ case c != nil:":                                                                                        "refuses grouped convolutions of a plain network, of which none is recognised",
	"codegen/branch_chains.go: n := 0 ⇒ n := 1":                                                                                                      "decides how many subgraphs a module is cut into, not what they make",
	"codegen/interleave.go: x = l.block(x, blk, 1) ⇒ x = l.block(x, blk, 2)":                                                                         "blocks that are interleaved have no shift, so nobody asks for the frames",
	"codegen/strategy.go: if l.net.Size[0] <= 0 || l.net.Size[1] <= 0 { ⇒ if l.net.Size[0] <= 0 || l.net.Size[1] <= 1 {":                             "refuses frames one pixel wide, which no trunk takes",
	"codegen/shift_select.go: zeros := make([]float32, dims[0]*dims[1]*dims[2]*dims[3]) ⇒ zeros := make([]float32, dims[0]*dims[1]/dims[2]*dims[3])": "kernels of one pixel: their size divides as it multiplies",
	"codegen/tiles.go: return tiles * float64(t.grid*t.grid) / whole ⇒ return tiles * float64(t.grid*t.grid) * whole":                                "decides whether cells are computed as tiles or with whole frames, both right",
	"codegen/tiles.go: if l.Stride != 1 || l.Kernel() != 2*l.Pad+1 { ⇒ if l.Stride != 1 || l.Kernel() != 3*l.Pad+1 {":                                "the same",
	"codegen/block.go: if !split || !splits(blk) { ⇒ if !split && !splits(blk) {":                                                                    "decides whether a block without shift goes on a split stream; with shift no block is of a kind that does not split",
	"codegen/topk.go: if len(budget) > 1 { ⇒ if len(budget) > 2 {":                                                                                   "the words of a refusal",
	"codegen/topk.go: if err := l.checkSized(); err != nil { ⇒ if err := l.checkSized(); err == nil {":                                               "refuses what cannot be written: TestBudgetRefused",
	"codegen/lower.go: case blocks == 0 && (opt.MasksOutput || opt.MasksInput || opt.Sampling == compiled.Gumbel || opt.Dial): ⇒ case blocks == 0 && (opt.MasksOutput && opt.MasksInput || opt.Sampling == compiled.Gumbel || opt.Dial):": "refuses options that a network without AF modules has no use for",
	"codegen/reshift.go: n.SetInput(0, parts[1].v) ⇒ n.SetInput(1, parts[1].v)": "the channels that stay are read off the shifted map, where they are the same",
	"codegen/interleave.go: if !l.opt.takes(Interleave) || !size.Known() || l.net.Frames == 1 || len(blocks) == 0 { ⇒ if !l.opt.takes(Interleave) || !size.Known() && l.net.Frames == 1 || len(blocks) == 0 {":           "lets one frame, and frames of any size, share a map: slower, the same answer",
	"codegen/interleave.go: case i > 0 && strides(blk), i == 0 && blk.Shift != nil && strides(blk) && blk.Stride() == 1: ⇒ case i > 0 && strides(blk), i == 0 && blk.Shift != nil && strides(blk) && blk.Stride() != 1:": "decides whether frames share maps; blocks of which one path alone makes maps smaller no trunk has",
	"codegen/branch_unroll.go: if s.AF == nil || !l.unrolls(s.AF, sizes[i]) { ⇒ if s.AF != nil || !l.unrolls(s.AF, sizes[i]) {":                                                                                          "decides whether frames are written out or scanned, both right",
	"codegen/branch_unroll.go: return s == nil || !s.Residual && s.Fold > 0 && 2*s.Fold <= blk.In()/groups ⇒ return s == nil || !s.Residual && s.Fold > 1 && 2*s.Fold <= blk.In()/groups":                                "the same",
	"codegen/branch_unroll.go: return s == nil || !s.Residual && s.Fold > 0 && 2*s.Fold <= blk.In()/groups ⇒ return s == nil || !s.Residual && s.Fold >= 0 && 2*s.Fold <= blk.In()/groups":                               "the same: a shift of no channels is none",
	"codegen/branch_unroll.go: return s == nil || !s.Residual && s.Fold > 0 && 2*s.Fold <= blk.In()/groups ⇒ return s == nil && !s.Residual && s.Fold > 0 && 2*s.Fold <= blk.In()/groups":                                "the same",
	"codegen/branch_unroll.go: if n+1 < len(m.Focal) { ⇒ if n+2 < len(m.Focal) {":                                                                                                                                        "decides where a map is cut into pieces, not what they hold",
}
