package names

import "fmt"

// Inputs and outputs that a compiled model may have beside its source's.
const (
	Masks   = "masks"        // output: the selection, float32 0/1 [N, blocks, T]
	MasksIn = "masks_in"     // input of that form, in place of navigation
	Dropped = "dropped"      // output: frames selected beyond a budget, float32 [N, blocks]
	Noise   = "gumbel_noise" // input: noise on the logits, float32 [N, blocks, T, 2]
	Margin  = "margin"       // input: the dial, added to every logit of selecting a frame, float32 [], 0 unless given
)

// Cells is the output that shows what the i-th focal block chooses inside the
// frames: of those selected, float32 0/1 [N, T, g, g].
func Cells(i int) string { return fmt.Sprintf("cells_%d", i) }

// CellsIn is the input of that form, in place of what navigation chooses.
func CellsIn(i int) string { return fmt.Sprintf("cells_in_%d", i) }
