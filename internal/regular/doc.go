// Package regular opens files that are files: a pipe, a socket or a device may
// never end, and opening one may wait for ever.
//
//   - regular.go: opening regular files alone
package regular
