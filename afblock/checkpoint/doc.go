// Package checkpoint reads and writes weights as files hold them: tensors by
// name, in order, with no idea of a network.
//
//	statedict.go    StateDict, tensors by name
//	read.go         Read, whatever the format; Error
//	torch_write.go  PyTorch's zip archive, out
//	torch.go        PyTorch's archives, zip and before
//	pickle.go       the pickle inside them, interpreted by a fixed list
//	safetensors.go  safetensors, in and out
//	npz.go          NumPy's archives
package checkpoint
