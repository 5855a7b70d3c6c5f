// Package terminal keeps what comes out of files (names, keys, metadata,
// messages that quote them) from acting on a terminal, from hiding, and from
// filling it.
//
//   - terminal.go: quoting and shortening
//   - painter.go: colours of outcomes
package terminal
