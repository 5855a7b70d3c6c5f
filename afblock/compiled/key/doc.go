// Package key has the keys of the properties that afc adds to the models and
// checkpoints it writes.
//
//   - keys.go: the keys
package key
