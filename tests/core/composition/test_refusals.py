"""What composed operations, and those with a chosen output, refuse, with what they say."""

from collections.abc import Sequence
from re import escape
from typing import Any

import pytest

from service.core.composition.building import compose_graph
from service.core.errors import InvalidGraph
from service.core.rulebook.composed import Given, compose, composed_operations

SEQUENCE, WIDE = (2, 1, 3), (1, 2, 3, 4)


def documents(name: str, inputs: str, shape: Sequence[int], attributes: dict[str, Any]) -> list[dict[str, Any]]:
    """One use of an operation, whose inputs all have that shape; - is left out."""
    named = [each.strip("-") for each in inputs.split()]
    declared = [{"name": each, "operation": "Input", "attributes": {"shape": list(shape)}} for each in named if each]
    return [*declared, {"name": "z", "operation": name, "inputs": named, "attributes": attributes}]


@pytest.mark.parametrize(
    ("name", "inputs", "shape", "attributes", "detail", "location"),
    [
        ("Attention", "q k v - p", WIDE, {}, "Attention: past_key and past_value are given together, or neither", ()),
        ("Attention", "q k v - - p", WIDE, {}, "Attention: past_key and past_value are given together, or neither", ()),
        (
            "Attention",
            "q k v",
            WIDE,
            {"q_num_heads": 2},
            "Attention: q_num_heads and kv_num_heads are given together, or neither",
            (),
        ),
        ("Attention", "q k v", (), {}, "Attention: q has shape [], without axis -1", ()),
        ("Attention", "q k v", (4,), {}, "Attention: q has shape [4], without axis 1", ()),
        (
            "Attention",
            "q k v",
            WIDE,
            {"qk_matmul_output_mode": 4},
            "0, 1, 2 or 3 is expected",
            ("attributes", "qk_matmul_output_mode"),
        ),
        ("InstanceNormalization", "x s b", (2, 3), {}, "x has at least 3 axes: instances, channels, and what is", ()),
        ("GroupNormalization", "x s b", WIDE, {"num_groups": 0}, "GroupNormalization: num_groups is at least 1", ()),
        ("GroupNormalization", "x s b", (4,), {"num_groups": 2}, "x has at least 2 axes: instances and channels", ()),
        ("LpNormalization", "x", WIDE, {"p": 3}, "LpNormalization: p is 1 or 2", ()),
        ("RNN", "x w r", (0, 1, 3), {}, "RNN: the sequence has at least one element", ()),
        ("LSTM", "x w r", (1, 0, 3), {"layout": 1}, "LSTM: the sequence has at least one element", ()),
        ("GRU", "x w r", SEQUENCE, {"activations": ["tanh"]}, "GRU: 2 activations are expected for each direction", ()),
        (
            "RNN",
            "x w r",
            SEQUENCE,
            {"activations": "tanh"},
            "a list of names of activations is expected",
            ("attributes", "activations"),
        ),
        (
            "RNN",
            "x w r",
            SEQUENCE,
            {"activations": ["gelu"]},
            "the activation 'gelu' is not known; known: tanh, sigmoid",
            ("attributes", "activations"),
        ),
        (
            "MaxPool",
            "x",
            WIDE,
            {"kernel_shape": [2, 2], "output": 2},
            "0, the maxima, or 1, their indices, is expected",
            ("attributes", "output"),
        ),
    ],
)
def test_a_use_that_cannot_be_written_is_refused_at_its_place(
    name: str, inputs: str, shape: Sequence[int], attributes: dict[str, Any], detail: str, location: tuple[str, ...]
) -> None:
    nodes = documents(name, inputs, shape, attributes)
    with pytest.raises(InvalidGraph, match=escape(detail)) as refused:
        compose_graph(nodes, ["z"])
    assert [fault.location for fault in refused.value.faults] == [("nodes", len(nodes) - 1, *location)]


def test_an_input_that_is_read_twice_is_named_once() -> None:
    nodes: list[dict[str, Any]] = [
        *({"name": name, "operation": "Input"} for name in "awr"),
        {"name": "x", "operation": "Mul", "inputs": ["a", "a"]},
        {"name": "y", "operation": "RNN", "inputs": ["x", "w", "r"]},
    ]
    with pytest.raises(InvalidGraph, match=r"^RNN needs the length of axis 0 of x: declare the shape of 'a'$"):
        compose_graph(nodes)


def test_a_cycle_through_a_composed_operation_is_refused() -> None:
    nodes: list[dict[str, Any]] = [
        {"name": "s", "operation": "Input", "attributes": {"shape": [4]}},
        {"name": "y", "operation": "RMSNormalization", "inputs": ["g", "s"]},
        {"name": "g", "operation": "Tanh", "inputs": ["y"]},
    ]
    with pytest.raises(InvalidGraph, match="cycle") as refused:
        compose_graph(nodes)
    assert {fault.location for fault in refused.value.faults} == {("nodes", 1), ("nodes", 2)}


@pytest.mark.parametrize("taken", ["Relu", "relu", "LSTM", "instance_norm"])
def test_a_composed_operation_cannot_take_a_name(taken: str) -> None:
    before = composed_operations()

    def text(given: Given) -> str:
        return "y = x"

    with pytest.raises(ValueError, match=f"^{taken} is the name of an operation$"):
        compose(taken, "x", text=text, shapes={"x": (1,)}, summary="")
    assert composed_operations() == before
