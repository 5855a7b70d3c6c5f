// Package published holds what papers report of networks for efficient video
// recognition, to be shown beside what was measured and never mixed with it.
//
//   - published.go: the rows, with their sources
package published
