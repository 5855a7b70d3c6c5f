package afblock

import (
	"fmt"
	"testing"

	"github.com/afc-project/afc/graph"
)

// TestDialledPatterns: a pattern that is dialled selects its own frames at 0, so
// many more or fewer as the number says, each schedule within the larger ones; one
// that divides the clip stays as even as that of a pattern.
func TestDialledPatterns(t *testing.T) {
	for _, frames := range []int{1, 2, 7, 8, 12, 16} {
		for _, ratio := range []float64{0, 0.25, 0.4, 0.5, 1} {
			for block := range 3 {
				t.Run(fmt.Sprint(frames, ratio, block), func(t *testing.T) {
					p := Pattern{ratio}
					n := &Navigation{Fixed: &p, Choice: Conv{Bias: &graph.Tensor{}}}
					n.rank(p.Select(frames, block), block)
					if n.Fixed != &p || !n.Spells(p) {
						t.Error("it spells another pattern")
					}
					dialled(t, n, p, frames, block)
				})
			}
		}
	}
}

func dialled(t *testing.T, n *Navigation, p Pattern, frames, block int) {
	t.Helper()
	bias, err := n.Choice.Bias.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	at := func(margin float64) (on []bool, count int) {
		for f := range frames {
			s := bias[2*f+1]+float32(margin) > bias[2*f]
			if on = append(on, s); s {
				count++
			}
		}
		return on, count
	}
	own := p.Select(frames, block)
	if on, _ := at(0); fmt.Sprint(on) != fmt.Sprint(own) {
		t.Errorf("at 0 it selects %v, the pattern %v", on, own)
	}
	before := make([]bool, frames)
	for k := range frames + 1 {
		margin := float64(k-p.Count(frames)) / float64(frames)
		on, count := at(margin)
		if count != k {
			t.Errorf("at %+.3f it selects %d of %d frames, want %d", margin, count, frames, k)
		}
		for f := range on {
			if before[f] && !on[f] {
				t.Errorf("at %+.3f it gives up frame %d", margin, f)
			}
		}
		if fewest := spread(Pattern{float64(k) / float64(frames)}.Select(frames, block)); k > 0 && frames == 8 && frames%k == 0 && p.Ratio != 0.4 && spread(on) != fewest {
			t.Errorf("at %+.3f it selects %v, spread by %d, evenly would be %d", margin, on, spread(on), fewest)
		}
		before = on
	}
}
