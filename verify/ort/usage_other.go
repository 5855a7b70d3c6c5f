//go:build !unix

package ort

import "time"

func processTime() (time.Duration, bool) { return 0, false }

func peakResident() int64 { return 0 }
