package fit

import (
	"context"
	"fmt"
	"slices"

	"github.com/afc-project/afc/clips"
)

// some are some of the videos.
type some struct {
	clips.Videos
	at []int
}

func (c some) Len() int { return len(c.at) }

func (c some) Label(i int) int { return c.Videos.Label(c.at[i]) }

func (c some) Clip(ctx context.Context, i int, form clips.Form) ([]float32, error) {
	v, err := c.Videos.Clip(ctx, c.at[i], form)
	if err != nil {
		return nil, fmt.Errorf("clip %d: %w", c.at[i], err)
	}
	return v, nil
}

// maxHeld is the most clips that are held back unless asked for.
const maxHeld = 100

// split parts the videos into those to fit on and those held back, both spread
// evenly over the list, which may be sorted by class. Numbers of zero are
// chosen: all, and a tenth of the list; held below zero is none.
func split(videos clips.Videos, fitted, held int) (on, back some) {
	n := videos.Len()
	if held == 0 {
		held = min(max(n/10, 1), maxHeld)
		if fitted > 0 && n > fitted { // as many as are left, before any is taken from the fit
			held = min(max(held, n-fitted), maxHeld)
		}
	}
	held = min(max(held, 0), n)
	if fitted <= 0 || fitted > n-held {
		fitted = n - held
	}
	on.Videos, back.Videos = videos, videos
	on.at, back.at = spreadOver(n, fitted), nil
	var left []int
	for i := range n {
		if !slices.Contains(on.at, i) {
			left = append(left, i)
		}
	}
	for _, i := range spreadOver(len(left), min(held, len(left))) {
		back.at = append(back.at, left[i])
	}
	return on, back
}

// spreadOver picks k of n numbers, evenly.
func spreadOver(n, k int) []int {
	out := make([]int, k)
	for i := range out {
		out[i] = (2*i + 1) * n / (2 * k)
	}
	return out
}
