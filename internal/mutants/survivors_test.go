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
}
