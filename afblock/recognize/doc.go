// Package recognize reads a Network out of an ONNX model by what its nodes do,
// not by how an exporter spells it (docs/RECOGNITION.md).
//
//	recognize.go   Network: from stem to head; Error, the reason for a refusal
//	kinds.go       what a refused model is, where its nodes tell
//	input.go       the model's input, and sizes to look at it with
//	walk.go        from one computing node to the next
//	trunk.go       stem and stages
//	block.go       residual blocks
//	module.go      AF modules of AFNets that were exported
//	product.go     maps whose frames a mask multiplies
//	choice.go      what makes a mask of logits, found by computing
//	navigation.go  what makes the logits
//	mix.go         where the branches meet, found by computing
//	exported.go    what an AFNet's export has beside the network: masks, noise
//	steady.go      the export without noise
//	conv.go        convolutions, batch normalisation, pools
//	shift.go       data movement that is a temporal shift, or is not
//	shifts.go      Shifts: those of any model
//	head.go        the linear layer and the consensus, found by computing
//	layout.go      how clips lie in the input
//	shell.go       Shell, what lies around the trunk
//	shell_copy.go  the same, copied into another model
//	shell_plan.go  the same for another number of frames or classes
//	around.go      the shell of a model that afc wrote
package recognize
