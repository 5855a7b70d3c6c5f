package bounds

import (
	"runtime"
	"time"

	"github.com/afc-project/afc/internal/limits"
)

// Time is how long reading a file under 1 MB may take, on a machine that may
// be busy.
const Time = 10 * time.Second

// TB is what Hold needs of a test, or of a random check within one.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
}

// Hold runs f, which reads a file of size bytes, and reports an error if it
// allocated more than limits.Memory(size), counting what was freed again too,
// or took longer than Time. An f that does not come to an end is made a panic,
// which a fuzzer, unlike a test that just runs out of time, takes for a find.
func Hold(t TB, size int, f func()) {
	t.Helper()
	start := time.Now()
	hang := time.AfterFunc(3*Time, func() { panic("reading a file does not come to an end") })
	defer hang.Stop()
	got := Allocated(f)
	if limit := limits.Memory(int64(size)); got > limit {
		t.Errorf("%d bytes of file allocate %d, limit %d", size, got, limit)
	}
	if took := time.Since(start); took > Time {
		t.Errorf("%d bytes of file took %v", size, took)
	}
}

// Allocated returns the bytes that f allocates.
func Allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}
