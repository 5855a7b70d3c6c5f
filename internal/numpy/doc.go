// Package numpy reads NumPy's .npy and .npz files.
//
//   - numpy.go: both formats
package numpy
