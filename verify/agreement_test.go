package verify

import (
	"math"
	"testing"
)

func TestAgree(t *testing.T) {
	ref := [][]float64{{0, 1, 2, 3, 4, 5, 6}, {6, 5, 4, 3, 2, 1, 0}}
	same, err := Agree(ref, ref, false)
	if err != nil {
		t.Fatal(err)
	}
	if same.Top1 != 1 || same.Top5 != 1 || math.Abs(same.KL) > 1e-15 || math.Abs(same.Cosine-1) > 1e-15 {
		t.Errorf("scores against themselves: %+v", same)
	}
	// Clip 0: the reference's class 6 falls to the fifth place; clip 1: to the last.
	other := [][]float64{{5, 6, 7, 8, 0, 1, 4.5}, {0, 1, 2, 3, 4, 5, -1}}
	got, err := Agree(other, [][]float64{ref[0], {1, 0, 0, 0, 0, 0, 2}}, false)
	if err != nil {
		t.Fatal(err)
	}
	if got.Top1 != 0 || got.Top5 != 0.5 {
		t.Errorf("top-1 %g, top-5 %g; want 0, 0.5", got.Top1, got.Top5)
	}
}

func TestDivergence(t *testing.T) {
	// softmax(0, ln 3) = 1/4, 3/4; uniform 1/2, 1/2.
	ref, got := []float64{0, math.Log(3)}, []float64{0, 0}
	want := 0.25*math.Log(0.5) + 0.75*math.Log(1.5)
	a, err := Agree([][]float64{got}, [][]float64{ref}, false)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(a.KL-want) > 1e-15 {
		t.Errorf("divergence %g, want %g", a.KL, want)
	}
	p, err := Agree([][]float64{{0.5, 0.5}}, [][]float64{{0.25, 0.75}}, true)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(p.KL-want) > 1e-15 {
		t.Errorf("divergence of probabilities %g, want %g", p.KL, want)
	}
}

func TestScore(t *testing.T) {
	scores := [][]float64{{0, 9, 1, 2, 3, 4, 5}, {9, 8, 7, 6, 5, 4, 3}, {0, 0, 0, 0, 0, 0, 1}}
	got, err := Score(scores, []int{1, 4, 5})
	if err != nil {
		t.Fatal(err)
	}
	// Clip 2's ties go to the lower classes: 6, then 0, 1, 2, 3.
	if want := (Accuracy{1.0 / 3, 2.0 / 3}); got != want {
		t.Errorf("accuracy %+v, want %+v", got, want)
	}
	if _, err := Score(scores, []int{1, 4, 7}); err == nil {
		t.Error("a label beyond the classes is not refused")
	}
}
