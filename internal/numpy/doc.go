// Package numpy reads and writes NumPy's .npy and .npz files.
//
//   - numpy.go: reading both formats
//   - write.go: writing them
package numpy
