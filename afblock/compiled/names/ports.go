package names

// Inputs and outputs that a compiled model may have beside its source's.
const (
	Masks   = "masks"        // output: the selection, float32 0/1 [N, blocks, T]
	MasksIn = "masks_in"     // input of that form, in place of navigation
	Dropped = "dropped"      // output: frames selected beyond a budget, float32 [N, blocks]
	Noise   = "gumbel_noise" // input: noise on the logits, float32 [N, blocks, T, 2]
)
