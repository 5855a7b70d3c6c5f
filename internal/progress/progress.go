package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/afc-project/afc/internal/terminal"
)

// Delay is how long a run stays silent.
const Delay = 2 * time.Second

// Reporter shows what is being done. On a terminal it is one line that redraws
// itself; elsewhere each thing done is a line of its own.
type Reporter struct {
	mu      sync.Mutex
	w       io.Writer
	columns int // of the terminal, 0 where it is none
	start   time.Time
	doing   string
	shown   string
	stop    chan struct{}
	done    sync.WaitGroup
}

// Start begins reporting to w, a terminal of so many columns; 0: none. Stop ends
// it.
func Start(w io.Writer, columns int) *Reporter { return start(w, columns, Delay) }

func start(w io.Writer, columns int, delay time.Duration) *Reporter {
	r := &Reporter{w: w, columns: columns, start: time.Now(), stop: make(chan struct{})}
	r.done.Go(func() {
		wait := time.NewTimer(delay)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.stop:
			return
		}
		tick := time.NewTicker(min(delay, 500*time.Millisecond))
		defer tick.Stop()
		for {
			r.show()
			select {
			case <-tick.C:
			case <-r.stop:
				return
			}
		}
	})
	return r
}

// Say says what the run does now.
func (r *Reporter) Say(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doing = terminal.Message(text)
}

func (r *Reporter) show() {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.doing == "":
	case r.columns > 0:
		r.shown = r.doing
		fmt.Fprint(r.w, "\r\x1b[K"+oneLine(r.doing, fmt.Sprintf(" … %.0f s", time.Since(r.start).Seconds()), r.columns))
	case r.doing != r.shown:
		r.shown = r.doing
		fmt.Fprintf(r.w, "%s …\n", r.doing)
	}
}

// Note writes a line that stays.
func (r *Reporter) Note(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.columns > 0 && r.shown != "" {
		fmt.Fprint(r.w, "\r\x1b[K")
	}
	fmt.Fprintln(r.w, terminal.Message(text))
}

// Stop ends reporting and clears the line. It may be called twice.
func (r *Reporter) Stop() {
	r.mu.Lock()
	select {
	case <-r.stop:
		r.mu.Unlock()
		return
	default:
		close(r.stop)
	}
	r.mu.Unlock()
	r.done.Wait()
	if r.columns > 0 && r.shown != "" {
		fmt.Fprint(r.w, "\r\x1b[K")
	}
}

// oneLine is what is done and the time on less than a line: a longer one could not
// be taken back. Of what is too long the end is cut.
func oneLine(doing, time string, columns int) string {
	room := max(0, columns-1-utf8.RuneCountInString(time))
	if runes := []rune(doing); len(runes) > room {
		doing = string(runes[:room])
	}
	return doing + time
}
