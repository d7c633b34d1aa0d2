"""What a person sees over HTTP where a library's gradients are its choice at a tie."""

from collections.abc import Iterator

import pytest

from service.client import Client


@pytest.fixture
def gradbook(service_url: str) -> Iterator[Client]:
    with Client(service_url) as client:
        yield client


NETWORK = (
    "c = conv(x, k) + b; r = relu(c); p = max_pool(r, kernel_shape=[2, 2], strides=[2, 2]); F = sum(p * p + 3 * p)"
)
# A unit of the network is dead at all four positions of the first window: relu's zeros tie in the pool.
INPUTS = {
    "x": [[[[-1.0, -2.0, 1.0, 4.0], [-3.0, -1.0, 2.0, 4.0]]]],
    "k": [[[[1.0]]]],
    "b": [[[0.0]]],
}


@pytest.mark.parametrize("library", ["torch", "jax", "tensorflow"])
def test_a_recorded_network_with_relu_before_a_pool_accuses_nobody(gradbook: Client, library: str) -> None:
    graph = gradbook.create_graph("dead units", expression=NETWORK)
    ours = gradbook.create_run(graph, INPUTS)
    # What PyTorch, JAX and TensorFlow give: the first of the tied elements of a window takes all.
    first = {
        "r": [[[[3.0, 0.0, 0.0, 11.0], [0.0, 0.0, 0.0, 0.0]]]],
        "c": [[[[0.0, 0.0, 0.0, 11.0], [0.0, 0.0, 0.0, 0.0]]]],
        "x": [[[[0.0, 0.0, 0.0, 11.0], [0.0, 0.0, 0.0, 0.0]]]],
        "k": [[[[44.0]]]],
        "b": [[[11.0]]],
        "p": [[[[3.0, 11.0]]]],
    }
    theirs = gradbook.record_run(graph, by=library, values=ours.values, gradients=first, dtype="float32")
    found = gradbook.create_comparison(ours, theirs)
    assert (found.origins, found.causes, found.arose) == ((), (), True)
    verdicts = {node["name"]: node for node in found.document["nodes"] if node["phase"] == "backward"}
    assert verdicts["r"]["verdict"] == "convention"
    assert verdicts["r"]["conventions"] == ["torch", "jax", "tensorflow"]
    assert found.first_difference is not None
    assert found.first_difference.node == "r"

    same = gradbook.create_run(graph, INPUTS, conventions=library)
    for name, gradient in first.items():
        assert same.gradients[name].tolist() == gradient
    again = gradbook.create_comparison(same, theirs)
    assert again.verdict == "same"


def test_a_pool_and_a_reduction_show_their_derivatives_from_both_sides(gradbook: Client) -> None:
    graph = gradbook.create_graph("ties", expression="p = max_pool(x, kernel_shape=[2]); m = max(p); F = m + 1")
    run = gradbook.create_run(graph, {"x": [[[2.0, 2.0, 1.0]]]})
    nodes = {node["name"]: node for node in run.document["nodes"]}
    assert nodes["p"]["one_sided"] == [{"operand": "x", "left": [[[0, 1, 0]]], "right": [[[1, 2, 0]]]}]
    assert nodes["m"]["one_sided"] == [{"operand": "p", "left": [[[0, 0]]], "right": [[[1, 1]]]}]
