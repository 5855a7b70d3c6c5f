// Package terminal keeps what comes out of files (names, keys, metadata,
// messages that quote them) from acting on a terminal, from hiding, and from
// filling it.
//
//   - terminal.go: quoting and shortening
//   - painter.go: colours of outcomes
//   - fold.go: the width of a terminal, and lines that fit it
package terminal
