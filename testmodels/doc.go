// Package testmodels builds video ResNets in Go for tests and benchmarks, from
// a few channels to ResNet-152 at full width, in the spellings that exporters
// use; near-misses that afc must refuse; and AFNet checkpoints.
//
// Weights are random but seeded, and batch normalisation is scaled to what the
// convolutions in front of it put out on unit-variance input, so that outputs
// depend on the input and neither explode nor vanish. The same Spec always
// gives the same model.
//
//   - spec.go: Spec: what to build
//   - resnet.go, shift.go, head.go: the network, spelled as exporters do
//   - emit.go: nodes and their names
//   - weights.go: seeded weights that keep activations near one
//   - checkpoint.go: AFNet checkpoints
//   - nearmiss.go: what must be refused
package testmodels
