"""Builds models with afc for the tests: AFC names the binary, TESTMODEL the one that makes sources."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[3]
AFC = os.environ.get("AFC", str(ROOT / "bin" / "afc"))
TESTMODEL = os.environ.get("TESTMODEL", str(ROOT / "bin" / "testmodel"))
FIXTURES = ROOT.parent / "shared" / "fixtures"

torch.set_num_threads(1)
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "files"))


def run(*command) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A function from testmodel's and convert's flags to (source.onnx, af.onnx, folder of the export), built once."""
    cache = {}

    def make(source: str, convert: str = "", export: str = ""):
        if (source, convert, export) not in cache:
            folder = tmp_path_factory.mktemp("net")
            src, af, out = folder / "source.onnx", folder / "af.onnx", folder / "net"
            run(TESTMODEL, *source.split(), "-o", src)
            run(AFC, "convert", src, "-o", af, *f"--lowering mask --outputs masks {convert}".split())
            run(AFC, "export", af, "--format", "pytorch", "-o", out, *(f"--source {src}".split() if export == "teacher" else []))
            cache[source, convert, export] = src, af, out
        return cache[source, convert, export]

    return make


def fixture(name: str) -> Path:
    path = FIXTURES / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path
