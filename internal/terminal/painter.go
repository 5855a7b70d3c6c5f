package terminal

import (
	"bytes"
	"io"
)

// Painter passes safe text on to a terminal that shows colours, and makes lines
// that begin with the outcome of a check stand out. Flush ends the last line.
type Painter struct {
	To   io.Writer
	line []byte // not ended yet
}

// outcomes are how lines begin, and the colours of those words.
var outcomes = []struct{ word, colour string }{
	{"FAIL ", "\x1b[1;31m"}, {"pass ", "\x1b[32m"}, {"skip ", "\x1b[33m"}, {"info ", "\x1b[2m"},
}

func (p *Painter) Write(b []byte) (int, error) {
	p.line = append(p.line, b...)
	end := bytes.LastIndexByte(p.line, '\n') + 1
	var out []byte
	for line := range bytes.Lines(p.line[:end]) {
		out = append(out, painted(line)...)
	}
	p.line = append([]byte(nil), p.line[end:]...)
	if _, err := p.To.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Flush passes on a line without an end.
func (p *Painter) Flush() error {
	_, err := p.To.Write(p.line)
	p.line = nil
	return err
}

// painted colours a failure whole, of other lines the outcome.
func painted(line []byte) []byte {
	for i, o := range outcomes {
		if !bytes.HasPrefix(line, []byte(o.word)) {
			continue
		}
		text, at := bytes.TrimSuffix(line, []byte("\n")), len(o.word)-1
		if i == 0 {
			at = len(text)
		}
		return bytes.Join([][]byte{[]byte(o.colour), text[:at], []byte("\x1b[0m"), text[at:], []byte("\n")}, nil)
	}
	return line
}
