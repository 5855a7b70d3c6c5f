"""How long AFNets take in OpenVINO, over their sources: docs/BENCHMARKS.md.

speed.py --afc bin/afc --testmodel bin/testmodel [--rounds N] [--threads N] [--forms] [--profile]

A ResNet-50 of 224² and 8 frames with random weights; all files run in turn,
round by round, and a figure is the median of the rounds' ratios of processor
time, in brackets the ratio of the fastest rounds. Bars are told, not held: a
busy machine moves a figure by some hundredths.
"""
import argparse
import collections
import os
import subprocess
import tempfile
import time

import numpy as np
import openvino as ov

# AFNet: its source, the part of the frames selected, the bar, what it is over.
BARS = [("tsn", 25, 0.75, "tsn"), ("tsn", 50, 0.82, "tsn"), ("tsm", 25, None, "tsm-fast"), ("tsm", 50, 0.90, "tsm-fast")]
SOURCES = {"tsn": [], "tsm": ["-shift", "scatter"]}
FORMS = ["mask", "gather", "branch", "topk"]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")


def make(folder, afc, testmodel, forms):
    """Writes all files. Returns their rows: name, path, path of what it is over, bar."""
    at = lambda name: os.path.join(folder, name + ".onnx")
    for name, flags in SOURCES.items():
        run(testmodel, *flags, "-o", at(name))
    run(afc, "optimize", at("tsm"), "-o", at("tsm-fast"))
    rows = []
    for source, percent, bar, over in BARS:
        convert = [afc, "convert", at(source), "--navigation", f"uniform:{percent / 100}"]
        name = f"AFNet-{source.upper()} {percent} %"
        run(*convert, "--target", "openvino", "-o", at(name))
        rows.append((name + ", --target openvino", at(name), at(over), bar))
        for form in FORMS if forms else []:
            budget = ["--budget", str(8 * percent // 100)] if form == "topk" else []
            run(*convert, "--lowering", form, *budget, "-o", at(name + form))
            rows.append((f"{name}, --lowering {form}", at(name + form), at(over), None))
    return rows, at("tsn"), at("tsm-fast")


class Runner:
    """A model compiled for the CPU in float32."""

    def __init__(self, path, threads, profile=False):
        core = ov.Core()
        core.set_property("CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERF_COUNT": profile})
        self.request = core.compile_model(core.read_model(path), "CPU").create_infer_request()
        rng = np.random.default_rng(0)
        self.clip = rng.normal(0, 1, (1, 24, 224, 224)).astype(np.float32)
        self.seconds = []

    def __call__(self):
        start = time.process_time()
        self.request.infer({0: self.clip})
        self.seconds.append(time.process_time() - start)


def race(paths, threads, rounds):
    runners = {p: Runner(p, threads) for p in paths}
    for r in runners.values():
        r()  # kernels are chosen and weights put in their layout
        r.seconds.clear()
    for _ in range(rounds):
        for r in runners.values():
            r()
    return {p: np.array(r.seconds) for p, r in runners.items()}


def profile(path, rounds):
    """Milliseconds by kind of operator at one thread: the sum of each node's fastest round."""
    r = Runner(path, 1, profile=True)
    fastest, kinds = {}, {}
    for _ in range(rounds):
        r()
        for i, n in enumerate(r.request.get_profiling_info()):
            fastest[i] = min(fastest.get(i, 1e9), n.real_time.total_seconds() * 1e3)
            kinds[i] = n.node_type
    total = collections.Counter()
    for i, t in fastest.items():
        total[kinds[i]] += t
    return total


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--afc", required=True)
    p.add_argument("--testmodel", required=True)
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--forms", action="store_true", help="every lowering beside what the target chooses")
    p.add_argument("--profile", action="store_true", help="where the time goes, by kind of operator")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows, tsn, fast = make(folder, a.afc, a.testmodel, a.forms)
        seconds = race([tsn, fast, *[r[1] for r in rows]], a.threads, a.rounds)
        ratio = lambda x, y: f"{np.median(seconds[x] / seconds[y]):.3f} ({seconds[x].min() / seconds[y].min():.3f})"
        print(f"OpenVINO {ov.__version__.split('-')[0]}, {a.threads} threads, {a.rounds} rounds\n\n| file | over its source | bar |\n|---|--:|--:|")
        print(f"| TSM by `optimize`, over TSN | {ratio(fast, tsn)} | |")
        for name, path, over, bar in rows:
            print(f"| {name} | {ratio(path, over)} | {bar or ''} |")
        if a.profile:
            tables = [("TSN", profile(tsn, a.rounds)), ("TSM by `optimize`", profile(fast, a.rounds))] + [(n, profile(path, a.rounds)) for n, path, _, _ in rows]
            print()
            for name, kinds in tables:
                parts = ", ".join(f"{k} {t:.0f}" for k, t in kinds.most_common(9) if t >= 1)
                print(f"- {name}: {sum(kinds.values()):.0f} ms: {parts}")


main()
