package verify

import (
	"fmt"
	"math"
	"slices"
)

// Agreement is how alike two classifiers answer on the same clips.
type Agreement struct {
	Clips   int     `json:"clips"`
	Classes int     `json:"classes"`
	Top1    float64 `json:"top1"` // part of the clips with the same first class
	Top5    float64 `json:"top5"` // part of the clips whose reference class is among the five first
	// KL is the mean over clips of the divergence of the softmax from the
	// reference's, in nats.
	KL     float64 `json:"kl"`
	Cosine float64 `json:"cosine"` // mean over clips, of the score vectors
	Worst  int     `json:"worst"`  // clip with the largest divergence
}

// Agree compares scores [clips][classes] with the reference's. Probabilities
// says that the scores are softmax's output, not logits.
func Agree(got, reference [][]float64, probabilities bool) (Agreement, error) {
	var a Agreement
	if len(got) != len(reference) || len(got) == 0 {
		return a, fmt.Errorf("scores of %d clips against %d", len(got), len(reference))
	}
	a.Clips, a.Classes = len(got), len(reference[0])
	worst := math.Inf(-1)
	for i, r := range reference {
		g := got[i]
		if len(g) != len(r) {
			return a, fmt.Errorf("clip %d: %d classes against %d", i, len(g), len(r))
		}
		first := rank(r)[0]
		order := rank(g)
		if order[0] == first {
			a.Top1++
		}
		if slices.Contains(order[:min(5, len(order))], first) {
			a.Top5++
		}
		kl := divergence(logProbabilities(r, probabilities), logProbabilities(g, probabilities))
		if kl > worst || math.IsNaN(kl) {
			worst, a.Worst = kl, i
		}
		a.KL += kl
		var dot, gg, rr float64
		for k := range r {
			dot, gg, rr = dot+g[k]*r[k], gg+g[k]*g[k], rr+r[k]*r[k]
		}
		a.Cosine += cosine(dot, gg, rr)
	}
	n := float64(a.Clips)
	a.Top1, a.Top5, a.KL, a.Cosine = a.Top1/n, a.Top5/n, a.KL/n, a.Cosine/n
	return a, nil
}

// Accuracy is the part of the clips whose label is the first class, or among
// the five first.
type Accuracy struct {
	Top1 float64 `json:"top1"`
	Top5 float64 `json:"top5"`
}

// Score compares scores [clips][classes] with labels.
func Score(scores [][]float64, labels []int) (Accuracy, error) {
	var a Accuracy
	if len(scores) != len(labels) || len(labels) == 0 {
		return a, fmt.Errorf("scores of %d clips, %d labels", len(scores), len(labels))
	}
	for i, label := range labels {
		if label < 0 || label >= len(scores[i]) {
			return a, fmt.Errorf("clip %d: label %d, the model knows classes 0 to %d", i, label, len(scores[i])-1)
		}
		order := rank(scores[i])
		if order[0] == label {
			a.Top1++
		}
		if slices.Contains(order[:min(5, len(order))], label) {
			a.Top5++
		}
	}
	n := float64(len(labels))
	return Accuracy{a.Top1 / n, a.Top5 / n}, nil
}

// rank returns the classes, highest score first; ties go to the lower class.
func rank(scores []float64) []int {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	return order
}

// logProbabilities returns the logarithms of the softmax of scores, which may
// be probabilities already.
func logProbabilities(scores []float64, probabilities bool) []float64 {
	out := make([]float64, len(scores))
	if probabilities {
		for i, p := range scores {
			out[i] = math.Log(max(p, math.SmallestNonzeroFloat32))
		}
		return out
	}
	peak := slices.Max(scores)
	var sum float64
	for _, s := range scores {
		sum += math.Exp(s - peak)
	}
	for i, s := range scores {
		out[i] = s - peak - math.Log(sum)
	}
	return out
}

// divergence is Kullback and Leibler's, of q from p, given as logarithms.
func divergence(p, q []float64) float64 {
	var kl float64
	for i := range p {
		if w := math.Exp(p[i]); w > 0 {
			kl += w * (p[i] - q[i])
		}
	}
	return kl
}
