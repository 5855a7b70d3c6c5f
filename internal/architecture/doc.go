// Package architecture holds tests over the repository as a whole: which
// package may import which, and what may be imported where.
package architecture
