"""The modules against the ONNX files they were written from, and against the authors' network."""

import json

import numpy as np
import onnxruntime
import pytest
import torch

import afnet
from conftest import AFC, fixture, run

TOLERANCE = 1e-5  # of the largest logit
SMALL = "-width 16 -classes 7 -size 64"


def onnx_answer(path, seed):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    video = session.get_inputs()[0]
    shape = [d if isinstance(d, int) else 2 for d in video.shape]
    clips = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return clips, dict(zip([o.name for o in session.get_outputs()], session.run(None, {video.name: clips}), strict=True))


def worst(got, want):
    return np.abs(got - want).max() / np.abs(want).max()


SOURCES = {
    "TSN, bottleneck": f"-depth 50 -frames 4 {SMALL}",
    "TSM, bottleneck": f"-depth 50 -frames 8 -shift scatter {SMALL}",
    "TSM, basic": f"-depth 18 -frames 4 -shift concat {SMALL}",
    "TSN, basic, batch norm kept, open batch": f"-depth 34 -frames 4 -bn -dynamic {SMALL}",
}
STRUCTURES = ["", "--alpha 4", "--focal-groups 1", "--stride-at source", "--unselected zero", "--frames 6", "--navigation all"]


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_equals_its_onnx_file(made, source, structure):
    _, af, folder = made(source, structure)
    clips, want = onnx_answer(af, 1)
    network = afnet.load_trained(folder).eval()
    with torch.no_grad():
        answer = network(torch.from_numpy(clips))
    masks = want.pop("masks")
    (logits,) = want.values()
    assert np.array_equal(answer.masks.numpy().astype(masks.dtype).reshape(masks.shape), masks)
    assert worst(network.output(answer).numpy(), logits) <= TOLERANCE


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_teacher_equals_the_source(made, source):
    src, _, folder = made(source, "", "teacher")
    clips, want = onnx_answer(src, 2)
    teacher = afnet.load_trained(folder, "teacher", "teacher").eval()
    with torch.no_grad():
        got = teacher.output(teacher(torch.from_numpy(clips))).numpy()
    (logits,) = want.values()
    assert worst(got, logits) <= TOLERANCE


CHECKPOINTS = [
    ("afnet/afr50_tsn_t4", ""),
    ("afnet/afr50_tsm_t8", "--shift"),
    ("spatial/afr50_tsm_spatial_t4", "--shift --spatial 4,2,2"),
    ("afnet/afmbv3_tsm_t4", ""),
]


@pytest.mark.parametrize(("name", "flags"), CHECKPOINTS)
def test_equals_the_authors_network(tmp_path, name, flags):
    weights, arrays = fixture(name + ".pth.tar"), np.load(fixture(name + ".npz"))
    size = arrays["clip"].shape[-1]
    convert(weights, tmp_path / "af.onnx", *flags.split(), "--size", size)
    run(AFC, "export", tmp_path / "af.onnx", "--format", "pytorch", "-o", tmp_path / "net")
    network = afnet.load_trained(tmp_path / "net").eval()
    with torch.no_grad():
        answer = network(torch.from_numpy(arrays["clip"]))
    assert np.array_equal(answer.masks.numpy(), arrays["masks"])
    for i, cells in enumerate(answer.cells):
        assert np.array_equal(cells.numpy(), arrays[f"spatial_{i}"])
    assert worst(answer.scores.numpy(), arrays["logits"]) <= TOLERANCE


def convert(weights, out, *flags):
    """Converts a checkpoint."""
    run(AFC, "convert", "--weights", weights, "-o", out, *flags)


@pytest.mark.parametrize(("name", "flags"), [("train/train_tsn_t4", ""), ("train/train_tsm_t4", "--shift")])
def test_gradients_and_steps_equal_the_fixtures(tmp_path, name, flags):
    """Two steps in float64 with the noise given: losses, masks, gradients, parameters, running statistics."""
    weights, z = fixture(name + ".pth.tar"), np.load(fixture(name + ".npz"))
    convert(weights, tmp_path / "af.onnx", *flags.split(), "--size", z["clip"].shape[-1])
    run(AFC, "export", tmp_path / "af.onnx", "--format", "pytorch", "-o", tmp_path / "net")
    network = afnet.load(tmp_path / "net").double()
    state = torch.load(weights, weights_only=True)
    state = state.get("state_dict", state)
    keys = {short(k): k for k in state}
    network.load_checkpoint({short(k): v for k, v in state.items()})
    network.train()
    sgd = torch.optim.SGD(network.parameters(), float(z["lr"]), float(z["momentum"]), weight_decay=float(z["weight_decay"]))
    for step in range(2):
        noise = torch.from_numpy(z["noise"][step]).permute(1, 0, 2, 3).double()
        answer = network(torch.from_numpy(z["clip"][step]).double(), afnet.Sampling(float(z["tau"]), noise))
        classes = torch.nn.functional.cross_entropy(answer.scores, torch.from_numpy(z["label"][step]).long())
        ratio = ((float(z["rt"]) - answer.masks.mean(dim=(0, 2))) ** 2).mean()
        sgd.zero_grad()
        (classes + float(z["lambda"]) * ratio).backward()
        assert abs(classes.item() - z[f"loss_cls{step}"]) < 1e-9
        assert abs(ratio.item() - z[f"loss_ratio{step}"]) < 1e-12
        assert np.array_equal(answer.masks.detach().numpy(), z[f"masks{step}"])
        if step == 0:
            for key, parameter in network.named_parameters():
                close(parameter.grad.numpy(), z["grad/" + keys[key]], key)
        sgd.step()
        for key, value in network.state_dict().items():
            close(value.double().numpy(), z[f"after{step + 1}/" + keys[key]], key)


def short(key):
    return key.removeprefix("module.").removeprefix("base_model.")


def close(got, want, key):
    """Relative L2 of 1e-7 (the fixture keeps float32 of some tensors), or both zero to rounding (biases before a normalisation)."""
    error, size = np.linalg.norm(got - want), np.linalg.norm(want)
    assert error <= 1e-7 * size + 1e-14, f"{key}: {error} of {size}"


def test_a_tie_selects_nothing():
    assert afnet.choose(torch.zeros(1, 2), 1, None).item() == 0
    assert afnet.choose(torch.zeros(1, 2), 1, torch.zeros(1, 2)).item() == 0


def test_refuses_what_it_does_not_know(made):
    _, _, folder = made(SOURCES["TSN, bottleneck"])
    config = json.loads((folder / "config.json").read_text())
    for change in ({"format": 2}, {"attention": True}, {"unselected": "mean"}):
        with pytest.raises(ValueError):
            afnet.Network(config | change)
    network = afnet.Network(config)
    weights = network.checkpoint()
    weights["extra.weight"] = torch.zeros(1)
    with pytest.raises(ValueError, match="extra.weight"):
        network.load_checkpoint(weights)
