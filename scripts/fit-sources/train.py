"""Trains a small TSN or TSM that `afc export --format pytorch` wrote on clips of testmodels/motion.

train.py FOLDER CLIPS.clips.npy LABELS.npy STEPS: FOLDER/trained.safetensors, the weights after STEPS batches. A TSM sees
whole clips, half of them backwards (the classes come in such pairs); a TSN, which looks at no order, one frame of each.
"""

import importlib.util
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

MEAN = torch.tensor([123.675, 116.28, 103.53]).reshape(3, 1, 1)
DEVIATION = torch.tensor([58.395, 57.12, 57.375]).reshape(3, 1, 1)


def module(folder: pathlib.Path):
    spec = importlib.util.spec_from_file_location("afnet", folder / "afnet.py")
    m = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)
    return m


def reset(net: torch.nn.Module) -> None:
    for m in net.modules():
        if isinstance(m, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(m, torch.nn.BatchNorm2d):
            m.reset_parameters()
            m.reset_running_stats()
        elif isinstance(m, torch.nn.Linear):
            torch.nn.init.normal_(m.weight, 0, 0.01)
            torch.nn.init.zeros_(m.bias)


def prepared(pixels: np.ndarray) -> torch.Tensor:
    return (torch.from_numpy(pixels).float() - MEAN) / DEVIATION


def frame_scores(net, x: torch.Tensor) -> torch.Tensor:
    x = net.stem(net.bn1(net.conv1(x)))
    for name in net.stages:
        for block in getattr(net, name):
            x = block(x)
    return net.classify(x.mean(dim=(2, 3)))


def batches(clips: np.ndarray, labels: np.ndarray, order_matters: bool, steps: int):
    rng = np.random.default_rng(1)
    for _ in range(steps):
        i = np.sort(rng.integers(0, len(clips), 32 if order_matters else 128))
        y = labels[i].copy()
        if not order_matters:
            yield prepared(clips[i, rng.integers(0, clips.shape[1], len(i))]), torch.from_numpy(y)
            continue
        x = clips[i].copy()
        for k in np.flatnonzero(rng.random(len(i)) < 0.5):
            x[k], y[k] = x[k, ::-1], y[k] ^ 1
        yield prepared(x), torch.from_numpy(y)


def main() -> None:
    folder, steps = pathlib.Path(sys.argv[1]), int(sys.argv[4])
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = module(folder).load(folder)
    reset(net)
    net.requires_grad_(True).train()
    shifts = '"fold"' in (folder / "config.json").read_text()
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps, pct_start=0.15)
    data = batches(np.load(sys.argv[2], mmap_mode="r"), np.load(sys.argv[3]), shifts, steps)
    for step, (x, y) in enumerate(data):
        scores = net.output(net(x)) if shifts else frame_scores(net, x)
        loss = F.cross_entropy(scores, y, label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            right = (scores.argmax(1) == y).float().mean().item()
            print(f"step {step + 1} of {steps}: loss {loss.item():.3f}, right {100 * right:.0f} % of the batch", file=sys.stderr, flush=True)
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, folder / "trained.safetensors")


if __name__ == "__main__":
    main()
