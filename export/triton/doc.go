// Package triton writes a model repository for NVIDIA's Triton Inference
// Server: NAME/config.pbtxt says a model's real inputs and outputs, how clips
// are batched, where it runs and how it is warmed up; NAME/1/model.onnx is the
// model. The format is model_config.proto of Triton's common repository.
//
//   - triton.go: the repository: config.pbtxt and the model
package triton
