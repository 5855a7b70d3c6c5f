// Package describe says what is in a model, for people and for scripts.
//
//	describe.go  Network, Model: a Description, which is JSON, too
//	text.go      as text
//	dot.go       as a drawing
package describe
