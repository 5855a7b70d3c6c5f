// Package describe says what is in a model, for people and for scripts.
//
//	describe.go  Network, Model: a Description, which is JSON, too
//	text.go      as text
//	svg.go       as a drawing; dot.go as one for Graphviz
package describe
