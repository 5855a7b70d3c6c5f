package pytorch

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
)

// AuthorsKeys returns the network with the keys that the authors' training code
// gives its state dict: a wrapped backbone, and the video model's linear layer.
func AuthorsKeys(net *afblock.Network) *afblock.Network {
	return keyed(net, "module.base_model.", "module.")
}

// AuthorsCommand is how the authors' code starts from weights in its format.
func AuthorsCommand(net *afblock.Network, weights string) string {
	shift := ""
	if shifted(net) {
		shift = " --shift"
	}
	return fmt.Sprintf("python main.py DATASET RGB %s --num_segments %d%s --rt 0.5 --tune_from %s"+
		" (it takes the linear layer only if DATASET stands in the path)", authorsArch(net), net.Frames, shift, weights)
}

// authorsArch is how the authors' code is told which network to build.
func authorsArch(net *afblock.Network) string {
	if mobile(net) {
		return "--arch_file AF_MobileNetv3 --arch AF_mobilenetv3 --model_path models_mobilenet"
	}
	return fmt.Sprintf("--arch_file AF_ResNet --arch AF_resnet%d", depth(net))
}

// mobile reports whether a network is an AF-MobileNetV3.
func mobile(net *afblock.Network) bool { return net.Head.Last != nil }

func shifted(net *afblock.Network) bool {
	for b := range net.Blocks() {
		if b.Shift != nil {
			return true
		}
	}
	return false
}

// depth counts the layers as ResNets are named.
func depth(net *afblock.Network) int {
	n := 2 // stem and linear layer
	for _, s := range net.Stages {
		for _, b := range s.Blocks {
			n += len(b.Convs())
		}
		if s.AF != nil {
			n += len(s.AF.Fusion.Convs())
			for _, b := range s.AF.Focal {
				n += len(b.Convs())
			}
		}
	}
	return n
}

// AuthorsCannot lists what the authors' code cannot express of a network: its
// widths, strides, groups and depths are fixed. An AF-MobileNetV3's are theirs.
func AuthorsCannot(net *afblock.Network) []string {
	var out []string
	say := func(ok bool, format string, args ...any) {
		if !ok {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	if !mobile(net) {
		d := depth(net)
		say(d == 50 || d == 101, "%d layers: it has 50 and 101", d)
		say(net.Stem.Conv.Out() == 64, "%d channels behind the stem: it has 64", net.Stem.Conv.Out())
	}
	say(net.Unselected == afblock.UnselectedBias, "skipped frames that answer zero: its answer the weights' bias")
	say(net.Head.Consensus == afblock.MeanAfterFC, "a mean of frames elsewhere than behind the linear layer")
	for i, s := range net.Stages {
		if s.AF != nil && !mobile(net) {
			authorsModule(say, i, s)
		}
	}
	for b := range net.Blocks() {
		if b.Shift != nil && (b.Shift.Residual || b.Shift.PastFirst || b.Shift.Fold != b.In()/8) {
			say(false, "the temporal shift of %s: its shift moves 1/8 of the channels, the next frame's first, on the main path alone", b.Key)
			break
		}
	}
	return out
}

func authorsModule(say func(bool, string, ...any), i int, s *afblock.Stage) {
	m := s.AF
	say(m.Alpha == 2, "an ample branch of 1/%d of the channels in %s: it has 1/2", m.Alpha, s.Name)
	say(m.Groups == 2, "focal convolutions of %d groups in %s: it has 2", m.Groups, s.Name)
	say(m.Fusion.Bottleneck(), "blocks of two convolutions in %s: it has bottlenecks", s.Name)
	say(m.Focal[0].Stride() == 1 && m.Fusion.Stride() == []int{2, 2, 1, 1}[min(i, 3)], "the strides of %s: its fusion blocks halve the map", s.Name)
	for _, n := range m.Navigation {
		if n.Dense() {
			say(false, "navigation of %s that sees all frames at once: its looks at each alone", s.Name)
			break
		}
	}
}
