"""train.py as a user runs it: one process, two, resumed, and back to ONNX."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from conftest import AFC, run

SOURCE = "-depth 18 -width 16 -frames 4 -classes 5 -size 32 -shift scatter"


@pytest.fixture
def clips(tmp_path):
    random = np.random.default_rng(3)
    path = tmp_path / "clips.npz"
    np.savez(path, clips=random.standard_normal((16, 4, 3, 32, 32), dtype=np.float32), labels=random.integers(0, 5, 16))
    return path


COMMON = "--epochs 2 --batch 8 --bn frozen --dropout 0 --distill 1 --rt 0.5 --lr 0.001 --save-every 1".split()


def train(folder, out, clips, *flags, processes=1, succeed=True):
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [*launch, folder / "train.py", "--input", clips, "--val-input", clips, "--out", out, *COMMON, *flags]
    env = {"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=env)
    assert (done.returncode == 0) == succeed, done.stderr
    return done.stderr


def log(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_two_processes_equal_one(made, clips, tmp_path):
    _, _, folder = made(SOURCE, "", "teacher")
    train(folder, tmp_path / "one", clips)
    train(folder, tmp_path / "two", clips, processes=2)
    one, two = load_file(tmp_path / "one" / "best.safetensors"), load_file(tmp_path / "two" / "best.safetensors")
    start = load_file(folder / "weights.safetensors")
    assert one.keys() == two.keys() == start.keys()
    moved = 0
    for key, value in one.items():
        assert np.abs(two[key] - value).max() <= 1e-5 * max(1e-3, np.abs(value).max()), key
        moved += not np.array_equal(value, start[key])
    assert moved > len(one) / 4, "training changed hardly anything"


def test_parts_of_a_step_equal_the_whole(made, clips, tmp_path):
    """But for the ratio, whose loss is of each part: so it is left out here."""
    _, _, folder = made(SOURCE, "", "teacher")
    train(folder, tmp_path / "whole", clips, "--lambda", "0")
    train(folder, tmp_path / "parts", clips, "--lambda", "0", "--accumulate", "2", "--label-weight", "1")
    whole, parts = log(tmp_path / "whole"), log(tmp_path / "parts")
    assert abs(whole[0]["loss_classes"] - parts[0]["loss_classes"]) < 1e-5


def test_resume_is_exact(made, clips, tmp_path):
    _, _, folder = made(SOURCE, "", "teacher")
    train(folder, tmp_path / "straight", clips)
    cut = tmp_path / "cut"
    subprocess_until_first_checkpoint(folder, cut, clips)
    train(folder, cut, clips, "--resume")
    assert (cut / "best.safetensors").read_bytes() == (tmp_path / "straight" / "best.safetensors").read_bytes()


def subprocess_until_first_checkpoint(folder, out, clips):
    """Kills a run (SIGKILL) as soon as its first checkpoint is there."""
    command = [sys.executable, folder / "train.py", "--input", clips, "--val-input", clips, "--out", out, *COMMON]
    process = subprocess.Popen([str(c) for c in command], env={"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    while not (out / "last.pt").exists():
        assert process.poll() is None, "the run ended before its first checkpoint"
    process.kill()
    process.wait()


def test_refuses_resuming_with_other_options(made, clips, tmp_path):
    _, _, folder = made(SOURCE, "", "teacher")
    train(folder, tmp_path / "run", clips)
    told = train(folder, tmp_path / "run", clips, "--resume", "--seed", "7", succeed=False)
    assert "other options: seed" in told


def test_there_and_back(made, clips, tmp_path):
    """ONNX → PyTorch → some steps → ONNX: the file holds what training left, and verify passes."""
    src, af, folder = made(SOURCE, "", "teacher")
    train(folder, tmp_path / "run", clips)
    trained = tmp_path / "trained.onnx"
    run(AFC, "convert", af, "--weights", tmp_path / "run" / "best.safetensors", "-o", trained)
    told = run(AFC, "verify", trained, "--skip", "latency")
    assert " 0 failed" in told
    run(AFC, "export", trained, "--format", "pytorch", "-o", tmp_path / "again")
    again, best = load_file(tmp_path / "again" / "weights.safetensors"), load_file(tmp_path / "run" / "best.safetensors")
    assert again.keys() == best.keys()
    for key, value in best.items():
        assert np.array_equal(again[key], value), key


def test_bad_lists_are_named(made, tmp_path):
    _, _, folder = made(SOURCE, "", "teacher")
    (tmp_path / "bad.txt").write_text("a 10 1\nb ten 1\n")
    command = [sys.executable, folder / "train.py", "--videos", tmp_path, "--list", tmp_path / "bad.txt", "--size", "32", "32"]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 1
    assert "bad.txt:2" in done.stderr and "Traceback" not in done.stderr
