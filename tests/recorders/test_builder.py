"""The graph of a recording while it is made: names that are free, and what no node stands for."""

import numpy as np
import pytest

from service.recorders.builder import Builder


def test_a_name_is_kept_or_made_free() -> None:
    builder = Builder()
    x = builder.input(np.float64(1), "x`\n")
    places = [builder.add("Tanh", [x], "h") for _ in range(3)]
    builder.rename(places[0], "block")
    builder.rename(places[2], "h")
    assert [node.name for node in builder.nodes] == ["x' ", "block", "h:2", "h"]
    builder.forget(3)
    more = [builder.nodes[builder.add("Tanh", [x], "h")].name for _ in range(3)]
    assert more == ["h", "h:3", "h:4"]


def test_an_unmapped_operation_is_told_and_the_gradients_behind_it_are_left_out() -> None:
    builder = Builder()
    x = builder.input(np.float64(1), "x", "float64")
    h = builder.add("Tanh", [x], "h")
    opaque = builder.input(np.float64(0.5), "special", "float64")
    builder.unmapped("special", [opaque], [h], "no rule")
    y = builder.add("Mul", [opaque, opaque], "y")
    builder.gradients |= {x: 1.0, h: 1.0, opaque: 1.0, y: 1.0}
    with pytest.warns(RuntimeWarning, match=r"special \(no rule\)"):
        members = builder.members(y)
    assert members["gradients"] == {"special": 1.0, "y": 1.0}
    assert members["unmapped"] == [{"operation": "special", "nodes": ["special"], "why": "no rule"}]
    assert members["notes"][0].startswith("The gradients of 2 nodes are left out")


def test_a_constant_of_very_many_numbers_is_an_input() -> None:
    builder = Builder()
    builder.add("Add", [builder.constant(np.zeros(10_001)), builder.constant(np.ones(10_000))], "sum")
    assert [node["operation"] for node in builder.members(2)["nodes"]] == ["Input", "Constant", "Add"]
    assert builder.members(2)["inputs"]["constant_1"].size == 10_001


def test_whole_numbers_and_truth_are_inputs_without_a_gradient() -> None:
    builder = Builder()
    mask = builder.input(np.array([True, False]), "mask", "bool")
    builder.input(np.array([1, 2]), "used up", "int64")
    builder.constant(2.0, "unused")
    builder.add("Not", [builder.add("Not", [mask], "unused too")])
    used = builder.add("And", [mask, builder.constant(np.array([True, False]), "c")], "and")
    builder.record(builder.add("Identity", [used], "end"), np.ones(2), "float32")
    assert builder.members(None)["nodes"] == [
        {"name": "mask", "operation": "Input", "attributes": {"dtype": "int64"}},
        {"name": "c", "operation": "Constant", "attributes": {"value": [1, 0]}},
        {"name": "and", "operation": "And", "inputs": ["mask", "c"]},
        {"name": "end", "operation": "Identity", "inputs": ["and"]},
    ]
    assert builder.members(None)["dtypes"] == {"end": "float32"}
