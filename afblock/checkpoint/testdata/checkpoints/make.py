"""Writes the checkpoints of this folder (torch 2.15) and prints the digests that checkpoint_test.go expects."""
import argparse
import hashlib
import pickletools
import sys
from collections import OrderedDict

import numpy as np
import torch
from safetensors.torch import save_file


def digest(sd):
    h = hashlib.sha256()
    for name in sorted(sd):
        t = sd[name].detach().contiguous()
        h.update(f"{name} {str(t.dtype)[6:]} {list(t.shape)}\n".encode())
        h.update(t.view(torch.uint8).numpy().tobytes() if t.dim() else t.reshape(1).view(torch.uint8).numpy().tobytes())
    return h.hexdigest()


base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4) / 7
sd = OrderedDict(
    float=base,
    transposed=base.permute(2, 0, 1),
    slice=base[:, 1:, ::2],
    half=base.half(),
    bfloat=base.bfloat16(),
    double=base.double(),
    count=torch.tensor(12345678901),
    flags=torch.tensor([True, False, True]),
    parameter=torch.nn.Parameter(base[0].clone()),
    empty=torch.zeros(0, 3),
)
torch.save({"epoch": 3, "best_prec1": np.float64(0.5), "args": argparse.Namespace(lr=0.1), "state_dict": sd}, "zip.pth")
torch.save(sd, "legacy.pth", _use_new_zipfile_serialization=False)
torch.save({"model": torch.nn.Linear(1, 1), "state_dict": sd}, "objects.pth.tar", _use_new_zipfile_serialization=False)
torch.save({"epoch": 3, "net": sd}, "net.pth")
torch.save({"state_dict_ema": {"w": base[1]}, "state_dict": {"w": base[0]}, "optimizer": {"state": {}}}, "ema.pth")
module = torch.nn.DataParallel(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2)))
with torch.no_grad():
    for i, p in enumerate(module.state_dict().values()):
        p.fill_(i + 1)
optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9)
module(torch.ones(1, 1, 1, 1).expand(2, 1, 2, 2)).sum().backward()
optimizer.step()
torch.save({"state_dict": module.state_dict(), "optimizer": optimizer.state_dict()}, "module.pth")
np.savez("numpy.npz", **{"float": base.numpy(), "transposed": np.asfortranarray(base.numpy()), "count": np.int64(7)})
np.savez_compressed("compressed.npz", **{"float": base.numpy()})
np.savez("big.npz", **{"float": base.numpy().astype(">f4")})
save_file({k: v.contiguous().clone() for k, v in sd.items()}, "st.safetensors", {"format": "pt"})
print("module   ", digest(module.state_dict()))
print("all      ", digest(sd))
print("numpy    ", digest({"float": base, "transposed": base, "count": torch.tensor(7)}))
print("float    ", digest({"float": base}))
for f in sys.argv[1:]:
    print(f, digest(torch.load(f, weights_only=False)["state_dict"]))
with open("opcodes.txt", "w") as f:  # code, name, bytes of the argument or pickletools' form of it
    for op in pickletools.opcodes:
        print(f"{ord(op.code):02x} {op.name} {op.arg.n if op.arg else 0}", file=f)
