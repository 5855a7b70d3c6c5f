package weights

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/compiled/names"
)

// Options say what a checkpoint's shapes do not.
type Options struct {
	// Frames is T. 0: read from the navigation's second convolution; needed
	// where the checkpoint has none.
	Frames int
	// Size is H, W of a frame; 0 where any goes.
	Size afblock.Size
	// ShiftDiv turns the temporal shift on: each block shifts 1/ShiftDiv of
	// its input channels either way (authors: 8). 0: no shift.
	ShiftDiv   int
	PastFirst  bool // its first channels come from the frame before
	StrideAt   afblock.StrideAt
	Unselected afblock.Unselected
	// Grid is how many cells a side the frames of each module have, or one number
	// for all, where the checkpoint chooses inside the frames.
	Grid []int
}

// OptionsFrom returns what a network recognised in a model tells of a
// checkpoint for it: size, and the share of channels its blocks shift. How many
// frames a clip has is the checkpoint's to say.
func OptionsFrom(src *afblock.Network) Options {
	opt := Options{Size: src.Size}
	for b := range src.Blocks() {
		if b.Shift != nil && b.Shift.Fold > 0 {
			opt.ShiftDiv, opt.PastFirst = b.In()/b.Shift.Fold, b.Shift.PastFirst
			break
		}
	}
	return opt
}

// FromStateDict makes a network of a checkpoint of the authors' PyTorch code,
// or one that afc exported. Depth, widths, α, G, T, classes and the kind of
// navigation come from the tensors. Floating-point tensors of other types
// become float32. A file that afc exported carries its network's skeleton
// (StateDict.Skeleton): of the options, Frames and Size still count then. If
// tensors are missing, left over or of the wrong shape, the error is a
// *checkpoint.Error that lists them all.
func FromStateDict(sd *checkpoint.StateDict, opt Options) (*afblock.Network, error) {
	if sd.Skeleton != "" {
		return fromSkeleton(sd, opt)
	}
	sd = respelled(sd)
	sk, err := fromKeys(sd, opt)
	if err != nil {
		return nil, err
	}
	return sk.Bind(sd)
}

// fromSkeleton makes the network that an exported state dict describes.
func fromSkeleton(sd *checkpoint.StateDict, opt Options) (*afblock.Network, error) {
	sk, _, err := Parse(sd.Skeleton)
	if err != nil {
		return nil, &checkpoint.Error{File: sd.File, Reason: err.Error()}
	}
	if opt.Size != (afblock.Size{}) {
		sk.Size = opt.Size
	}
	net, err := sk.Bind(sd)
	if err != nil {
		return nil, err
	}
	if _, err := Export(net); err != nil {
		return nil, &checkpoint.Error{File: sd.File, Reason: fmt.Sprintf("metadata %s: %v", names.NetworkKey, err)}
	}
	if opt.Frames == 0 {
		return net, nil
	}
	return net.WithFrames(opt.Frames)
}

// Replace returns the network with the weights of a checkpoint in the place of
// its own: fine-tuned ones, such as come back from training what Export gave.
// Everything but the weights, T and the classes is the network's. It fails as
// FromStateDict does.
func Replace(net *afblock.Network, sd *checkpoint.StateDict) (*afblock.Network, error) {
	prefix, ok := backbonePrefix(sd.Names())
	if !ok {
		return nil, notAFNet(sd)
	}
	sk := outline{exported: true}.of(net)
	sk.Frames, sk.FineTune, sk.Exporter, sk.Fit, sk.Tune = 0, false, "", nil, nil
	sk.Prefix, sk.FC = prefix, newCheckpointKeys(prefix, sd.Names()).fc()
	if net.Head.Hidden != nil { // both linear layers are the backbone's
		sk.FC = prefix + net.Head.FC.Key
	}
	sk.anyBias = true // training code may have none
	out, err := sk.Bind(sd)
	if err != nil {
		return nil, err
	}
	out.Shell = net.Shell
	return out, nil
}
