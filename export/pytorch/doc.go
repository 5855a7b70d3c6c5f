// Package pytorch writes a network as PyTorch code: plain modules, a script
// that trains them, and what they need.
//
//	files/      afnet.py, data.py, train.py, README.md as they are written out
//	authors.go  keys as the authors' training code has them
//	config.go   config.json: the structure of a Network for afnet.py
//	shell.go    refuses networks with more around the trunk than afnet.py knows
//	write.go    the folder
//	tests/      pytest: the modules against ONNX and the authors' numbers
package pytorch
