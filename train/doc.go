// Package train makes training graphs out of networks, and trains with them: a
// step is one ONNX graph (answer, loss, gradient, what the weights become), which
// ONNX Runtime computes (docs/TUNE.md).
//
//	tune.go       Tune: epochs, validation, what is kept
//	options.go    what can be chosen, what is told of each step
//	schedule.go   temperature, target ratio and learning rate over time
//	batches.go    what each step is fed with, made ahead
//	frames.go     videos as the stem reads them
//	answers.go    what a network says of clips; the source as a teacher
//	validate.go   scores on clips held back
//	machine.go    a step on ONNX Runtime, weights in two places by turns
//	state.go      where a training stands, in a file
//	curve.go      what it did over time, in few numbers
//	page.go       the same as a web page
//	log.go        what is told, a line each
//	record.go     what the network keeps of it
//
//	step.go       Step: inputs, outputs, running statistics
//	layout.go     which tensors learn, and where each lies in one vector
//	forward.go    a network's computation in mask form
//	loss.go       cross-entropy, distance from the teacher, the ratio's loss
//	update.go     SGD and AdamW
//	gradient.go   reverse-mode differentiation, by the gradient column of package
//	              op's table
//	builder.go    nodes
package train
