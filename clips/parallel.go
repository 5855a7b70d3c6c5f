package clips

import (
	"context"
	"runtime"
	"sync"
)

// parallel makes several clips at once.
type parallel struct {
	Videos

	mutex sync.Mutex
	form  Form
	first int
	made  []made // from first on
}

type made struct {
	values []float32
	err    error
}

// Parallel returns the same videos, for whoever goes through them in order: of
// clips in a row as many are made at once as there are processors, and that many
// are in memory. Nothing goes on when Clip has returned, so that what is timed
// after it is not disturbed.
func Parallel(v Videos) Videos { return &parallel{Videos: v} }

// Views returns how many clips in a row show one video.
func (p *parallel) Views() int { return Views(p.Videos) }

// Clip returns clip i.
func (p *parallel) Clip(ctx context.Context, i int, form Form) ([]float32, error) {
	if err := form.Fits(1); err != nil {
		return nil, err
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if k := i - p.first; form != p.form || k < 0 || k >= len(p.made) || p.made[k].values == nil && p.made[k].err == nil || ctx.Err() != nil {
		p.make(ctx, i, form)
	}
	m := p.made[i-p.first]
	p.made[i-p.first] = made{} // it is the caller's now
	return m.values, m.err
}

// make makes clips from the i-th on.
func (p *parallel) make(ctx context.Context, i int, form Form) {
	p.form, p.first = form, i
	p.made = make([]made, max(min(runtime.GOMAXPROCS(0), p.Len()-i), 1))
	var workers sync.WaitGroup
	for k := range p.made {
		workers.Go(func() {
			m := &p.made[k]
			m.values, m.err = p.Videos.Clip(ctx, i+k, form)
		})
	}
	workers.Wait()
}
