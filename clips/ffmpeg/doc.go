// Package ffmpeg reads frames of video files through the program ffmpeg, if it
// is installed. Files are hostile input: names are never read by a shell nor as
// options or protocols, and a file may not lead ffmpeg to another one.
//
//   - ffmpeg.go: finding the program, running it
//   - decode.go: counting frames, and reading some of them
//   - ppm.go: the images that it hands over
package ffmpeg
