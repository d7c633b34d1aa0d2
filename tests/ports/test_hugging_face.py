"""Models of Hugging Face's transformers: the recording in PyTorch against the ONNX model of the same configuration, run
by ONNX Runtime, and of one that differs in one respect."""

from typing import Any

import pytest

from service.client import Client
from tests.ports.named import named

pytest.importorskip("torch", reason="left to `make test-peers`")
pytest.importorskip("onnxscript", reason="left to `make test-peers`")
pytest.importorskip("transformers", reason="left to `make test-peers`")
onnxruntime = pytest.importorskip("onnxruntime", reason="left to `make test-peers`")

from service.recorders.torch import record  # noqa: E402
from tests.onnx.export_models import export  # noqa: E402
from tests.ports.hugging_face import MODELS, model_of  # noqa: E402

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]  # the exporter's own

CASES = [(name, slip) for name, model in MODELS.items() for slip in ("", *model.slips)]


def run(client: Client, name: str, slip: str) -> Any:
    """Our own run of the exported model."""
    module, arguments = model_of(name, slip)
    model = export(module, arguments, "dynamo").SerializeToString()
    graph = client.import_graph(f"{name} as ONNX", model)
    return client.create_run(graph, {each: tensor.numpy() for each, tensor in arguments.items()})


@pytest.mark.parametrize(("name", "slip"), CASES, ids=[" ".join(case).strip() for case in CASES])
def test_a_right_export_is_acquitted_and_a_slip_named_alone(client: Client, name: str, slip: str) -> None:
    recorded = record(*model_of(name)).upload(client, name=name)
    expected = MODELS[name].slips[slip].named if slip else ""
    assert named(client, recorded, run(client, name, slip)) == [*filter(None, [expected])]
