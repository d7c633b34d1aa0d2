"""Graphs of a loss are one where only names, and the values of Constants, differ."""

import numpy as np

from service.recorders.builder import Builder
from service.recorders.loss_graph import LossGraph


def loss(share: float, *, name: str = "x", power: bool = False, aside: bool = False) -> LossGraph:
    """share · Σ x · mask."""
    builder = Builder()
    if aside:
        builder.input(np.float64(7), name)
    x = builder.input(np.ones((2, 3)), name, "float64")
    mask = builder.constant(np.arange(3))
    masked = builder.add("Pow" if power else "Mul", [x, mask])
    total = builder.add("ReduceSum", [masked], axes=[0, 1], keepdims=0)
    found = builder.add("Mul", [total, builder.constant(share)], "loss")
    builder.record(found, np.float64(6 * share), "float64")
    return LossGraph(builder, found)


def test_names_values_and_what_is_aside_make_no_other_graph() -> None:
    first = loss(0.5)
    assert loss(0.25, name="y", aside=True).structure == first.structure
    assert loss(0.5, power=True).structure != first.structure
    assert [*loss(0.25, name="y", aside=True).names] == ["y:2", "constant_1", "mul", "reducesum", "constant_2", "loss"]


def test_a_constant_that_varies_is_an_input() -> None:
    first = loss(0.5)
    documents = {node["name"]: node for node in first.documents({"constant_1", "constant_2"})}
    assert documents["constant_1"] == {"name": "constant_1", "operation": "Input", "attributes": {"dtype": "int64"}}
    assert documents["constant_2"] == {"name": "constant_2", "operation": "Input"}
    assert {node["name"]: node for node in first.documents(())}["constant_2"]["attributes"] == {"value": 0.5}


def test_its_figures_are_told_by_the_names_of_another() -> None:
    figures = loss(0.25, name="y").figures(loss(0.5).names)
    assert figures.keys() == {"x", "constant_1", "constant_2", "loss"}
    assert (float(figures["constant_2"]), float(figures["loss"])) == (0.25, 1.5)
    assert np.array_equal(figures["constant_1"], [0, 1, 2])
