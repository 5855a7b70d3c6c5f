package train

import (
	"encoding/json"
	"os"
)

// log is a file of JSON objects, one a line.
type log struct {
	file  *os.File
	bytes int64
	err   error // the first that writing met
}

// openLog begins the log, or cuts it off where the state that is gone on from
// was saved.
func (t *tuner) openLog() error {
	if t.opt.Log == "" {
		return nil
	}
	f, err := os.OpenFile(t.opt.Log, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	t.log = &log{file: f, bytes: t.state.Log}
	if info, err := f.Stat(); err == nil {
		t.log.bytes = min(t.log.bytes, info.Size())
	}
	if err := f.Truncate(t.log.bytes); err != nil {
		return err
	}
	_, err = f.Seek(t.log.bytes, 0)
	return err
}

func (l *log) write(p Progress) {
	if l == nil || l.err != nil {
		return
	}
	line, err := json.Marshal(p)
	if err == nil {
		var n int
		n, err = l.file.Write(append(line, '\n'))
		l.bytes += int64(n)
	}
	l.err = err
}

func (l *log) size() int64 {
	if l == nil {
		return 0
	}
	return l.bytes
}

func (l *log) close() {
	if l != nil {
		l.file.Close()
	}
}

func (l *log) failed() error {
	if l == nil {
		return nil
	}
	return l.err
}
