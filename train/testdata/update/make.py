"""Writes sgd.npz and adamw.npz: what PyTorch's optimisers make of given gradients, in float64.

    python make.py    # PyTorch 2.15.0

Two tensors, the second at ten times the learning rate; gradients of five steps, of which some are cut
to the norm CLIP and some lie under it; a rate and moments that change from step to step.
"""

from pathlib import Path

import numpy as np
import torch

CLIP, RATES = 2.0, [1e-3, 3e-3, 2e-3, 1e-3, 1e-4]
HERE = Path(__file__).parent


def recorded(name: str, optimizer: type, settings: dict[str, float]) -> None:
    torch.manual_seed(7)
    shapes, times = [(3, 4), (5,)], [1.0, 10.0]
    tensors = [torch.randn(s, dtype=torch.float64).requires_grad_() for s in shapes]
    groups = [{"params": [t], "times": x} for t, x in zip(tensors, times, strict=True)]
    update = optimizer(groups, lr=RATES[0], **settings)
    flat = lambda list: torch.cat([t.detach().reshape(-1) for t in list]).numpy().copy()
    out = {"start": flat(tensors), "rates": np.array(RATES), "clip": np.array(CLIP)}
    out |= {k: np.array(v) for k, v in settings.items()}
    gradients, norms, after = [], [], []
    for step, rate in enumerate(RATES):
        for t in tensors:
            t.grad = torch.randn_like(t) * (0.1 if step % 2 else 3)
            t.grad[..., 0] *= 1e-8  # as small as AdamW's epsilon
        gradients.append(flat([t.grad for t in tensors]))
        norms.append(float(torch.nn.utils.clip_grad_norm_(tensors, CLIP)))
        for group in update.param_groups:
            group["lr"] = rate * group["times"]
        update.step()
        after.append(flat(tensors))
    assert min(norms) < CLIP < max(norms)
    np.savez(HERE / f"{name}.npz", gradients=np.stack(gradients), norms=np.array(norms), after=np.stack(after), **out)


recorded("sgd", torch.optim.SGD, {"momentum": 0.9, "weight_decay": 5e-2})
recorded("adamw", torch.optim.AdamW, {"weight_decay": 5e-2})
