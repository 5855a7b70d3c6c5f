// Package motion makes clips in which what happens over time is the class: ten
// events on cluttered backgrounds, in pairs that are each other played
// backwards, so that a network that ignores the order of frames names at most
// half of them. They are the same for the same seed on every machine.
//
// tsm.onnx is a TSM trained on such clips (bottlenecks [3, 4, 6, 3], width 16,
// 8 frames of 64², input [N, 24, 64, 64]): a small source that knows something.
// It was trained on 16,000 clips of another implementation of the same
// generator, and names the class of 82.8 % of that one's test clips; on clips
// made here it must do as well, which a test holds.
//
//	motion.go   Clip: the events
//	paint.go    shapes on images
//	videos.go   the clips as something models are run on, and as folders of images
package motion
