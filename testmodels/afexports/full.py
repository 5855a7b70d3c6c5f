"""Makes AFNets of full size as PyTorch exports them, to race against what afc
compiles: AF-ResNet-50, 8 frames of 224², two frames of eight selected in every
block by the biases of navigation, TorchScript, opset 17, random weights.

    python full.py DIR        # writes DIR/tsn.onnx and DIR/tsm.onnx
    afc convert DIR/tsn.onnx -o DIR/tsn.af.onnx
    afc verify DIR/tsn.onnx DIR/tsn.af.onnx --only latency --threads 1
"""

import os
import sys

import torch

import networks as net

FRAMES, SELECTED = 8, 2


def select(navigation, first):
    """Has navigation select frames first, first + 4, … whatever it sees."""
    chosen = [(t - first) % (FRAMES // SELECTED) == 0 for t in range(FRAMES)]
    with torch.no_grad():
        navigation.conv_gs.weight.zero_()
        navigation.conv_gs.bias.copy_(torch.tensor([v for c in chosen for v in ((-1.0, 1.0) if c else (1.0, -1.0))]))


def export(path, shift):
    torch.manual_seed(0)
    network = net.AFNet(blocks=(3, 4, 6, 3), width=64, frames=FRAMES, classes=400, shift=shift, choose=net.scattered).eval()
    navigations = [m for m in network.modules() if isinstance(m, net.Navigation)]
    for i, navigation in enumerate(navigations):
        select(navigation, i)
    video = torch.randn(1, 3 * FRAMES, 224, 224)
    torch.onnx.export(network, video, path, dynamo=False, opset_version=17, input_names=["video"], output_names=["logits"])


if __name__ == "__main__":
    for name, shift in (("tsn", net.no_shift), ("tsm", net.assigned)):
        export(os.path.join(sys.argv[1], name + ".onnx"), shift)
