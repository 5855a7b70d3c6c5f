// Package clips is what models are run on: video clips from folders of frames,
// from video files, from arrays or at random, sampled and prepared as TSN and TSM do it when they
// test, and laid out as a model's input takes them. It knows no network and no
// runtime; whatever runs models (proof, fitting, explanation) reads clips here.
//
//	clips.go     Videos, the interface; Form, what a network takes
//	read.go      the choice between folders of images and video files
//	listed.go    what those two share: labels, preparing
//	sampling.go  which frames and crops; their mean
//	frames.go    folders of images     lists.go   their annotation lists
//	files.go     video files           filelists.go  theirs
//	parallel.go  several clips at once
//	template.go  names of frames
//	arrays.go    NumPy files           random.go  pixels without meaning
//	prepare.go   resize, crop, normalise; image.go decodes
//	augment.go   other moments and parts of the frames each time, for training
//	thumbnails.go  pictures of frames
//	layout.go    how tensors hold clips; input.go a model's input of them
package clips
