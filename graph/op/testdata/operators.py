"""Writes operators.tar.gz: of the backend test cases, for every operator that
../table.go claims and every form of it (number of inputs and outputs,
attributes, element type, opset), the smallest case.

python operators.py CORPUS [CORPUS]   folders with node/, such as onnx 1.23.2's
(python generate.py writes some; all of them with onnx.backend.test) and Debian's
libonnx-testdata 1.12; cases of the second whose opset the first lacks are added
under NAME_1.12.
"""

import collections
import os
import re
import sys

import onnx

from archive import Archive

source = open("../table.go").read()
claimed = set()
for call in re.finditer(r'add\(\d+, \d+, -?\d+, \w+, \w+, ((?:"\w+"[,\s]*)+)\)', source):
    claimed |= set(re.findall(r'"(\w+)"', call.group(1)))

# Strings, complex numbers, 8-bit floats and elements of less than a byte.
NOT_COMPUTED = {8, 14, 15, *range(17, 29)}
SIZE_LIMIT = 6000  # bytes, except where an operator has no smaller case


def operators(graph):
    for n in graph.node:
        yield n.op_type
        for a in n.attribute:
            if a.type == onnx.AttributeProto.GRAPH:
                yield from operators(a.g)


def value(a):
    return a.name, a.i if a.type == onnx.AttributeProto.INT else a.s if a.type == onnx.AttributeProto.STRING else ""


forms = collections.defaultdict(list)
for first, corpus in zip((True, False), sys.argv[1:]):
    for name in sorted(os.listdir(os.path.join(corpus, "node"))):
        path = os.path.join(corpus, "node", name)
        model = onnx.load(os.path.join(path, "model.onnx"))
        values = list(model.graph.input) + list(model.graph.output)
        if len(model.graph.node) != 1 or not set(operators(model.graph)) <= claimed:
            continue
        if any(v.type.WhichOneof("value") != "tensor_type" or v.type.tensor_type.elem_type in NOT_COMPUTED for v in values):
            continue
        files = sorted(os.path.join(r, f) for r, _, fs in os.walk(path) for f in fs)
        node = model.graph.node[0]
        opset = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")][0]
        form = (node.op_type, len(node.input), len(node.output), str(sorted(map(value, node.attribute))),
                values[0].type.tensor_type.elem_type)
        forms[form].append((sum(map(os.path.getsize, files)), not first, name, path, files, opset))

smallest = {}
for form, cases in forms.items():
    smallest[form[0]] = min(smallest.get(form[0], 1 << 30), *(c[0] for c in cases), 1 << 30)

with Archive("operators.tar.gz") as z:
    for form in sorted(forms):
        opsets = set()
        for size, second, name, path, files, opset in sorted(forms[form]):
            if opset in opsets or opsets and not second or size > max(SIZE_LIMIT, smallest[form[0]]):
                continue
            opsets.add(opset)
            for f in files:
                with open(f, "rb") as data:
                    z.add(name + "_1.12" * second + "/" + os.path.relpath(f, path), data.read())
