// Package bounds holds readers of files from anywhere to what no file may make
// them spend.
//
//   - bounds.go: memory and time of a reader
package bounds
