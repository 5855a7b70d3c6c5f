// Package limits bounds what reading a file may cost, so that a small file that
// lies about sizes, or unpacks to a thousand times its own, is refused before
// anything is allocated for it.
//
//   - limits.go: the budget of a file
package limits
