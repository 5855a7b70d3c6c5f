// Package testutil finds and reads what tests compare against: the repository,
// the shared fixtures beside it, NumPy archives and golden files.
//
//   - testutil.go: the repository, fixtures, golden files
//   - corpus.go: ONNX's backend tests
//   - video.go: video files, through ffmpeg
//   - surgery.go: models with a few fields changed
package testutil
