"""Programs recorded from PyTorch: our figures are theirs in every node, and the slip of a port is named where it is."""

import warnings
from collections.abc import Iterator

import pytest

from service.client import Client, Comparison

torch = pytest.importorskip("torch", reason="left to `make test-peers`")

from service.recorders.recording import Recording  # noqa: E402
from service.recorders.torch import exported, record  # noqa: E402
from tests.recorders.torch.models import CASES  # noqa: E402

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def client(service_url: str) -> Iterator[Client]:
    with Client(service_url) as client:
        yield client


def recorded(name: str, *, slip: bool = False, static: bool = False) -> Recording:
    """The recording of a case, `static` of its exported graph; nothing in it is unmapped."""
    module, arguments = CASES[name].made(slip=slip)
    if static:
        module = exported(module, arguments)
    torch.manual_seed(3)  # of what the program draws
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recording: Recording = record(module, arguments)
    assert not recording.unmapped
    return recording


def compared(client: Client, name: str, right: Recording, candidate: Recording) -> Comparison:
    """A recording against our own run of the right program."""
    graph = client.create_graph(name, nodes=right.nodes, outputs=right.outputs)
    ours = client.create_run(graph, right.inputs, output=right.output, conventions="torch")
    return client.create_comparison(ours, candidate.upload(client, name=name), tolerance=right.dtype)


def agrees(client: Client, name: str, recording: Recording) -> None:
    """Every figure of the recording is compared, and is what we compute."""
    found = compared(client, name, recording, recording)
    assert not found.arose
    differing = (
        found.inherited
        if recording.dtype == "float32"
        else [each for each in found.inherited if each.phase == "forward"]
    )
    assert not differing  # in bfloat16, on the way back, rounding errors grow beyond what one rounding explains
    figures = found.document["compared"]
    assert figures["values"] >= len(recording.values) + len(recording.inputs)
    assert figures["gradients"] >= sum(each is not None for each in recording.gradients.values())


@pytest.mark.parametrize("name", CASES)
def test_our_figures_are_those_of_pytorch(client: Client, name: str) -> None:
    agrees(client, name, recorded(name))


@pytest.mark.parametrize(
    "name", ["CNN in training", "CNN in evaluation", "TransformerEncoder", "LSTM", "embedding", "in-place", "dropout"]
)
def test_so_are_those_of_the_exported_graph(client: Client, name: str) -> None:
    recording = recorded(name, static=True)
    agrees(client, f"exported {name}", recording)
    module, _ = CASES[name].made(slip=False)
    parameters = {each for each, _ in module.named_parameters()}
    assert parameters <= {each for each, found in recording.gradients.items() if found is not None}


@pytest.mark.parametrize("name", CASES)
def test_the_slip_of_a_port_is_named(client: Client, name: str) -> None:
    found = compared(client, name, recorded(name), recorded(name, slip=True))
    assert [f"{origin.phase} {origin.node}" for origin in found.origins] == [CASES[name].named]
