"""A model as PyTorch's two exporters write it, and against its recording: what is named is the mistake alone."""

from functools import cache
from typing import Any

import pytest

from service.client import Client
from tests.ports.named import named

pytest.importorskip("torch", reason="left to `make test-peers`")
pytest.importorskip("onnxscript", reason="left to `make test-peers`")

from service.recorders.torch import record
from tests.onnx.export_models import export
from tests.ports.originals import original

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]  # the exporters' own

# Of each slip what is named in the models of both exporters, by phase and node. BatchNorm is folded into weights.
SLIPS = {
    ("classifier", "epsilon"): {"dynamo": "layer_norm", "script": "/norm/LayerNormalization_output_0"},
    ("classifier", "approximate"): {"dynamo": "gelu", "script": "/Mul_5_output_0"},
    ("conv net", "epsilon"): {"dynamo": "getitem", "script": "onnx::Conv_25"},
    ("conv net", "pool"): {"dynamo": "avg_pool2d", "script": "/AveragePool_output_0"},
    ("encoder", "activation"): {"dynamo": "relu", "script": "/layer/Relu_output_0"},
    ("encoder", "epsilon"): {"dynamo": "layer_norm", "script": "/layer/norm1/LayerNormalization_output_0"},
}
RIGHT: dict[tuple[str, str], dict[str, str]] = {(name, ""): {} for name, _ in SLIPS}
CASES = {" ".join(case).strip(): case for case in (RIGHT | SLIPS)}


@cache
def exported(name: str, slip: str, exporter: str) -> bytes:
    """The ONNX model of the network in evaluation."""
    module, arguments = original(name, slip)
    return bytes(export(module.eval(), arguments, exporter).SerializeToString())


def run(client: Client, name: str, slip: str, exporter: str) -> Any:
    """Our own run of the exported model."""
    graph = client.import_graph(f"{name} {exporter}", exported(name, slip, exporter))
    return client.create_run(graph, {each: tensor.numpy() for each, tensor in original(name)[1].items()})


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_right_export_is_acquitted_and_a_slip_named_alone(client: Client, case: tuple[str, str]) -> None:
    name, slip = case
    module, arguments = original(name)
    recorded = record(module.eval(), arguments).upload(client, name=name)
    right, dynamo, script = (run(client, name, *each) for each in (("", "dynamo"), (slip, "dynamo"), (slip, "script")))
    expected = {exporter: f"forward {node}" for exporter, node in (RIGHT | SLIPS)[case].items()}
    assert named(client, recorded, dynamo) == [*filter(None, [expected.get("dynamo")])]
    assert named(client, right, script) == [*filter(None, [expected.get("script")])]
