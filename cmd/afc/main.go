package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/afc-project/afc/internal/atomicfile"
	"github.com/afc-project/afc/verify/ort"
)

// grace is how long an interrupted run may take to end by itself: native code
// does not hear of the interruption.
const grace = 300 * time.Millisecond

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		select {
		case <-time.After(grace):
		case <-signals:
		}
		atomicfile.RemoveTemporaries()
		if !ort.Guarded() {
			os.Stderr.WriteString("afc: interrupted\n")
		}
		os.Exit(exitInterrupted)
	}()
	os.Exit(run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr))
}
