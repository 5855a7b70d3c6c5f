package names

// Values of a model that afc writes are named after the layer that makes them:
// a convolution's by its key, or by that of its batch normalisation, and what
// else there is as follows. A value that is made in several pieces has the name
// and more behind it.

// StemOut is what the first stage reads, behind the stem's pool.
const StemOut = "maxpool"

// Sum is a block's output before its last activation.
func Sum(block string) string { return block + ".add" }

// Relu is what a ReLU makes of the output of a block or a layer.
func Relu(key string) string { return key + ".relu" }

// Mask is a focal block's selection as numbers, one a frame, by the key of its
// navigation.
func Mask(navigation string) string { return navigation + ".mask" }

// Gate is before the names of what mixes a stage's branches; what the fusion
// block reads is named after it as after a layer.
func Gate(stage string) string { return stage + ".att_gen" }
