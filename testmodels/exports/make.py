"""Makes the exports of this folder: NAME.onnx, NAME.npz (inputs and PyTorch's
answers) and facts.json (what afc must see in each, read by the Go tests).

    python make.py [NAME ...]

Needs torch >= 2.9, onnx, onnxscript, numpy; timm, torchvision, onnxslim and
onnxsim for the exports that name them. README.md says which versions made the
committed files. Weights are random; BN statistics are calibrated on random
frames, so that outputs depend on the input.
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
from onnx import helper, numpy_helper, version_converter

import models
from models import ResNet, Video

HERE = os.path.dirname(os.path.abspath(__file__))
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


# ---- building

def calibrate(net, x):
    """Random affine BN parameters, statistics from two passes over x."""
    with torch.no_grad():
        for m in net.modules():
            if isinstance(m, nn.modules.batchnorm._BatchNorm):
                m.momentum = None
                m.weight.uniform_(0.5, 1.2)
                m.bias.normal_(0, 0.2)
        for m in net.modules():  # a residual branch adds little, or a deep net amplifies rounding
            if hasattr(m, "downsample") and hasattr(m, "bn2"):
                last = getattr(m, "bn3", m.bn2)
                (last[0] if isinstance(last, nn.Sequential) else last).weight.mul_(0.3)
        net.train()
        for m in net.modules():
            if isinstance(m, nn.Dropout):
                m.eval()
        net(*x)
        net(*[v.flip(0, -1) if v.dim() > 3 else v for v in x])
    return net.eval()


def video(depth=18, width=4, t=4, layout="chan", consensus="after", clips=1, crops=1, size=32, classes=11,
          dropout=0.0, trunk=None, **kw):
    """A model, its example input and the facts that afc must see."""
    kw.setdefault("div", 4)
    trunk = trunk or ResNet(depth, width, t, **kw)
    channels = getattr(trunk, "channels", None) or trunk.num_features
    net = Video(trunk, channels, t, layout, consensus, classes, crops, dropout)
    frames = t * crops
    planes = kw.get("planes", 3)
    shape = {"flat": (clips * frames, planes), "chan": (clips, frames * planes), "seg": (clips, frames, planes)}[layout] + (size, size)
    facts = {
        "frames": t, "depth": depth, "layout": layout, "classes": classes, "crops": crops,
        "shift": bool(kw.get("shift")), "div": kw["div"], "block": kw.get("whole", False),
        "every": kw.get("every", 1), "caffe": kw.get("caffe", False), "width": width,
        "consensus": {"before": "before", "gap5d": "before", "none": "none"}.get(consensus, "after"),
        "softmax": consensus in ("softmax", "prob"), "tail": consensus == "logsoftmax",
    }
    if not kw.get("shift") and (t == 1 or layout == "flat" and consensus == "none"):
        facts["flag"] = True  # T must be given by --frames
    return net, (torch.randn(shape),), facts


def bytes_video(**kw):
    """A model that takes bytes, channels last."""
    net, x, facts = video(**kw)
    n, t, c, h, w = x[0].shape
    net = models.Bytes(net)
    return net, (torch.randint(0, 256, (n, t, h, w, c), dtype=torch.uint8),), facts | {"layout": "last"}


def wrapped(kind, **kw):
    net, x, facts = video(**kw)
    return kind(net), x, facts


def open_frames(**kw):
    net, x, facts = wrapped(models.OpenFrames, layout="seg", clips=2, **kw)
    return net, x, facts | {"flag": True, "open": True}


def every_second(**kw):
    net, x, facts = wrapped(models.EverySecond, layout="seg", **kw)
    return net, (torch.randn((1, 8) + x[0].shape[2:]),), facts | {"layout": "other", "strided": True}


def normed(kind, **kw):
    """A network whose normalisations become another kind once they are calibrated."""
    net, x, facts = video(**kw)
    return net, x, facts | {"norms": kind}


def torchscript(net, x, path, opset=13, dynamic=None, **kw):
    axes = None
    if dynamic:
        axes = {"video": {0: "batch"}, "logits": {0: "batch"}}
        d = x[0].dim()
        if dynamic in ("size", "all"):
            axes["video"] |= {d - 2: "height", d - 1: "width"}
        if dynamic in ("frames", "all"):
            axes["video"] |= {1: "frames"}
        if dynamic == "clip":  # all images are one clip
            axes = {"video": {0: "frames"}}
    names = ["video"] + [f"buffer{i}" for i in range(1, len(x))]
    torch.onnx.export(net, x, path, dynamo=False, opset_version=opset, input_names=names,
                      output_names=["logits"], dynamic_axes=axes, **kw)


def dynamo(net, x, path, opset=18, dynamic=None, **kw):
    shapes = None
    if dynamic:
        shapes = ({0: torch.export.Dim.AUTO},)
    kw.setdefault("external_data", False)
    torch.onnx.export(net, x, path, dynamo=True, opset_version=opset, input_names=["video"],
                      output_names=["logits"], dynamic_shapes=shapes, verbose=False, **kw)


# ---- rewriting a file as other tools leave it

def edit(path, *fns):
    m = onnx.load(path)
    for f in (no_traces, *fns):
        m = f(m) or m
    onnx.save(m, path)


def no_traces(m):
    """The dynamo exporter's stack traces name folders of the machine that
    exported; its other notes on each node take more room than the weights."""
    for n in [*m.graph.node, *(n for f in m.functions for n in f.node)]:
        kept = [p for p in n.metadata_props if p.key == "namespace"]
        del n.metadata_props[:]
        n.metadata_props.extend(kept)
    m.doc_string = ""


def convert_to(version):
    return lambda m: version_converter.convert_version(m, version)


def constants(m):
    """Weights as Constant nodes."""
    nodes = [helper.make_node("Constant", [], [i.name], value=i) for i in m.graph.initializer]
    old = list(m.graph.node)
    del m.graph.initializer[:], m.graph.node[:]
    m.graph.node.extend(nodes + old)


def unnamed(m):
    for n in m.graph.node:
        n.name = ""
    m.graph.doc_string = ""
    del m.graph.value_info[:]


def typed_data(m):
    """Elements in float_data and int64_data in place of raw_data."""
    for i in m.graph.initializer:
        a = numpy_helper.to_array(i)
        field = {1: i.float_data, 7: i.int64_data}.get(i.data_type)
        if field is not None:
            i.ClearField("raw_data")
            field.extend(a.ravel().tolist())


def half_weights(m):
    """Convolution weights stored as float16 and cast back where they are used."""
    inits, casts = {i.name: i for i in m.graph.initializer}, []
    for n in m.graph.node:
        if n.op_type != "Conv":
            continue
        for k, name in enumerate(n.input[1:], 1):
            i = inits[name]
            if i.data_type == 1:
                i.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(i).astype(np.float16), name))
                casts.append(helper.make_node("Cast", [name], [name + "_f32"], to=1))
            n.input[k] = name + "_f32"
    old = list(m.graph.node)
    del m.graph.node[:]
    m.graph.node.extend(casts + old)


def functions(m):
    """Every Relu, and every Reshape, becomes a call of a model-local function."""
    opset = m.opset_import[0]
    m.functions.append(helper.make_function("afc.test", "act", ["x"], ["y"],
                                            [helper.make_node("Relu", ["x"], ["y"])], [opset]))
    m.functions.append(helper.make_function(
        "afc.test", "view", ["x", "s"], ["y"],
        [helper.make_node("Identity", ["x"], ["t"]), helper.make_node("Reshape", ["t", "s"], ["y"])], [opset]))
    m.opset_import.append(helper.make_opsetid("afc.test", 1))
    for n in m.graph.node:
        if n.op_type in ("Relu", "Reshape"):
            n.op_type, n.domain = ("act" if n.op_type == "Relu" else "view"), "afc.test"
            del n.attribute[:]
    m.ir_version = max(m.ir_version, 8)


def external(name):
    def f(m):
        onnx.external_data_helper.convert_model_to_external_data(m, location=name + ".data", size_threshold=256)
    return f


def wrong_bias(m):
    """A folded convolution with another's bias (pytorch#166797): the length does not fit."""
    convs = [n for n in m.graph.node if n.op_type == "Conv"]
    shapes = {i.name: list(i.dims) for i in m.graph.initializer}
    first = next(n for n in convs[1:] if shapes[n.input[2]] != shapes[convs[0].input[2]])
    first.input[2] = convs[0].input[2]
    del m.graph.value_info[:]


def shared_bias(m):
    """The same, where the lengths agree: a block's first convolution and its
    residual path's read one tensor, and got one bias."""
    readers = {}
    for n in m.graph.node:
        if n.op_type == "Conv":
            if n.input[0] in readers:
                n.input[2] = readers[n.input[0]].input[2]
            readers[n.input[0]] = n


def constant_shift(m):
    """The shift of one block became a constant at export (temporal-shift-module#181)."""
    convs = [n for n in m.graph.node if n.op_type == "Conv"]
    inferred = {v.name: v for v in onnx.shape_inference.infer_shapes(m).graph.value_info}
    conv = next(n for n in convs if "layer2" in n.name or "layer2" in n.input[0])
    dims = [d.dim_value for d in inferred[conv.input[0]].type.tensor_type.shape.dim]
    zero = helper.make_node("ConstantOfShape", ["frozen_shape"], ["frozen"],
                            value=numpy_helper.from_array(np.zeros(1, np.float32)))
    m.graph.initializer.append(numpy_helper.from_array(np.array(dims, np.int64), "frozen_shape"))
    conv.input[0] = "frozen"
    m.graph.node.insert(0, zero)
    used = {i for n in m.graph.node for i in n.input} | {o.name for o in m.graph.output}
    for n in reversed(list(m.graph.node)):  # what only the lost shift read is dead now
        if not any(o in used for o in n.output):
            m.graph.node.remove(n)
            used = {i for n in m.graph.node for i in n.input} | {o.name for o in m.graph.output}


def zero_weights(m):
    """Structure only: float initializers of any size become ConstantOfShape zeros."""
    shapes = []
    for i in list(m.graph.initializer):
        if i.data_type == 1 and np.prod(i.dims) > 64:
            shapes.append((i.name, list(i.dims)))
            m.graph.initializer.remove(i)
    for name, dims in shapes:
        m.graph.initializer.append(numpy_helper.from_array(np.array(dims, np.int64), name + "_shape"))
        m.graph.node.insert(0, helper.make_node("ConstantOfShape", [name + "_shape"], [name]))


def slim(m):
    import onnxslim
    return onnxslim.slim(m)


def sim(m):
    import onnxsim
    out, ok = onnxsim.simplify(m)
    assert ok
    return out


# ---- the list

def timm_trunk(layers, block, width=4, **kw):
    import timm.models.resnet as R
    r = R.ResNet(getattr(R, block), layers, num_classes=0, stem_width=32, global_pool="",
                 channels=tuple(width << i for i in range(4)), **kw)
    r.conv1, r.bn1 = nn.Conv2d(3, r.layer1[0].conv1.in_channels, 7, 2, 3, bias=False), r.bn1
    return r


def torchvision_trunk(layers, block, width=4):
    import torchvision.models.resnet as R
    r = R.ResNet(getattr(R, block), [1, 1, 1, 1])
    r.inplanes = width
    r.conv1, r.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
    for i, n in enumerate(layers):
        setattr(r, f"layer{i + 1}", r._make_layer(getattr(R, block), width << i, n, 2 if i else 1))
    channels = r.inplanes
    r.avgpool, r.fc = nn.Identity(), nn.Identity()
    r.forward = lambda x: r.layer4(r.layer3(r.layer2(r.layer1(r.maxpool(r.relu(r.bn1(r.conv1(x))))))))
    r.channels = channels
    return r


def timm_video(layers, block, depth, avg_down=False, **kw):
    net, x, facts = video(depth=depth, trunk=timm_trunk(layers, block, avg_down=avg_down), **kw)
    return net, x, facts | {"avg_down": avg_down}


TS, DYN = torchscript, dynamo
PRESERVE, TRAINING = torch.onnx.TrainingMode.PRESERVE, torch.onnx.TrainingMode.TRAINING
SEG = dict(layout="seg")

# name: (model, exporter, exporter options, edits of the file)
GOOD = {
    # depths, both exporters
    "tsn_r18_op17": (lambda: video(18), TS, dict(opset=17), []),
    "tsn_r34_op9": (lambda: video(34, 4), TS, dict(opset=9), []),
    "tsn_r50_op17": (lambda: video(50, 4), TS, dict(opset=17), []),
    "tsn_r101_op13": (lambda: video(101, 4, consensus="before", **SEG), TS, dict(opset=13), []),
    "tsn_r152_dynamo": (lambda: video(152, 4, **SEG), DYN, dict(opset=18), [zero_weights]),
    "tsn_r50_dynamo_dyn": (lambda: video(50, 4, clips=2, **SEG), DYN, dict(opset=18, dynamic=True), []),
    # the shift, spelling by spelling
    "tsm_r18_zeros_op11": (lambda: video(shift="zeros"), TS, dict(opset=11), []),
    "tsm_r50_zeros_op17_dyn": (lambda: video(50, 4, shift="zeros", clips=2), TS, dict(opset=17, dynamic=True), []),
    "tsm_r18_zeros_dynamo18": (lambda: video(shift="zeros"), DYN, dict(opset=18), []),
    "tsm_r18_zeros_dynamo23_dyn": (lambda: video(shift="zeros", clips=2), DYN, dict(opset=23, dynamic=True), []),
    "tsm_r18_merged_op9": (lambda: video(shift="merged", layout="flat"), TS, dict(opset=9), []),
    "tsm_r50_merged_op11_dyn": (lambda: video(50, 4, shift="merged", clips=2, **SEG), TS, dict(opset=11, dynamic=True), []),
    "tsm_r18_merged_op11_dynsize": (lambda: video(shift="merged", clips=2, **SEG), TS, dict(opset=11, dynamic="size"), []),
    "tsm_r18_merged_dynamo20_dyn": (lambda: video(shift="merged", clips=2, **SEG), DYN, dict(opset=20, dynamic=True), []),
    "tsm_r18_pad_op10": (lambda: video(shift="pad"), TS, dict(opset=10), []),
    "tsm_r18_pad_op12_dyn": (lambda: video(shift="pad", clips=2), TS, dict(opset=12, dynamic=True), []),
    "tsm_r18_pad_dynamo18": (lambda: video(shift="pad"), DYN, dict(opset=18), []),
    "tsm_r18_split_op13": (lambda: video(width=8, div=8, shift="split", t=8), TS, dict(opset=13), []),
    "tsm_r18_split_op14_dyn": (lambda: video(shift="split", clips=2), TS, dict(opset=14, dynamic=True), []),
    "tsm_r18_split_dynamo18": (lambda: video(shift="split"), DYN, dict(opset=18), []),
    "tsm_r18_split_dynamo_noopt": (lambda: video(shift="split", clips=2), DYN, dict(opset=18, dynamic=True, optimize=False), []),
    "tsm_r18_conv1d_op13": (lambda: video(shift="conv1d"), TS, dict(opset=13), []),
    "tsm_r18_conv1d_dynamo_dyn": (lambda: video(shift="conv1d", clips=2), DYN, dict(opset=18, dynamic=True), []),
    "tsm_r18_assign_op17": (lambda: video(shift="assign"), TS, dict(opset=17), []),
    "tsm_r18_assign_dynamo20_dyn": (lambda: video(shift="assign", clips=2, **SEG), DYN, dict(opset=20, dynamic=True), []),
    "tsm_r18_gather_op13_dyn": (lambda: video(shift="gather", clips=2), TS, dict(opset=13, dynamic=True), []),
    "tsm_r18_masked_dynamo21": (lambda: video(shift="masked"), DYN, dict(opset=21), []),
    "tsm_r18_conv3d_op13": (lambda: video(shift="conv3d"), TS, dict(opset=13), []),
    "tsm_r18_swapped_op13": (lambda: video(shift="swapped"), TS, dict(opset=13), []),
    "tsm_r18_split_dynamo24_dyn": (lambda: video(shift="split", clips=2, **SEG), DYN, dict(opset=24, dynamic=True), []),
    # where it stands, how much it takes
    "tsm_r18_block_op13": (lambda: video(shift="zeros", whole=True), TS, dict(opset=13), []),
    "tsm_r50_block_dynamo": (lambda: video(50, 4, shift="pad", whole=True, **SEG), DYN, dict(opset=18), [zero_weights]),
    "tsm_r101_every2_op13": (lambda: video(101, 4, shift="merged", every=2, consensus="keepdims"), TS, dict(opset=13), [zero_weights]),
    "tsm_r152_every2_dynamo": (lambda: video(152, 4, shift="split", every=2), DYN, dict(opset=18), [zero_weights]),
    "tsm_r18_div3_op13": (lambda: video(width=6, shift="split", div=3, t=5), TS, dict(opset=13), []),
    "tsm_r50_caffe_op13": (lambda: video(50, 4, shift="split", caffe=True, bias=True), TS, dict(opset=13), []),
    "tsn_r50_caffe_dynamo": (lambda: video(50, 4, caffe=True), DYN, dict(opset=18), [zero_weights]),
    # consensus
    "tsn_r18_before_op11_dyn": (lambda: video(consensus="before", clips=2, **SEG), TS, dict(opset=11, dynamic=True), []),
    "tsn_r18_softmax_op13": (lambda: video(consensus="softmax"), TS, dict(opset=13), []),
    "tsn_r18_sumdiv_op13": (lambda: video(consensus="sumdiv"), TS, dict(opset=13), []),
    "tsn_r18_avgpool_op13": (lambda: video(consensus="avgpool"), TS, dict(opset=13), []),
    "tsn_r18_gap1d_op13_dyn": (lambda: video(consensus="gap1d", clips=2), TS, dict(opset=13, dynamic=True), []),
    "tsn_r18_gap5d_op13": (lambda: video(consensus="gap5d"), TS, dict(opset=13), []),
    "tsn_r18_gap5d_dynamo": (lambda: video(consensus="gap5d"), DYN, dict(opset=18), []),
    "tsn_r18_spatialmean_dynamo": (lambda: video(consensus="spatialmean"), DYN, dict(opset=18), []),
    "tsn_r18_frames_op11": (lambda: video(consensus="none", layout="flat"), TS, dict(opset=11), []),
    "tsm_r18_frames_op11_dyn": (lambda: video(consensus="none", layout="flat", shift="merged", clips=2), TS, dict(opset=11, dynamic=True), []),
    "tsm_r18_10crop_prob_op11": (lambda: video(shift="merged", crops=10, consensus="prob", **SEG), TS, dict(opset=11), []),
    "tsm_r18_10crop_flat_op11": (lambda: video(shift="merged", crops=10, layout="flat"), TS, dict(opset=11), []),
    "tsn_r18_logsoftmax_op13": (lambda: video(consensus="logsoftmax"), TS, dict(opset=13), []),
    # inputs
    "tsn_r18_bytes_op13": (lambda: bytes_video(**SEG), TS, dict(opset=13), []),
    "tsm_r18_flow_op13_dyn": (lambda: video(shift="zeros", planes=10, clips=2), TS, dict(opset=13, dynamic=True), []),
    "tsn_r18_one_frame_op11": (lambda: video(t=1, **SEG), TS, dict(opset=11), []),
    "tsn_r18_one_image_op13": (lambda: video(t=1, layout="flat", consensus="none"), TS, dict(opset=13), []),
    "tsm_r18_open_frames_op13": (lambda: open_frames(shift="pad"), TS, dict(opset=13, dynamic="frames"), []),
    "tsn_r18_open_frames_op11": (lambda: open_frames(), TS, dict(opset=11, dynamic="frames"), []),
    "tsm_r18_prob_all_open_op11": (lambda: video(shift="merged", clips=2, consensus="prob", **SEG), TS, dict(opset=11, dynamic="all"), []),
    "tsm_r18_every_second_op13": (lambda: every_second(shift="pad"), TS, dict(opset=13), []),
    "tsm_r18_half_open_op13": (lambda: video(shift="split", clips=2, **SEG), "half", dict(opset=13, dynamic=True), []),
    # BN, initializers, constants
    "tsm_r18_frozen_norm_op13": (lambda: normed(models.FrozenNorm, shift="split"), TS, dict(opset=13), []),
    "tsn_r50_scaled_norm_op13": (lambda: normed(models.ScaledNorm, depth=50, width=4), TS, dict(opset=13), []),
    "tsn_r18_preserve_op13": (lambda: video(), TS, dict(training=PRESERVE), []),
    "tsm_r18_training_op13": (lambda: video(shift="split", dropout=0.5), TS, dict(training=TRAINING, do_constant_folding=False), []),
    "tsn_r18_training_op15": (lambda: video(dropout=0.5), TS, dict(opset=15, training=TRAINING, do_constant_folding=False), []),
    "tsn_r18_dynamo_noopt": (lambda: video(**SEG), DYN, dict(opset=18, optimize=False), []),
    "tsn_r18_inits_as_inputs": (lambda: video(layout="flat", shift="merged"), TS, dict(opset=11, keep_initializers_as_inputs=True), []),
    "tsn_r18_half_weights": (lambda: video(), TS, dict(), [half_weights]),
    "tsn_r18_half": (lambda: video(), "half", dict(), []),
    "tsm_r18_functions": (lambda: video(shift="split"), TS, dict(opset=15), [functions]),
    "tsn_r18_constants": (lambda: video(), TS, dict(), [constants]),
    "tsm_r18_unnamed": (lambda: video(shift="zeros"), TS, dict(), [unnamed]),
    "tsn_r18_typed_data": (lambda: video(), TS, dict(), [typed_data]),
    "tsn_r18_external": (lambda: video(), TS, dict(), [external("tsn_r18_external.onnx")]),
    # other sources and tools
    "tsn_r18_torchvision": (lambda: video(trunk=torchvision_trunk((2, 2, 2, 2), "BasicBlock"), **SEG), DYN, dict(opset=18), []),
    "image_r50_torchvision": (lambda: video(50, consensus="none", layout="flat", trunk=torchvision_trunk((3, 4, 6, 3), "Bottleneck")), TS, dict(opset=17), []),
    "tsn_r18_timm": (lambda: timm_video((2, 2, 2, 2), "BasicBlock", 18), TS, dict(opset=17), []),
    "tsn_r50d_timm": (lambda: timm_video((3, 4, 6, 3), "Bottleneck", 50, avg_down=True), DYN, dict(opset=18), []),
    "tsm_r18_zeros_onnxslim": (lambda: video(shift="zeros"), TS, dict(opset=13), [slim]),
    "tsm_r18_merged_onnxsim": (lambda: video(shift="merged"), TS, dict(opset=11), [sim]),
    "tsm_r18_pad_onnxsim": (lambda: video(shift="pad"), TS, dict(opset=11), [sim]),
    "tsn_r18_to_op21": (lambda: video(), TS, dict(opset=17), [convert_to(21)]),
    "tsm_r18_split_to_op23": (lambda: video(shift="split"), TS, dict(opset=17), [convert_to(23)]),
    "tsm_r18_split_op10": (lambda: video(shift="split"), TS, dict(opset=10), []),
}


def refused(trunk_channels, trunk, t=4):
    return Video(trunk, trunk_channels, t), (torch.randn(1, 12, 32, 32),), {"refused": True}


def temporal_pool():
    net = ResNet(18, 4, 4)
    v = Video(models.TemporalPool(net, 4), net.channels, 2)
    return v, (torch.randn(1, 12, 32, 32),), {"refused": True}


def non_local():
    net = ResNet(18, 4, 4)
    net.layer2 = nn.Sequential(net.layer2[0], models.NonLocal(8, 4), net.layer2[1])
    return refused(net.channels, net)


def online():
    net = ResNet(18, 4)
    o = models.Online(net, net.channels, div=4)
    return o, (torch.randn(1, 3, 32, 32), *[torch.randn(s) for s in o.shapes]), {"refused": True}


def refuse(make):
    def f():
        net, x, facts = make()
        return net, x, {"refused": True, "flag": facts.get("flag", False)}
    return f


def excited(cbam):
    net = ResNet(18, 4, 4, shift="pad", div=4)
    for s in range(4):
        for b in getattr(net, f"layer{s + 1}"):
            b.bn2 = nn.Sequential(b.bn2, models.Excite(b.bn2.num_features, cbam))
    return refused(net.channels, net)


def two_layers():
    net, x, _ = video()
    c = net.fc.in_features
    net.fc = nn.Sequential(nn.Linear(c, 2 * c), nn.ReLU(), nn.Linear(2 * c, 11))
    return net, x, {"refused": True}


def features():
    net, x, _ = video(shift="pad")
    net.fc = nn.Identity()
    return net, x, {"refused": True}


def mobilenet():
    net = models.MobileNet(8, 4, "zeros")
    return refused(net.channels, net)


def inception():
    net = models.Inception()
    return refused(net.channels, net)


def qdq(m):
    """Convolutions read quantised and dequantised tensors, as every quantiser writes them."""
    scale, zero = (numpy_helper.from_array(np.array(v, d), n) for v, d, n in ((0.05, np.float32, "q_scale"), (0, np.int8, "q_zero")))
    m.graph.initializer.extend([scale, zero])
    nodes, done = [], {}
    for n in m.graph.node:
        if n.op_type == "Conv":
            for k in (0, 1):
                v = n.input[k]
                if v not in done:
                    done[v] = v + "_dq"
                    nodes.append(helper.make_node("QuantizeLinear", [v, "q_scale", "q_zero"], [v + "_q"]))
                    nodes.append(helper.make_node("DequantizeLinear", [v + "_q", "q_scale", "q_zero"], [v + "_dq"]))
                n.input[k] = done[v]
        nodes.append(n)
    del m.graph.node[:]
    m.graph.node.extend(nodes)


def qlinear(m):
    """The first convolutions as QLinearConv."""
    for name, v in (("q_scale", np.float32(0.05)), ("q_zero", np.int8(0))):
        m.graph.initializer.append(numpy_helper.from_array(np.array(v), name))
    nodes = []
    for n in m.graph.node:
        if n.op_type == "Conv":
            x, w, y = n.input[0], n.input[1], n.output[0]
            q = ["q_scale", "q_zero"]
            nodes += [helper.make_node("QuantizeLinear", [x, *q], [y + "_x"]), helper.make_node("QuantizeLinear", [w, *q], [y + "_w"])]
            conv = helper.make_node("QLinearConv", [y + "_x", *q, y + "_w", *q, *q], [y + "_y"], n.name)
            conv.attribute.extend(n.attribute)
            nodes += [conv, helper.make_node("DequantizeLinear", [y + "_y", *q], [y])]
        else:
            nodes.append(n)
    del m.graph.node[:]
    m.graph.node.extend(nodes)


def saved_by_runtime(level):
    def f(m):
        import onnxruntime as ort
        import tempfile
        with tempfile.TemporaryDirectory() as d:
            opt = ort.SessionOptions()
            opt.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
            opt.optimized_model_filepath = os.path.join(d, "m.onnx")
            opt.log_severity_level = 3
            ort.InferenceSession(m.SerializeToString(), opt, providers=["CPUExecutionProvider"])
            return onnx.load(os.path.join(d, "m.onnx"))
    return f


BAD = {
    "bad_excited": (lambda: excited(False), TS, dict(opset=13), []),
    "bad_cbam": (lambda: excited(True), TS, dict(opset=13), []),
    "bad_two_layers": (two_layers, TS, dict(opset=13), []),
    "bad_features": (features, TS, dict(opset=13), []),
    "bad_mobilenet": (mobilenet, TS, dict(opset=13), []),
    "bad_inception": (inception, TS, dict(opset=13), []),
    "bad_qdq": (refuse(lambda: video(shift="pad")), TS, dict(opset=13), [qdq]),
    "bad_qlinear": (refuse(lambda: video(shift="pad")), TS, dict(opset=13), [qlinear]),
    "bad_saved_default": (refuse(lambda: video(shift="pad")), TS, dict(opset=13), [saved_by_runtime("ORT_ENABLE_ALL")]),
    "bad_saved_extended": (refuse(lambda: video(shift="pad")), TS, dict(opset=13), [saved_by_runtime("ORT_ENABLE_EXTENDED")]),
    "bad_temporal_pool": (temporal_pool, TS, dict(opset=13), []),
    "bad_non_local": (non_local, TS, dict(opset=13), []),
    "bad_online": (online, TS, dict(opset=13), []),
    "bad_roll": (refuse(lambda: video(shift="roll")), TS, dict(opset=13), []),
    "bad_one_way": (refuse(lambda: video(shift="backward_only")), TS, dict(opset=13), []),
    "bad_conv3d": (lambda: (models.Conv3d(), (torch.randn(1, 3, 4, 32, 32),), {"refused": True}), TS, dict(opset=13), []),
    "bad_constant_shift": (refuse(lambda: video(shift="zeros")), TS, dict(opset=13), [constant_shift]),
    "bad_wrong_bias": (refuse(lambda: video()), TS, dict(opset=13), [wrong_bias]),
    "bad_shared_bias": (refuse(lambda: video()), TS, dict(opset=13), [shared_bias]),
    "bad_no_frames": (refuse(lambda: video(layout="flat", consensus="none")), TS, dict(opset=13, dynamic=True), []),
    "bad_plain": (lambda: (models.Plain(), (torch.randn(4, 3, 32, 32),), {"refused": True}), TS, dict(opset=13), []),
    "bad_dense": (lambda: (models.Dense(), (torch.randn(4, 3, 32, 32),), {"refused": True}), TS, dict(opset=13), []),
}


# ---- making

def answers(net, x):
    with torch.no_grad():
        y = net(*x)
    return y if isinstance(y, tuple) else (y,)


def make(name, spec):
    build, export, options, edits = spec
    torch.manual_seed(zlib.crc32(name.encode()))
    net, x, facts = build()
    if export == "half" or half_weights in edits:
        facts["half"] = True
    x = tuple((v * 64).round() / 64 if v.is_floating_point() else v for v in x)  # compresses
    if len(x) == 1:  # online TSM steps frame by frame: no batch to calibrate on
        one = facts.get("frames") == 1  # too little to calibrate on
        calibrate(net, (torch.randn((8,) + x[0].shape[1:]),) if one else x)
    net.eval()
    if kind := facts.get("norms"):
        models.norms_as(net, kind).eval()
        facts["norms"] = True
    path = os.path.join(HERE, name + ".onnx")
    for old in (path, path + ".data"):
        if os.path.exists(old):
            os.remove(old)
    if export == "half":
        net, x, export = net.half(), tuple(v.half() for v in x), TS
    y = answers(net, x)
    export(net, x, path, **options)
    edit(path, *edits)
    if facts.get("refused"):
        edit(path, zero_weights)
    elif zero_weights in edits:
        facts["stripped"] = True
    else:
        arrays = {"video": x[0].numpy(), "logits": y[0].numpy()}
        if facts.get("open"):  # the same weights on clips of another length
            x6 = (torch.randn(x[0][:, :1].shape).repeat(1, 6, 1, 1, 1) * torch.randn(1, 6, 1, 1, 1) * 8).round() / 8
            arrays |= {"video6": x6.numpy(), "logits6": net(x6).detach().numpy()}
        np.savez_compressed(os.path.join(HERE, name + ".npz"), **arrays)
    m = onnx.load(path, load_external_data=False)
    facts["exporter"] = "dynamo" if export is DYN else "torchscript"
    facts["opset"] = m.opset_import[0].version
    return facts


def main():
    names = sys.argv[1:]
    path = os.path.join(HERE, "facts.json")
    facts = json.load(open(path)) if names and os.path.exists(path) else {}
    for name, spec in (GOOD | BAD).items():
        if names and name not in names:
            continue
        try:
            facts[name] = make(name, spec)
            print(name, os.path.getsize(os.path.join(HERE, name + ".onnx")), flush=True)
        except Exception as e:  # one that the installed exporter cannot write leaves the others alone
            print(name, "FAILED:", str(e).splitlines()[0] if str(e) else repr(e), file=sys.stderr, flush=True)
    with open(path, "w") as f:
        json.dump(dict(sorted(facts.items())), f, indent=1, sort_keys=True)
        f.write("\n")


if __name__ == "__main__":
    main()
