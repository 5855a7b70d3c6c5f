"""Times a training step of afc on ONNX Runtime beside PyTorch's, eager, of the same network: make bench-step.

    python bench-step.py STEP.onnx PYTORCH/ CLIPS.npz [--rounds 7]

STEP.onnx is what `afc tune --dump-step` wrote, PYTORCH/ what `afc export --format pytorch` made of the same
AFNet; both have the same objective (cross-entropy and the ratio's loss), SGD and a cut gradient. One thread each,
round by round in turn; times are of the processor. Memory is the peak of a process of its own that runs three
steps, less what it had before it made the step.
"""

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def options() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("step", type=Path)
    p.add_argument("folder", type=Path)
    p.add_argument("clips", type=Path)
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--only", choices=("afc", "pytorch"), help="print the memory of one")
    return p.parse_args()


def of_afc(o: argparse.Namespace) -> Callable[[], None]:
    """A step on ONNX Runtime, weights and moments bound in two places that take turns."""
    import numpy as np
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    session = ort.InferenceSession(str(o.step), settings, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    numbers = {"tau": 1, "target_ratio": 0.5, "lambda": 0.5, "rate": 1e-4}
    feeds = {}
    for i in session.get_inputs():
        x = rng.standard_normal(i.shape, np.float32)
        if i.name in ("weights", "statistics"):
            x = 0.05 * np.abs(x) if i.name == "statistics" else 0.05 * x
        elif i.name == "moments":
            x *= 0
        elif i.name == "classes":
            x = np.eye(i.shape[1], dtype=np.float32)[np.arange(i.shape[0]) % i.shape[1]]
        feeds[i.name] = np.full(i.shape, numbers[i.name], np.float32) if i.name in numbers else np.asarray(x)
    moving = [n for n in ("weights", "moments", "statistics") if n in feeds]
    places = [{n: ort.OrtValue.ortvalue_from_numpy(feeds[n].copy()) for n in moving} for _ in range(2)]
    fixed = {n: ort.OrtValue.ortvalue_from_numpy(x) for n, x in feeds.items() if n not in moving}
    bindings = []
    for now in range(2):
        b = session.io_binding()
        for n, x in (fixed | places[now]).items():
            b.bind_ortvalue_input(n, x)
        for out in session.get_outputs():
            to = places[1 - now].get(out.name.removeprefix("next_"))
            if to is not None:
                b.bind_ortvalue_output(out.name, to)
            else:
                b.bind_output(out.name)
        bindings.append(b)
    turn = [0]

    def step() -> None:
        session.run_with_iobinding(bindings[turn[0]])
        turn[0] = 1 - turn[0]

    return step


def of_pytorch(o: argparse.Namespace) -> Callable[[], None]:
    """A step of the exported train.py."""
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, str(o.folder.resolve()))
    import numpy as np
    import train

    batch = len(np.load(o.clips)["labels"])
    trainer = train.Trainer(train.options(["--input", str(o.clips), "--batch", str(batch), "--dropout", "0", "--out", str(o.folder)]))
    trainer.mode()
    clips, labels = zip(*(trainer.train_set[i] for i in range(batch)), strict=True)
    clips, labels = torch.stack([torch.as_tensor(c) for c in clips]), torch.as_tensor(labels)
    return lambda: trainer.train_step(clips, labels)


MAKERS = {"afc": of_afc, "pytorch": of_pytorch}


def resident(most: bool) -> int:
    """Bytes that the process has in memory, or had at most (getrusage would tell of the parent's too)."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM" if most else "VmRSS"].split()[0]) * 1024


def memory(o: argparse.Namespace) -> None:
    import numpy  # noqa: F401
    import onnxruntime  # noqa: F401
    import torch  # noqa: F401

    gc.collect()
    before = resident(most=False)
    step = MAKERS[o.only](o)
    for _ in range(3):
        step()
    print(json.dumps({"bytes": resident(most=True) - before}))


def main() -> None:
    o = options()
    if o.only:
        memory(o)
        return
    import onnxruntime
    import torch

    steps = {name: make(o) for name, make in MAKERS.items()}
    for step in steps.values():
        step()
        step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(o.rounds):
        for name, step in steps.items():
            began = time.process_time()
            step()
            times[name].append(time.process_time() - began)
    print(f"ONNX Runtime {onnxruntime.__version__}, PyTorch {torch.__version__}, one thread, {o.rounds} rounds in turn, processor time")
    ratios = [a / p for a, p in zip(times["afc"], times["pytorch"], strict=True)]
    for name, each in times.items():
        print(f"{name:8} median {1e3 * statistics.median(each):7.0f} ms, least {1e3 * min(each):7.0f} ms")
    low, _, high = statistics.quantiles(ratios, n=4)
    print(f"afc ÷ PyTorch: median {statistics.median(ratios):.3f} [{low:.3f}–{high:.3f}], of the least {min(times['afc']) / min(times['pytorch']):.3f}")
    peaks = {}
    for name in steps:
        said = subprocess.run([sys.executable, __file__, str(o.step), str(o.folder), str(o.clips), "--only", name], check=True, capture_output=True, text=True)
        peaks[name] = json.loads(said.stdout.splitlines()[-1])["bytes"]
        print(f"{name:8} {peaks[name] / 1e6:7.0f} MB")
    print(f"memory, afc ÷ PyTorch: {peaks['afc'] / peaks['pytorch']:.2f}")


main()
