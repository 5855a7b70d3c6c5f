// Package mem holds files in memory: mapped where the system can, known by their
// addresses, and given back in part while they are not used.
//
//	mapping.go          which files are in memory, and where
//	mmap_*.go           how the system maps a file
//	release_*.go        how it takes pages back
package mem
