package fit

import (
	"context"
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
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
	if err == nil {
		err = look(v)
	}
	if err != nil {
		return nil, fmt.Errorf("clip %d of %s: %w", c.at[i], c.Videos, err)
	}
	return v, nil
}

// look refuses a clip that is not numbers, or says nothing.
func look(clip []float32) error {
	constant := true
	for _, v := range clip {
		if v-v != 0 {
			return errNotFinite
		}
		constant = constant && v == clip[0]
	}
	if constant {
		return fmt.Errorf("every pixel of every frame is %g", clip[0])
	}
	return nil
}

// backwards are videos, and behind them the same played backwards. The source
// says what its activations on those are as well, so that a network that looks
// at time is shown twice as much.
type backwards struct{ clips.Videos }

func (b backwards) Len() int { return 2 * b.Videos.Len() }

func (b backwards) Clip(ctx context.Context, i int, form clips.Form) ([]float32, error) {
	n := b.Videos.Len()
	v, err := b.Videos.Clip(ctx, i%n, form)
	if err != nil || i < n {
		return v, err
	}
	frame := len(v) / form.Frames
	out := make([]float32, 0, len(v))
	for t := form.Frames - 1; t >= 0; t-- {
		out = append(out, v[t*frame:(t+1)*frame]...)
	}
	return out, nil
}

// plenty is the number of clips from which on they need not be played backwards
// too.
const plenty = 1000

// shown returns what a network is fitted on.
func shown(net *afblock.Network, on clips.Videos) clips.Videos {
	if on.Len() >= plenty {
		return on
	}
	for b := range net.Blocks() {
		if b.Shift != nil {
			return backwards{on}
		}
	}
	return on
}

// maxHeld is the most clips that are held back unless asked for.
const maxHeld = 100

// HeldAtMost is how many clips a fit holds back at most, asked for as Options.Held.
func HeldAtMost(held int) int {
	if held == 0 {
		return maxHeld
	}
	return max(held, 0)
}

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
