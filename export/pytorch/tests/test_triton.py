"""Triton repositories, parsed by Triton's own definition of a model's configuration."""

import onnxruntime
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from conftest import AFC, run

SMALL = "-depth 18 -width 16 -frames 4 -classes 7 -size 64"


@pytest.mark.parametrize(("source", "target", "batched"), [("", "cpu", False), ("-dynamic", "cuda", True), ("-dynamic", "tensorrt", True)])
def test_repository(made, tmp_path, source, target, batched):
    _, af, _ = made(f"{SMALL} {source}".strip())
    repository = tmp_path / "repo"
    run(AFC, "export", af, "--format", "triton", "-o", repository, "--name", "actions", "--target", target)
    config = text_format.Parse((repository / "actions" / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    session = onnxruntime.InferenceSession(str(repository / "actions" / "1" / "model.onnx"), providers=["CPUExecutionProvider"])
    assert config.name == "actions" and config.backend == "onnxruntime"
    assert (config.max_batch_size > 0) == batched == config.HasField("dynamic_batching")
    for theirs, ours in ((session.get_inputs(), config.input), (session.get_outputs(), config.output)):
        assert [v.name for v in theirs] == [v.name for v in ours]
        for v, c in zip(theirs, ours, strict=True):
            dims = [d if isinstance(d, int) else -1 for d in v.shape]
            dims = dims[1:] if batched else dims
            # The runtime may know a size that the file leaves open.
            assert len(c.dims) == len(dims) and all(a in (b, -1) for a, b in zip(c.dims, dims, strict=True)), v.name
            assert c.data_type == model_config_pb2.TYPE_FP32
    warm = config.model_warmup[0].inputs[session.get_inputs()[0].name]
    assert list(warm.dims) == list(config.input[0].dims)
    kind = model_config_pb2.ModelInstanceGroup
    assert config.instance_group[0].kind == (kind.KIND_CPU if target == "cpu" else kind.KIND_GPU)
