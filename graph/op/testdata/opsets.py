"""Writes opsets.tar.gz: cases, laid out as the backend tests are, of the forms
that operators had in earlier opsets, and of corners that the backend tests
leave out. The outputs are what ONNX Runtime 1.30.0 computes.

python opsets.py
"""

import os

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from archive import Archive

onnxruntime.set_default_logger_severity(4)
rng = np.random.default_rng(7)
F, I = np.float32, np.int64


def f(*dims):
    return rng.integers(-20, 20, dims).astype(F) / 4


def i(*values):
    return np.array(values, I)


CASES = []


def case(op, opset, inputs, outputs=1, constant=(), **attrs):
    """inputs: arrays, None where left out; constant: which of them are initializers."""
    CASES.append((op, opset, inputs, outputs, constant, attrs))


x3, x4 = f(2, 3, 4), f(2, 3, 5, 4)
for opset in (7, 11, 13):
    for axis in (0, 1, 2) + ((-1, -2) if opset >= 11 else ()):
        case("Softmax", opset, [x3], axis=axis)
        case("LogSoftmax", opset, [x3], axis=axis)
    case("Softmax", opset, [x3])
    case("LogSoftmax", opset, [x3])
    case("Hardmax", opset, [x3])

for opset in (7, 10):
    case("Pad", opset, [x3], pads=[1, 0, 2, 0, 1, 1], mode="constant", value=2.5)
    case("Pad", opset, [x3], pads=[0, -1, 2, 1, 0, -1])
    case("Pad", opset, [x3], pads=[1, 2, 3, 1, 1, 0], mode="reflect")
    case("Pad", opset, [x3], pads=[1, 0, 0, 1, 4, 2], mode="edge")
for opset in (11, 13, 18, 19, 21, 23):
    pads = i(1, 0, 2, 0, 1, 1)
    case("Pad", opset, [x3, pads], constant=[1])
    case("Pad", opset, [x3, pads, F(1.5)], constant=[1])
    case("Pad", opset, [x3, i(0, -1, 1, 1, 0, -2), F(1.5)], constant=[1])
    case("Pad", opset, [x3, pads], constant=[1], mode="reflect")
    case("Pad", opset, [x3, pads], constant=[1], mode="edge")
    case("Pad", opset, [(x3 * 4).astype(I), pads, I(-7)], constant=[1])
for opset in (18, 19, 21):
    case("Pad", opset, [x3, i(2, 1, 0, 3), None, i(-1, 0)], constant=[1, 3])
for opset in (19, 21):
    case("Pad", opset, [x3, i(1, 0, 3, 0, 2, 1)], constant=[1], mode="wrap")

for opset in (7, 9):
    case("Slice", opset, [x3], starts=[0, 1], ends=[1, 3])
    case("Slice", opset, [x3], starts=[-3, -100], ends=[-1, 2**31 - 1], axes=[1, 2])
    case("Slice", opset, [x3], starts=[2], ends=[1], axes=[2])
for opset in (10, 11, 13):
    case("Slice", opset, [x3, i(1), i(1000), i(2)], constant=[1, 2, 3])
    case("Slice", opset, [x3, i(-1, 10), i(-1000, 0), i(1, 2), i(-1, -2)], constant=[1, 2, 3, 4])
    case("Slice", opset, [x3, i(0, 3), i(2, 2**63 - 1), i(0, 2), i(2, 1)], constant=[1, 2, 3, 4])
    case("Slice", opset, [x3, i(1, 0, 1), i(2, 2, 9)], constant=[1, 2])
    case("Slice", opset, [x3, np.array([0], np.int32), np.array([2], np.int32), np.array([1], np.int32)], constant=[1, 2, 3])
for opset in (11, 13):
    case("Slice", opset, [x3, i(3), i(-(2**63)), i(-1), i(-1)], constant=[1, 2, 3, 4])

x6 = f(6, 4)
for opset in (7, 11):
    case("Split", opset, [x6], 3)
    case("Split", opset, [x6], 2, split=[1, 5])
    case("Split", opset, [x6], 2, axis=1, split=[4, 0])
case("Split", 11, [x6], 2, axis=-1)
for opset in (13, 18):
    case("Split", opset, [x6, i(2, 1, 3)], 3, constant=[1], axis=0)
    case("Split", opset, [x6, i(3, 1)], 2, constant=[1], axis=-1)
case("Split", 13, [x6], 2)
case("Split", 18, [f(7, 2)], 3, num_outputs=3)
case("Split", 18, [f(8, 2)], 4, num_outputs=4)

one = f(1, 3, 1, 2)
for opset in (7, 11):
    case("Squeeze", opset, [one], axes=[0])
    case("Squeeze", opset, [one], axes=[0, 2])
    case("Squeeze", opset, [one])
    case("Unsqueeze", opset, [x3], axes=[0, 4])
case("Squeeze", 11, [one], axes=[-2])
case("Unsqueeze", 11, [x3], axes=[-1, 1])
for opset in (13, 21, 23):
    case("Squeeze", opset, [one, i(-2, 0)], constant=[1])
    case("Squeeze", opset, [one])
    case("Unsqueeze", opset, [x3, i(-1, 1)], constant=[1])
    case("Unsqueeze", opset, [F(3), i(0)], constant=[1])

for opset in (7, 9):
    case("Flatten", opset, [x4], axis=0)
    case("Flatten", opset, [x4], axis=3)
    case("Flatten", opset, [x4], axis=4)
for opset in (11, 13, 21):
    case("Flatten", opset, [x4], axis=-1)

for opset in (7, 10):
    case("Clip", opset, [x3], min=-1.5, max=2.0)
    case("Clip", opset, [x3], max=0.5)
    case("Clip", opset, [x3])
for opset in (11, 12, 13):
    case("Clip", opset, [x3, None, F(0.5)])
    case("Clip", opset, [x3, F(-1), F(1)])
    case("Clip", opset, [x3, F(2), F(1)])
for dtype in (np.int8, np.uint8, np.int64, np.uint64, np.float64):
    case("Clip", 12, [np.abs(x3 * 4).astype(dtype), dtype(3), dtype(9)])

reductions = ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceL1", "ReduceL2",
              "ReduceLogSumExp"]
for op in reductions:
    case(op, 7, [x3], axes=[0, 2])
    case(op, 7, [x3], axes=[1], keepdims=0)
    case(op, 7, [x3], keepdims=0)
    case(op, 11, [x3], axes=[-1, 0])
    if op == "ReduceSum":
        continue
    case(op, 13, [x3], axes=[-2], keepdims=0)
    for opset in (18, 20):
        if opset == 20 and op not in ("ReduceMax", "ReduceMin"):
            continue
        case(op, opset, [x3, i(-1, 0)], constant=[1], keepdims=0)
        case(op, opset, [x3], keepdims=1)
        case(op, opset, [x3], noop_with_empty_axes=1) if op not in ("ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceLogSumExp") else None
case("ReduceSum", 13, [x3, i(1)], constant=[1], keepdims=0)
case("ReduceSum", 13, [x3])
case("ReduceSum", 13, [x3], noop_with_empty_axes=1)
for op in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceMean"):
    case(op, 11, [(x3 * 4).astype(np.int32)], axes=[1])
    case(op, 11, [(x3 * 4).astype(I)], axes=[1]) if op != "ReduceMean" else None
case("ReduceMax", 12, [(x3 * 4).astype(np.int8)], axes=[2])
case("ReduceMin", 12, [np.abs(x3 * 4).astype(np.uint8)], axes=[2])

for op in ("ArgMax", "ArgMin"):
    case(op, 7, [x3], axis=1)
    case(op, 7, [x3], axis=2, keepdims=0)
    case(op, 11, [x3], axis=-1)
    ties = np.array([[1, 3, 3], [2, 2, 1]], F)
    case(op, 12, [ties], axis=1, select_last_index=1)
    case(op, 12, [ties], axis=1)
    case(op, 13, [ties.astype(np.int32)], axis=0, select_last_index=1)

case("TopK", 7, [x3], 2, axis=2, k=2)
case("TopK", 10, [x3, i(3)], 2, constant=[1], axis=-1)
case("TopK", 11, [x3, i(2)], 2, constant=[1], axis=1, largest=0)
case("TopK", 11, [(x3 * 4).astype(I), i(2)], 2, constant=[1], axis=0)
case("TopK", 11, [np.array([3, 1, 3, 3, 2], F), i(4)], 2, constant=[1])

for opset in (7, 11, 13):
    case("Gather", opset, [x3, np.array([[0, 1], [1, 0]])], axis=0)
    case("Gather", opset, [x3, i(2, 0)], axis=2)
    case("Gather", opset, [x3, I(1)], axis=1)
case("Gather", 11, [x3, np.array([-1, 0], np.int32)], axis=-2)
case("GatherElements", 11, [x3, rng.integers(-3, 3, (2, 2, 4))], axis=1)
case("GatherND", 11, [x3, np.array([[0, 1], [1, -1]])])
case("GatherND", 12, [x3, np.array([[[1], [0]], [[2], [2]]])], batch_dims=1)
case("GatherND", 13, [x4, rng.integers(0, 5, (2, 3, 2, 1))], batch_dims=2)
for opset in (11, 13, 16, 18):
    case("ScatterND", opset, [x3, np.array([[0, 1], [1, 2]]), f(2, 4)])
    case("ScatterND", opset, [x3, np.array([[[1]], [[0]]]), f(2, 1, 3, 4)])
    case("ScatterElements", opset, [x3, rng.permutation(np.tile(np.arange(3), (1, 1)).T)[None].repeat(2, 2), f(1, 3, 2)], axis=1)
for opset, hows in ((16, ("add", "mul")), (18, ("add", "mul", "min", "max"))):
    for how in hows:
        case("ScatterND", opset, [x3, np.array([[0], [0]]), f(2, 3, 4)], reduction=how)
        case("ScatterElements", opset, [x3, rng.integers(0, 3, (2, 3, 4)), f(2, 3, 4)], axis=1, reduction=how)
case("Scatter", 9, [x3, rng.permutation(3)[None, :, None], f(1, 3, 1)], axis=1)

for opset in (7, 9, 13):
    for to, values in ((TensorProto.INT32, x3 * 1.5), (TensorProto.INT64, x3 * 1.5), (TensorProto.BOOL, x3), (TensorProto.FLOAT16, x3 / 3),
                       (TensorProto.DOUBLE, x3), (TensorProto.UINT8, np.abs(x3))):
        case("Cast", opset, [values.astype(F)], to=to)
    case("Cast", opset, [np.array([True, False])], to=TensorProto.FLOAT)
    case("Cast", opset, [i(300, -1, 2**40 + 5)], to=TensorProto.INT32)
    case("Cast", opset, [i(300, -1, 77)], to=TensorProto.UINT8)
    case("Cast", opset, [(x3 / 3).astype(np.float16)], to=TensorProto.FLOAT)
    case("Cast", opset, [np.array([65504, 65520, 1e-8, 6e-8, 3e-5, -0.0, np.inf], F)], to=TensorProto.FLOAT16)

case("Concat", 7, [x3, f(2, 1, 4), x3], axis=1)
case("Concat", 11, [x3, x3], axis=-1)
case("Concat", 11, [x3, f(2, 3, 0)], axis=-1)
case("Tile", 7, [x3, i(2, 1, 3)], constant=[1])
case("Tile", 13, [x3, i(1, 0, 3)], constant=[1])
for opset in (8, 13):
    case("Expand", opset, [f(3, 1), i(2, 1, 4)], constant=[1])
    case("Expand", opset, [f(3, 4), i(1)], constant=[1])
for opset in (9, 16):
    case("Where", opset, [np.array([[True], [False]]), f(3), F(9)])
for opset in (9, 11):
    case("OneHot", opset, [np.array([[0, 2], [5, 1]]), I(3), np.array([-1, 4], F)], constant=[1])
    case("OneHot", opset, [np.array([0, 2]), I(3), np.array([0, 1], I)], constant=[1], axis=0)
for opset in (9, 20, 21):
    case("ConstantOfShape", opset, [i(2, 3)], constant=[0], value=helper.make_tensor("v", TensorProto.INT32, [1], [7]))
    case("ConstantOfShape", opset, [i(0, 3)], constant=[0])
    case("ConstantOfShape", opset, [np.zeros(0, I)], constant=[0])
case("EyeLike", 9, [f(3, 5)], k=-1)
case("EyeLike", 9, [f(3, 5)], k=2, dtype=TensorProto.INT64)
for opset in (9, 13):
    case("NonZero", opset, [np.array([[1.5, 0, -0.0], [0, -2, 3]], F)])
for start, limit, delta in ((2, 11, 3), (10, -5, -4), (3, 3, 1), (3, 1, 1)):
    case("Range", 11, [I(start), I(limit), I(delta)], constant=[0, 1, 2])
case("Range", 11, [F(0), F(1), F(0.3)], constant=[0, 1, 2])
for reverse in (0, 1):
    for exclusive in (0, 1):
        case("CumSum", 11, [x3, np.int32(-2)], constant=[1], reverse=reverse, exclusive=exclusive)
for k in (-2, 0, 1, 9):
    case("Trilu", 14, [x3, I(k)], constant=[1], upper=0)
    case("Trilu", 14, [x3, I(k)], constant=[1])
for opset in (7, 13, 14):
    case("Reshape", opset, [x3, i(0, -1)], constant=[1])
    case("Reshape", opset, [x3, i(4, 0, -1)], constant=[1])
case("Reshape", 14, [f(0, 3), i(3, 0)], constant=[1], allowzero=1)
case("Transpose", 7, [x4], perm=[2, 0, 3, 1])
case("Transpose", 21, [x4])
case("Shape", 15, [x4], start=1, end=-1)
case("Shape", 15, [x4], start=-2)
case("Shape", 7, [x4])
case("Size", 7, [x4])

a, b = (x3 * 4).astype(np.int32), rng.integers(1, 9, (3, 1)).astype(np.int32)
for op in ("Add", "Sub", "Mul", "Div"):
    for opset in (7, 13, 14):
        case(op, opset, [a, b])
        case(op, opset, [x3, b.astype(F)])
    case(op, 14, [np.abs(a).astype(np.uint8), b.astype(np.uint8)])
    case(op, 7, [a.astype(I) * 2**40, b.astype(I)])
for fmod in (0, 1):
    case("Mod", 10, [a, b * -1], fmod=fmod)
    case("Mod", 13, [a, b], fmod=fmod)
case("Mod", 10, [x3, b.astype(F)], fmod=1)
for opset in (7, 12, 13, 15):
    case("Pow", opset, [np.abs(x3), np.full((1,), 1.5, F)])
case("Pow", 12, [a, (b % 3).astype(I)])
case("Pow", 13, [x3, (b % 3).astype(np.int32)])
for opset in (7, 9, 11, 13):
    for op in ("Greater", "Less"):
        case(op, opset, [x3, f(3, 1)])
    case("Equal", opset, [a, b])
    if opset >= 9:
        case("Greater", opset, [a.astype(I), b.astype(I)])
for op in ("GreaterOrEqual", "LessOrEqual"):
    case(op, 12, [x3, x3[:1]])
for op in ("Max", "Min", "Sum", "Mean"):
    case(op, 8, [x3, f(3, 1), f(4)])
    case(op, 13, [x3])
for op in ("Floor", "Ceil", "Abs", "Neg", "Sqrt", "Reciprocal", "Relu", "Sigmoid", "Tanh", "Exp", "Erf", "Round", "Sign"):
    case(op, {"Erf": 9, "Sign": 9, "Round": 11}.get(op, 7), [np.abs(x3) + F(0.25) if op in ("Sqrt", "Reciprocal") else x3])
case("Relu", 14, [a])
case("Abs", 13, [a.astype(np.int8)])

for opset in (7, 9, 11, 13):
    case("Gemm", opset, [f(3, 4), f(4, 2), f(2)], alpha=0.5, beta=2.0)
    case("Gemm", opset, [f(4, 3), f(2, 4), f(3, 1)], transA=1, transB=1)
case("Gemm", 11, [f(3, 4), f(4, 2)])
for shapes in (((3, 4), (4, 2)), ((4,), (4, 2)), ((3, 4), (4,)), ((4,), (4,)), ((2, 1, 3, 4), (5, 4, 2)), ((2, 3, 4), (4,))):
    case("MatMul", 9, [f(*shapes[0]), f(*shapes[1])])
case("MatMul", 9, [a[0], np.arange(8, dtype=np.int32).reshape(4, 2)])

image = f(2, 4, 9, 8)
for opset in (7, 11, 22):
    case("Conv", opset, [image, f(6, 4, 3, 3), f(6)], pads=[1, 0, 2, 1], strides=[2, 1])
    case("Conv", opset, [image, f(6, 2, 3, 2)], group=2, dilations=[2, 3])
    case("Conv", opset, [image, f(4, 1, 3, 3)], group=4, auto_pad="SAME_UPPER", strides=[2, 2])
    case("Conv", opset, [image, f(4, 4, 2, 2)], auto_pad="SAME_LOWER")
    case("Conv", opset, [f(2, 3, 11), f(3, 1, 3)], group=3, pads=[1, 1])
case("Conv", 11, [f(1, 2, 4, 5, 3), f(3, 2, 2, 3, 1)], strides=[1, 2, 1])
for opset in (8, 10, 12, 22):
    case("MaxPool", opset, [image], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    case("MaxPool", opset, [image], 2, kernel_shape=[2, 3], strides=[2, 1])
    case("MaxPool", opset, [image], 2, kernel_shape=[2, 2], storage_order=1)
    case("MaxPool", opset, [image], kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER")
for opset in (10, 12, 22):
    case("MaxPool", opset, [image], kernel_shape=[2, 2], strides=[2, 3], ceil_mode=1)
    case("MaxPool", opset, [image], kernel_shape=[2, 2], dilations=[3, 2])
for opset in (7, 11, 19, 22):
    case("AveragePool", opset, [image], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    case("AveragePool", opset, [image], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
    case("AveragePool", opset, [image], kernel_shape=[2, 3], auto_pad="SAME_LOWER")
for opset in (11, 19, 22):
    case("AveragePool", opset, [image], kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1)
case("GlobalAveragePool", 7, [image])
case("GlobalMaxPool", 7, [f(2, 3, 4, 2, 2)])
for opset in (7, 9, 14, 15):
    case("BatchNormalization", opset, [image, f(4), f(4), f(4), np.abs(f(4)) + F(0.5)], epsilon=0.01)
case("BatchNormalization", 9, [f(3, 4), f(4), f(4), f(4), np.abs(f(4)) + F(0.5)])

# Shapes only: these are not evaluated.
for opset in (7, 10, 12, 13, 22):
    case("Dropout", opset, [x3])
case("Upsample", 7, [image], scales=[1.0, 1.0, 2.0, 1.5], mode="nearest")
case("Upsample", 9, [image, np.array([1, 1, 2, 1.5], F)], constant=[1])
case("Resize", 10, [image, np.array([1, 1, 0.5, 2.25], F)], constant=[1])
empty = np.zeros(0, F)
case("Resize", 11, [image, empty, np.array([1, 1, 0.4, 2.2], F)], constant=[1, 2], mode="nearest")
case("Resize", 11, [image, empty, empty, i(2, 4, 5, 17)], constant=[1, 2, 3], mode="linear")
for opset in (13, 18, 19):
    case("Resize", opset, [image, None, np.array([1, 1, 0.4, 2.2], F)], constant=[2], mode="nearest")
    case("Resize", opset, [image, None, None, i(2, 4, 5, 17)], constant=[3], mode="linear")
for opset in (18, 19):
    case("Resize", opset, [image, None, None, i(12, 12)], constant=[3], axes=[2, 3], keep_aspect_ratio_policy="not_larger")
    case("Resize", opset, [image, None, None, i(13, 13)], constant=[3], axes=[3, 2], keep_aspect_ratio_policy="not_smaller")
case("ConvTranspose", 11, [f(1, 3, 5, 4), f(3, 2, 3, 3)], strides=[2, 3], pads=[1, 0, 1, 1], output_padding=[1, 2])
case("InstanceNormalization", 7, [image, f(4), f(4)])
case("LayerNormalization", 17, [x3, f(3, 4), f(3, 4)], axis=1)

# A start before the axis takes its first element where the step is negative.
for opset in (10, 13, 18):
    case("Slice", opset, [x3, i(-100), i(-(2**63)), i(2), i(-1)], constant=[1, 2, 3, 4])
    case("Slice", opset, [x3, i(-4, -6), i(-1000, -1000), i(1, 2), i(-2, -3)], constant=[1, 2, 3, 4])

with Archive("opsets.tar.gz") as z:
    for number, (op, opset, inputs, outputs, constant, attrs) in enumerate(CASES):
        names = ["" if x is None else f"x{k}" for k, x in enumerate(inputs)]
        arrays = {n: np.asarray(x) for n, x in zip(names, inputs) if n}
        fixed = {names[k] for k in constant}
        node = helper.make_node(op, names, [f"y{k}" for k in range(outputs)], **attrs)
        graph = helper.make_graph(
            [node], op,
            [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for n, x in arrays.items() if n not in fixed],
            [helper.make_empty_tensor_value_info(f"y{k}") for k in range(outputs)],
            [numpy_helper.from_array(x, n) for n, x in arrays.items() if n in fixed])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8 if opset < 19 else 10)
        try:
            session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            fed = {n: x for n, x in arrays.items() if n not in fixed}
            results = session.run(None, fed)
        except Exception as e:
            raise SystemExit(f"{op} of opset {opset}: {e}")
        for k, y in enumerate(results):  # inferred types are not the oracle: the results are
            model.graph.output[k].CopyFrom(helper.make_tensor_value_info(f"y{k}", helper.np_dtype_to_tensor_dtype(y.dtype), y.shape))
        folder = f"{number:03d}_{op}_{opset}"
        z.add(f"{folder}/model.onnx", model.SerializeToString(deterministic=True))
        for k, (n, x) in enumerate(fed.items()):
            z.add(f"{folder}/test_data_set_0/input_{k}.pb", numpy_helper.from_array(x, n).SerializeToString(deterministic=True))
        for k, y in enumerate(results):
            z.add(f"{folder}/test_data_set_0/output_{k}.pb", numpy_helper.from_array(y, f"y{k}").SerializeToString(deterministic=True))
print(len(CASES), "cases,", os.path.getsize("opsets.tar.gz"), "bytes")
