"""Runs models in one runtime: worker.py COLUMN MODEL.onnx…

For each model, whose clip and right answer stand in MODEL.npz beside it, it
prints one line of JSON: the error, relative to the largest answer, or what the
runtime said. A runtime that crashes takes this process with it; the caller
starts it again behind the model that did it.
"""
import json
import sys
import traceback

import numpy as np

import runtimes


def cell(column, path):
    run = runtimes.COLUMNS[column](path)
    if run is None:
        return {"error": 0.0}
    data = np.load(path[: -len(".onnx")] + ".npz")
    x, want = data["x"], data["y"]
    got = np.asarray(run(x), dtype=np.float32)
    if got.size != want.size:
        return {"failure": f"wrong shape: {got.shape}, not {want.shape}"}
    return {"error": float(np.abs(got.reshape(want.shape) - want).max() / np.abs(want).max())}


for path in sys.argv[2:]:
    print("START " + path, flush=True)
    try:
        result = cell(sys.argv[1], path)
    except Exception as e:  # whatever a runtime raises is its answer
        result = {"failure": f"{type(e).__name__}: {e}" or traceback.format_exc()}
    print("RESULT " + json.dumps(result), flush=True)
