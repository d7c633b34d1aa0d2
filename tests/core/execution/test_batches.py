"""A batch gives what the array loop gives: in one block to the bit, in several but for the order of sums."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.execution import batches, passes
from service.core.execution.passes import backward_pass, forward_pass
from service.core.figures.figures import Figures, FloatArray, same_bits
from tests.passes import arrays_of, graph_of, run
from tests.random_graphs import Point, points


@pytest.fixture(scope="module", autouse=True)
def _few_points() -> Iterator[None]:
    """Blocks of three points instead of thousands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "_MIN_BLOCK_POINTS", 3)
        patch.setattr(batches, "_BLOCK_NUMBERS", 1)
        yield


def both_passes(point: Point, output: str, seed: FloatArray) -> tuple[Figures, Figures]:
    """Values and gradients."""
    values = forward_pass(point.graph, point.inputs)
    return values, backward_pass(point.graph, values, output, seed)


@pytest.mark.parametrize("shape", [(8,), (2, 5)])
@given(data=st.data())
def test_blocks_give_what_the_whole_gives(shape: tuple[int, ...], data: st.DataObject) -> None:
    point = data.draw(points(((), shape)))
    output = data.draw(st.sampled_from([node.name for node in point.graph.nodes]))
    target = forward_pass(point.graph, point.inputs).shape(point.graph.position[output])
    seed = np.cos(np.arange(np.prod(target))).reshape(target)
    in_blocks = both_passes(point, output, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "_MIN_BLOCK_POINTS", 1000)
        in_one = both_passes(point, output, seed)
        patch.setattr(batches, "_is_elementwise", lambda graph: False)
        whole = both_passes(point, output, seed)
    for block, found, expected in zip(in_one, in_blocks, whole, strict=True):
        assert block.shapes == found.shapes == expected.shapes
        assert same_bits(block.flat, expected.flat).all()
        for each in (block, found):
            np.testing.assert_array_equal(each.present, expected.present)
        # What is summed over points is summed in another order.
        np.testing.assert_allclose(found.flat, expected.flat, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("count", [2, 2000, 9000])
def test_a_batch_of_any_size_is_run_in_one_go_over_the_nodes(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rule is applied once a block, and no node is visited by the array loop."""
    monkeypatch.setattr(passes, "walk_forward", None)
    monkeypatch.setattr(passes, "sweep_back", None)
    values, gradients = run("F(a, b, c, d) = ((a + b) * c) / d", {name: [2.0] * count for name in "abcd"})
    assert (values["F"], gradients["d"]) == ([4.0] * count, [-2.0] * count)


def test_only_one_number_for_all_points_or_one_for_each_make_a_batch() -> None:
    graph = graph_of("y = k * x + 1")

    def shape(**inputs: Any) -> tuple[int, ...] | None:
        return batches.shape_of_batch(graph, arrays_of(inputs))

    assert shape(k=2, x=[1] * 4) == (4,)
    assert shape(k=2, x=[1]) == (1,)
    assert shape(k=2, x=[]) is None
    assert shape(k=[1] * 4, x=[[1], [2]]) is None
    assert shape(k=2, x=1) is None
    summed = graph_of("y = sum(x) + k")
    assert batches.shape_of_batch(summed, arrays_of({"k": 2, "x": [1] * 9})) is None


def test_infinities_nan_and_what_does_not_reach_the_output() -> None:
    batch = [0.0, -0.0, np.inf, np.nan, 1.0, 2.0, -1.0]
    values, gradients = run("c = 2; y = c / x; z = exp(x); w = k * k; v = w * x", {"x": batch, "k": 3.0}, output="y")
    np.testing.assert_array_equal(values["y"], [np.inf, -np.inf, 0.0, np.nan, 2.0, 1.0, -2.0])
    np.testing.assert_array_equal(gradients["x"], [-np.inf, -np.inf, -0.0, np.nan, -2.0, -0.5, -2.0])
    assert (gradients["c"], gradients["k"], gradients["w"], gradients["z"]) == (None, 0.0, 0.0, [0.0] * 7)


def test_numbers_for_all_points_are_summed_and_pass_it_on() -> None:
    values, gradients = run(
        "w = k * k; y = w * x; z = y + x", {"x": [float(x) for x in range(7)], "k": 3.0}, output="z"
    )
    assert values["z"] == [10.0 * x for x in range(7)]
    assert (gradients["w"], gradients["k"], gradients["x"]) == (21.0, 126.0, [10.0] * 7)
    _, gradients = run("w = k * k; y = w * x; z = y + x", {"x": [1.0] * 7, "k": 3.0}, output="w")
    assert (gradients["k"], gradients["x"], gradients["y"]) == (6.0, [0.0] * 7, [0.0] * 7)
