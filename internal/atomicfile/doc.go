// Package atomicfile writes files so that their path holds the old content or
// the whole new one, never a part: it writes a temporary file beside the
// target, syncs it, and renames it into place.
//
// A killed process leaves at most a temporary file (".NAME.afc-….tmp") behind,
// which the next one that writes the same file removes (stale.go). A process
// that is asked to stop calls RemoveTemporaries first.
//
//   - atomicfile.go: File: create, commit, discard
//   - folder.go: folders of files, likewise
//   - stale.go: what killed processes left
//   - running_*.go: whether a process still runs
package atomicfile
