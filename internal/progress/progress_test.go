package progress

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestShortRunIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		r := Start(&b, 0)
		r.Say("reading")
		time.Sleep(Delay - time.Millisecond)
		r.Stop()
		r.Stop()
		if b.Len() > 0 {
			t.Errorf("printed %q", b.String())
		}
	})
}

func TestLongRunNamesEachThingOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		r := Start(&b, 0)
		r.Say("reading a.onnx")
		time.Sleep(Delay + time.Second)
		r.Say("writing")
		time.Sleep(time.Second)
		r.Stop()
		if want := "reading a.onnx …\nwriting …\n"; b.String() != want {
			t.Errorf("printed %q, want %q", b.String(), want)
		}
	})
}

func TestTerminalLineIsCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		r := Start(&b, 40)
		r.Say("reading")
		time.Sleep(Delay + 100*time.Millisecond)
		r.Stop()
		if want := "\r\x1b[Kreading … 2 s\r\x1b[K"; !strings.HasPrefix(b.String(), want) {
			t.Errorf("printed %q, want %q first", b.String(), want)
		}
	})
}

// TestLineFits: a line that is longer than the terminal could not be cleared.
func TestLineFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		r := Start(&b, 20)
		r.Say("reading é and whatever")
		time.Sleep(Delay + 100*time.Millisecond)
		r.Stop()
		if want := "\r\x1b[Kreading é and … 2 s\r\x1b[K"; !strings.HasPrefix(b.String(), want) {
			t.Errorf("printed %q, want %q first", b.String(), want)
		}
	})
}
