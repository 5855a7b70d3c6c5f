package train

import (
	"math"

	"github.com/afc-project/afc/graph"
)

// Schedules are functions of progress, the part of all epochs that is done; the
// authors' are of 55 epochs.
const authorsEpochs = 55

// temperature is τ of the Gumbel-softmax: from 1 to 0.01 exponentially, until
// epoch 50 of 55.
func temperature(progress float64) float64 {
	return math.Pow(0.01, min(1, progress*authorsEpochs/50))
}

// targetRatio is R_T: 1 until epoch 10 of 55, then down in thirds until epoch 20.
func targetRatio(progress, ratio float64) float64 {
	thirds := min(3, max(0, math.Floor((progress*authorsEpochs-10)/10*2)+1))
	return 1 - (1-ratio)*thirds/3
}

// warmUp is how many steps the learning rate of Cosine grows for.
const warmUp = 20

// rate is the learning rate of a step, counted from 0, of some.
func (d Decay) rate(base float64, step, steps int) float64 {
	progress := float64(step) / float64(steps)
	if d == Cosine {
		grown := min(1, float64(step+1)/warmUp)
		return base * grown * (1 + math.Cos(math.Pi*progress)) / 2
	}
	for _, milestone := range []float64{25, 45} {
		if progress*authorsEpochs >= milestone {
			base *= 0.1
		}
	}
	return base
}

// corrections are 1 − β₁ᵗ and 1 − β₂ᵗ of AdamW's step t, from 1 on.
func corrections(t int) *graph.Tensor {
	return graph.Float32s([]int64{2}, float32(1-math.Pow(beta1, float64(t))), float32(1-math.Pow(beta2, float64(t))))
}
