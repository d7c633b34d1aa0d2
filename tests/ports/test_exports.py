"""A model as PyTorch's two exporters write it, and against its recording: what is named is the mistake alone."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from service.client import Client
from tests.ports.named import named

torch = pytest.importorskip("torch", reason="left to `make test-peers`")
pytest.importorskip("onnxscript", reason="left to `make test-peers`")
pytest.importorskip("transformers", reason="left to `make test-peers`")

from service.recorders.torch import record  # noqa: E402
from tests.onnx.export_models import MODELS, export, networks  # noqa: E402
from tests.ports.originals import original  # noqa: E402

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


KEPT = sorted({path.stem for path in MODELS.glob("*.npz")} - {"residual"})  # whose statistics were not kept


@pytest.fixture(scope="module")
def built() -> dict[str, tuple[Any, dict[str, Any]]]:
    """The networks of tests/onnx/export_models.py, with other weights than those that were kept."""
    return {name: (network.eval(), inputs) for name, network, inputs in networks()}


@pytest.mark.parametrize("name", KEPT)
def test_usual_networks_are_what_both_exporters_made_of_them(
    client: Client, built: dict[str, tuple[Any, dict[str, Any]]], name: str
) -> None:
    network, inputs = built[name]
    kept = np.load(MODELS / f"{name}.npz")
    with torch.no_grad():
        for label, parameter in network.named_parameters():
            parameter.copy_(torch.tensor(kept[f"parameter/{label}"]))
    given = {label: kept[f"input/{label}"] for label in inputs}
    with record(network) as recording:
        network(*map(torch.tensor, given.values())).backward(torch.tensor(kept["seed"]))
    recorded = recording.upload(client, name=name)
    for exporter in ("dynamo", "script"):
        graph = client.import_graph(f"{name} {exporter}", (MODELS / f"{name}.{exporter}.onnx").read_bytes())
        assert named(client, recorded, client.create_run(graph, given, seed=kept["seed"])) == []
