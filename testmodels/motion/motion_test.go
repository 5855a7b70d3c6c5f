package motion_test

import (
	"bytes"
	"testing"

	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels/motion"
	"github.com/afc-project/afc/verify/ort"
)

// TestSourceKnowsTheClips holds the generator to the one that the source was
// trained on: a network that tells ten events apart on clips of that one tells
// them apart here as often (82.8 %; four standard errors of so few clips below
// that are allowed).
func TestSourceKnowsTheClips(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const n, least = 400, 0.75
	m, err := graph.Decode(motion.Source)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ort.NewSession(m, ort.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	videos := motion.Videos{Seed: 202, Count: n}
	right := 0
	for i := range n {
		v, err := videos.Clip(t.Context(), i, clips.Form{Frames: 8, Channels: 3, Height: 64, Width: 64})
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Run(t.Context(), graph.Float32s([]int64{1, 24, 64, 64}, v...))
		if err != nil {
			t.Fatal(err)
		}
		scores, err := out[0].Float32s()
		if err != nil {
			t.Fatal(err)
		}
		best := 0
		for k, x := range scores {
			if x > scores[best] {
				best = k
			}
		}
		if best == videos.Label(i) {
			right++
		}
	}
	got := float64(right) / float64(n)
	t.Logf("the source names %.1f %% of %d clips", 100*got, n)
	if got < least || got > 0.91 {
		t.Errorf("the source names %.1f %% of the clips, want about 82.8 %%", 100*got)
	}
}

// TestClips: the same seed gives the same clips, each class is there once in
// ten, and a clip of more frames passes through the moments of one of fewer.
func TestClips(t *testing.T) {
	seen := map[int]int{}
	for i := range 20 {
		a, class := motion.Clip(5, i, 8)
		b, _ := motion.Clip(5, i, 8)
		c, _ := motion.Clip(5, i, 16)
		const frame = 3 * motion.Side * motion.Side
		if !bytes.Equal(a, b) {
			t.Fatalf("clip %d differs from itself", i)
		}
		for k := range 8 {
			if !bytes.Equal(a[k*frame:(k+1)*frame], c[2*k*frame:(2*k+1)*frame]) {
				t.Fatalf("clip %d: frame %d of 8 is not frame %d of 16", i, k, 2*k)
			}
		}
		seen[class]++
	}
	for class := range motion.Classes {
		if seen[class] != 2 {
			t.Errorf("class %d is there %d times in 20", class, seen[class])
		}
	}
}
