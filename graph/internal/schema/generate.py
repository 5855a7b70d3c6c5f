"""Writes schemas.txt, the operator schemas of every opset that ONNX defines.

Run with the PyPI package onnx 1.23.2:  python generate.py > schemas.txt

One line for each version of an operator:

    domain name since inputs outputs attributes...

The domain of ai.onnx is "-". Inputs and outputs are "min-max", with "*" for
no maximum. An attribute is "name:type", with "!" if it is required. The word
"deprecated" in place of the attributes ends an operator's life.
"""

import onnx

UNBOUNDED = 2**31 - 1

print("#", "onnx", onnx.__version__)
for domain, (first, newest) in sorted(onnx.defs.C.schema_version_map().items()):
    print("opset", domain or "-", newest)
schemas = onnx.defs.get_all_schemas_with_history()
for s in sorted(schemas, key=lambda s: (s.domain, s.name, s.since_version)):
    span = lambda a, b: f"{a}-{'*' if b >= UNBOUNDED else b}"
    fields = [s.domain or "-", s.name, s.since_version, span(s.min_input, s.max_input), span(s.min_output, s.max_output)]
    if s.deprecated:
        fields.append("deprecated")
    else:
        for name, a in sorted(s.attributes.items()):
            fields.append(f"{name}:{a.type.name}{'!' if a.required else ''}")
    print(*fields)
