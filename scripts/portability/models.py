"""The files of the matrix: small networks, and what afc makes of them."""
import json
import os
import struct
import subprocess

import numpy as np

# What afc makes of a source: name → command and flags. AF is "convert" with
# weights whose navigation looks at the clip.
MADE = {
    "optimize": ["optimize"],
    "mask": ["convert", "--lowering", "mask"],
    "gather": ["convert", "--lowering", "gather"],
    "branch": ["convert", "--lowering", "branch"],
    "topk": ["convert", "--lowering", "topk", "--budget", "8"],
    "`--target openvino`": ["convert", "--target", "openvino"],
    "`--target tract`": ["convert", "--target", "tract"],
    "optimize, fp16": ["optimize", "--precision", "fp16"],
    "mask, fp16": ["convert", "--lowering", "mask", "--precision", "fp16"],
    "gather, fp16": ["convert", "--lowering", "gather", "--precision", "fp16"],
    "branch, fp16": ["convert", "--lowering", "branch", "--precision", "fp16"],
    "topk, fp16": ["convert", "--lowering", "topk", "--budget", "8", "--precision", "fp16"],
    "gather, opset 24": ["convert", "--lowering", "gather", "--opset", "24"],
}
FAMILIES = {"TSN": [], "TSM": ["-shift", "pad"]}
BATCHES = {"fixed": [], "open": ["-dynamic"]}
SOURCE = ["-depth", "50", "-width", "16", "-frames", "8", "-size", "64", "-classes", "10", "-bn"]


def read_safetensors(path):
    """Header and tensors of a safetensors file."""
    with open(path, "rb") as f:
        data = f.read()
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + size]), bytearray(data[8 + size :])


def random_navigation(path, out):
    """Writes weights whose navigation chooses by what it sees, with wide margins."""
    header, body = read_safetensors(path)
    rng = np.random.default_rng(15)
    for key in sorted(header):
        if not key.endswith(("conv_pool.weight", "conv_gs.weight")):
            continue
        start, end = header[key]["data_offsets"]
        # Averages of maps behind ReLU are near 0.5 and differ little by frame.
        weight = rng.normal(0, 4 if "conv_pool" in key else 8, header[key]["shape"])
        body[start:end] = weight.astype("<f4").tobytes()
    text = json.dumps(header).encode()
    with open(out, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + bytes(body))


def make(folder, afc, testmodel):
    """Writes all files into the folder. Returns rows (family, batch, name, path, path of the file it must equal)."""

    def run(*command):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: {done.stderr}")

    rows = []
    for family, shift in FAMILIES.items():
        for batch, dynamic in BATCHES.items():
            base = os.path.join(folder, f"{family}-{batch}-".lower())
            source = base + "source.onnx"
            run(testmodel, *SOURCE, *shift, *dynamic, "-o", source)
            run(afc, "convert", source, "--lowering", "mask", "-o", base + "start.onnx")
            run(afc, "export", base + "start.onnx", "-o", base + "start.safetensors")
            random_navigation(base + "start.safetensors", base + "weights.safetensors")
            rows.append((family, batch, "source", source, source))
            for name, command in MADE.items():
                path = base + name.strip("`").replace("--target ", "for-").replace(", ", "-").replace(" ", "") + ".onnx"
                weights = ["--weights", base + "weights.safetensors"] if command[0] == "convert" else []
                run(afc, command[0], source, *weights, *command[1:], "-o", path)
                rows.append((family, batch, name, path, base + "mask.onnx" if weights else source))
    return rows


def clip(batch):
    """A clip of 8 frames, or two; frames differ in brightness, as films do."""
    rng = np.random.default_rng(7)
    clips = 2 if batch == "open" else 1
    x = rng.normal(0, 1, (clips, 8, 3, 64, 64)) + rng.normal(0, 0.5, (clips, 8, 1, 1, 1))
    return x.reshape(clips, 24, 64, 64).astype(np.float32)
