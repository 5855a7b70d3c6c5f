"""Makes the exports of this folder: NAME.onnx, NAME.npz (a video, and PyTorch's
scores and masks of it in float64, chosen by the larger logit) and facts.json.

    python make.py [NAME ...]

Needs torch >= 2.9, onnx, onnxscript, numpy. Weights are random; BN statistics
are calibrated on random frames, so that answers and choices depend on the input.
"""

import json
import logging
import os
import sys
import warnings
import zlib

import numpy as np
import onnx
import torch
import torch.nn as nn

import networks as net
from networks import AFNet, Navigation

HERE = os.path.dirname(os.path.abspath(__file__))
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


def build(size=48, clips=1, **kw):
    m = AFNet(**kw)
    t = m.style.frames
    shape = {"chan": (clips, 3 * t), "seg": (clips, t, 3), "flat": (clips * t, 3)}[m.style.layout] + (size, size)
    x = torch.randn(shape)
    with torch.no_grad():
        for k in m.modules():
            if isinstance(k, nn.BatchNorm2d):
                k.momentum = None
                k.weight.uniform_(0.5, 1.2)
                k.bias.normal_(0, 0.3)
            if isinstance(k, net.Block):  # a branch adds little, or a deep network amplifies rounding
                getattr(k, f"bn{k.n}").weight.mul_(0.3)
            if isinstance(k, Navigation):
                k.bn.bias.fill_(0.5)
                k.conv_gs.weight.normal_(0, 1.5)
                k.conv_gs.bias.normal_(0, 0.3)
        m.train()
        m(torch.randn((16 * x.shape[0],) + x.shape[1:]))
        m.eval()
    return m, x


def answers(m, x):
    kept = dict(vars(m.style))
    vars(m.style).update(choose=net.larger, masks="masks", noise=False)
    with torch.no_grad():
        scores, made = m.double()(x.double())
    m.float()
    vars(m.style).update(kept)
    return scores.float().numpy(), made.float().numpy()


def names(m):
    blocks = sum(len(k.list_gen) for k in m.modules() if isinstance(k, net.Module))
    return ["logits"] + {"masks": ["masks"], "each": [f"mask{i}" for i in range(blocks)], "features": ["features"]}.get(m.style.masks, [])


def export(m, x, path, exporter="ts", opset=17, open_batch=False, keep_bn=False):
    out = names(m)
    if exporter == "ts":
        axes = {"video": {0: "batch"}, **{o: {0: "batch"} for o in out}} if open_batch else None
        kw = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False} if keep_bn else {}
        torch.onnx.export(m, x, path, dynamo=False, opset_version=opset, input_names=["video"], output_names=out, dynamic_axes=axes, **kw)
    else:
        shapes = ({0: torch.export.Dim.AUTO},) if open_batch else None
        torch.onnx.export(m, (x,), path, dynamo=True, opset_version=opset, input_names=["video"], output_names=out, dynamic_shapes=shapes,
                          verbose=False, external_data=False, optimize=not keep_bn)
    strip(path)


def strip(path):
    """Takes traces of this machine out of a file."""
    model = onnx.load(path)
    for n in model.graph.node:
        del n.metadata_props[:]
        n.doc_string = ""
    for v in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del v.metadata_props[:]
        v.doc_string = ""
    del model.graph.metadata_props[:]
    onnx.save(model, path)


TSM = {"width": 8, "blocks": (2, 2, 1)}  # an eighth of its channels must be one at least
TS, DY = {"exporter": "ts"}, {"exporter": "dynamo", "opset": 18}
EXPORTS = {
    # name: (network, export, refused)
    "larger_ts11": ({"masks": "masks"}, {**TS, "opset": 11}),
    "argmax_ts13_open": ({"choose": net.argmax, **TSM, "shift": net.assigned, "clips": 2}, {**TS, "opset": 13, "open_batch": True}),
    "scattered_ts17_open": ({"choose": net.scattered, "masks": "masks", "clips": 2, "layout": "seg"}, {**TS, "open_batch": True}),
    "one_hot_ts17": ({"choose": net.one_hot, "blend": net.moved, "gate": "bias"}, TS),
    "straight_ts13_bn": ({"choose": net.straight, "masks": "masks"}, {**TS, "opset": 13, "keep_bn": True}),
    "straight_dynamo_bn": ({"choose": net.straight, **TSM, "shift": net.joined, "masks": "masks"}, {**DY, "keep_bn": True}),
    "rounded_dynamo": ({"choose": net.rounded, "product": net.frames5, "mean": net.mean}, DY),
    "threshold_dynamo_open": ({"choose": net.threshold, "masks": "each", "clips": 2, "layout": "seg", **TSM, "shift": net.assigned}, {**DY, "open_batch": True}),
    "noisy_ts17": ({"choose": net.noisy, **TSM, "shift": net.assigned, "masks": "masks"}, TS),
    "noisy_dynamo_open": ({"choose": net.noisy, "clips": 2}, {**DY, "open_batch": True}),
    "gumbel_softmax_dynamo": ({"choose": net.gumbel_softmax, **TSM, "shift": net.joined}, DY),
    "bernoulli_ts17": ({"choose": net.bernoulli}, TS),
    "uniform_dynamo": ({"choose": net.uniform}, DY),
    "dense_ts17": ({"dense": True, "masks": "masks"}, TS),
    "dense_dynamo_tsm": ({"dense": True, **TSM, "shift": net.joined}, DY),
    "zero_ts17": ({"zero": True, "masks": "masks", **TSM, "shift": net.joined}, TS),
    "zero_dynamo": ({"zero": True, "product": net.full}, DY),
    "basic_ts17_tsm": ({"basic": True, "width": 8, "shift": net.assigned, "blocks": (2, 2, 2, 2), "masks": "masks"}, TS),
    "basic_dynamo": ({"basic": True, "width": 8, "blocks": (3, 2, 2)}, DY),
    "deep_ts17": ({"blocks": (3, 4, 2, 2), "frames": 3}, TS),
    "odd_ts17": ({"size": 72, "masks": "masks"}, TS),
    "odd_dynamo": ({"size": 44, "up": net.gathered}, DY),
    "scaled_ts11": ({"size": 64, "up": net.scaled}, {**TS, "opset": 11}),
    "scaled_dynamo": ({"size": 64, "up": net.scaled, "mean": net.window}, DY),
    "repeated_ts17": ({"size": 64, "up": net.repeated, "mean": net.flat_mean}, TS),
    "repeated_dynamo": ({"size": 64, "up": net.repeated, "mean": net.flat_mean}, DY),
    "expanded_ts13": ({"size": 64, "up": net.expanded, "mean": net.summed, "product": net.where}, {**TS, "opset": 13}),
    "lerped_dynamo": ({"blend": net.lerped, "gate": "conv", "mean": net.summed, "product": net.where}, DY),
    "conv_gate_ts17": ({"gate": "conv", "product": net.frames5, "mean": net.mean, "layout": "flat"}, TS),
    "alpha4_groups1_ts17": ({"alpha": 4, "groups": 1}, TS),
    "softmax_ts17": ({"softmax": True, "masks": "masks"}, TS),
    "bad_soft": ({"choose": net.soft}, TS, True),
    "bad_soft_dynamo": ({"choose": net.soft, "masks": "masks"}, DY, True),
    "bad_sharp": ({"choose": net.sharp}, TS, True),
    "bad_first": ({"choose": net.first}, TS, True),
    "bad_tie": ({"choose": net.not_less}, TS, True),
    "bad_blind": ({"choose": net.blind}, TS, True),
    "bad_noise": ({"noise": True}, TS, True),
    "bad_bilinear": ({"up": net.bilinear}, TS, True),
    "bad_swapped": ({"blend": net.swapped}, TS, True),
    "bad_focal_navigation": ({"looks_at_focal": True, "blocks": (3, 2, 1), "alpha": 1}, TS, True),
    "bad_features": ({"masks": "features"}, TS, True),
}


def make(name):
    torch.manual_seed(zlib.crc32(name.encode()))
    network, how, *refused = EXPORTS[name]
    m, x = build(**network)
    path = os.path.join(HERE, name)
    export(m, x, path + ".onnx", **how)
    if refused:
        return {"refused": True}
    scores, masks = answers(m, x)
    np.savez_compressed(path + ".npz", video=x.numpy(), logits=scores, masks=masks)
    facts = {k: getattr(m.style, k) for k in ("frames", "dense", "zero", "alpha", "groups", "masks", "layout", "softmax")}
    facts |= {"blocks": network.get("blocks", (2, 2, 2, 1)), "basic": network.get("basic", False), "shift": m.style.shift is not net.no_shift,
              "noise": m.style.choose in (net.noisy, net.gumbel_softmax, net.bernoulli, net.uniform), "gumbel": m.style.choose in (net.noisy, net.gumbel_softmax),
              "bn": how.get("keep_bn", False), "selected": round(float(masks.mean()), 3)}
    return facts


def main():
    path = os.path.join(HERE, "facts.json")
    facts = json.load(open(path)) if os.path.exists(path) and len(sys.argv) > 1 else {}
    for name in sys.argv[1:] or EXPORTS:
        try:
            facts[name] = make(name)
            print(name, os.path.getsize(os.path.join(HERE, name + ".onnx")), facts[name].get("selected"))
        except Exception as e:  # one export that fails is no reason to lose the others
            print(name, "FAILED", type(e).__name__, str(e)[:300])
        with open(path, "w") as f:
            json.dump(dict(sorted(facts.items())), f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
