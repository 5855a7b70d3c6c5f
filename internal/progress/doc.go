// Package progress tells a waiting user what a long run is doing, on standard
// error, and stays silent in runs that are over before one would ask.
//
//   - progress.go: the line, and when it shows
package progress
