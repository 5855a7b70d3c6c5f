"""What int8 makes of an AFNet: the table of docs/QUANTIZE.md.

quantize.py --afc bin/afc --testmodel bin/testmodel [--test N] [--calibrate N]

A TSM that was trained on clips of motions is fitted, and quantised by the
script and the configuration that docs/QUANTIZE.md tells users of. Fails where
top-1 falls by more than a point, or more choices flip than FLIPS of them. One
AFNet has a schedule of frames; the other was fitted for any selection and has a
navigation of random weights, which chooses by what it sees.
"""
import argparse
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import time

import cv2
import numpy as np
import onnxruntime as ort

import models

here = os.path.dirname(os.path.abspath(__file__))
DOCUMENT = os.path.join(here, "../../docs/QUANTIZE.md")

POINT = 0.01  # of top-1
FLIPS = 0.01  # of the choices of frames

MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")


def clips(folder):
    """Clips [n, 24, 64, 64] as the model takes them, and their classes."""
    x, y = [], []
    for path in sorted(glob.glob(os.path.join(folder, "*", "*"))):
        frames = [cv2.imread(f)[:, :, ::-1] for f in sorted(glob.glob(os.path.join(path, "*.png")))]
        clip = (np.float32(frames) / 255 - MEAN) / STD
        x.append(clip.transpose(0, 3, 1, 2).reshape(24, 64, 64))
        y.append(int(os.path.basename(os.path.dirname(path)).split("_")[0]))
    return np.stack(x), np.array(y)


def script(folder):
    """The script of the document, as users copy it."""
    with open(DOCUMENT) as f:
        code = re.search(r"\n\n((?:    .*\n|\n)+)", f.read().split("<!-- script -->")[1]).group(1)
    path = os.path.join(folder, "quantise.py")
    with open(path, "w") as f:
        f.write("\n".join(line[4:] for line in code.splitlines()))
    return path


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    s = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = s.get_inputs()[0].name
    return lambda x: s.run(None, {name: x})


def answers(path, x):
    """Classes, and choices of frames where the model shows them."""
    go, classes, masks = session(path), [], []
    for clip in x:
        out = go(clip[None])
        classes.append(out[0].reshape(-1).argmax())
        masks.append(out[1] if len(out) > 1 else [])
    return np.array(classes), np.array(masks)


def seconds(paths, clip, rounds=15):
    """Processor time a clip at one thread: medians of rounds in turn."""
    runs = [session(p) for p in paths]
    times = [[] for _ in runs]
    for r in range(rounds + 1):
        for go, t in zip(runs, times):
            start = time.process_time()
            go(clip[None])
            t.append(time.process_time() - start)
    return [float(np.median(t[1:])) for t in times]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--afc", required=True)
    p.add_argument("--testmodel", required=True)
    p.add_argument("--test", type=int, default=400)
    p.add_argument("--calibrate", type=int, default=60)
    p.add_argument("--fitted", help="folder of AFNets that were fitted already, schedule.onnx and any.onnx, in place of fits")
    a = p.parse_args()
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        at = lambda name: os.path.join(folder, name)
        run(a.testmodel, "-motion", folder, "-clips", str(2 * a.test))
        x, y = clips(at("fit"))
        np.save(at("fit.npy"), x[:: len(x) // 300 or 1][:300])
        np.save(at("calibrate.npy"), x[:: len(x) // a.calibrate][: a.calibrate])
        x, y = clips(at("test"))
        run(a.afc, "optimize", at("tsm.onnx"), "-o", at("TSM.onnx"))
        for selections in ["schedule", "any"] if not a.fitted else []:
            flags = ["--for", selections, "--rows", "10000"] if selections == "any" else []
            run(a.afc, "fit", at("tsm.onnx"), "--input", at("fit.npy"), "--held", "-1", *flags, "-o", at(selections + ".onnx"))
        fitted = lambda selections: os.path.join(a.fitted or folder, selections + ".onnx")
        form = ["--lowering", "gather", "--outputs", "masks"]
        run(a.afc, "convert", fitted("schedule"), *form, "-o", at("AFNet, a schedule of 50 %.onnx"))
        run(a.afc, "export", fitted("any"), "-o", at("w.safetensors"))
        models.random_navigation(at("w.safetensors"), at("r.safetensors"))
        run(a.afc, "convert", fitted("any"), "--weights", at("r.safetensors"), *form, "-o", at("AFNet, choosing by what it sees.onnx"))
        quantise = script(folder)
        print("| | top-1 float | int8 | same class | choices that flip | ms float | int8 | MB float | int8 |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|")
        for name in ["TSM", "AFNet, a schedule of 50 %", "AFNet, choosing by what it sees"]:
            model, config, small = at(name + ".onnx"), at("config.json"), at(name + ".int8.onnx")
            run(a.afc, "quantize-config", model, "-o", config)
            run(sys.executable, quantise, model, config, at("calibrate.npy"), small)
            (f, fm), (q, qm) = answers(model, x), answers(small, x)
            right = [float((c == y).mean()) for c in (f, q)]
            flips = f"{(fm != qm).sum()} of {fm.size}" if fm.size else "–"
            tf, tq = seconds([model, small], x[0])
            mb = [os.path.getsize(p) / 1e6 for p in (model, small)]
            print(f"| {name} | {right[0]:.2%} | {right[1]:.2%} | {(f == q).mean():.1%} | {flips} | {tf * 1e3:.1f} | {tq * 1e3:.1f} | {mb[0]:.1f} | {mb[1]:.1f} |", flush=True)
            if right[0] - right[1] > POINT:
                wrong.append(f"{name}: top-1 falls from {right[0]:.2%} to {right[1]:.2%}")
            if fm.size and (fm != qm).mean() > FLIPS:
                wrong.append(f"{name}: {flips} choices flip")
    if wrong:
        raise SystemExit("quantize: " + "; ".join(wrong))


main()
