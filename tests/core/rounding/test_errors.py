"""What rounding may do to an output: no rounded run is outside the bound, and the shares say whose rounding matters."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.figures.figures import Figures, pack
from service.core.rounding.errors import RoundingErrors, rounding_errors, with_passed_on
from service.core.rounding.precision import UNIT_ROUNDOFF
from service.core.rulebook.operation import Operation
from tests.examples import examples
from tests.planted import graph_of
from tests.rounded_runs import Case, layer, moved, network, right_run, rounded, rounded_values, scalars
from tests.tensors import each_tensor_operation, graph_around, samples

DTYPES = ("float32", "bfloat16", "float16")
KL = "p = softmax(z); d = p - q; s = sum(d * d); L = sqrt(s)"


def measured(run: Run, dtype: str) -> RoundingErrors:
    assert run.backward
    return rounding_errors(run.graph, run.values, run.backward, dtype)


def near_distributions() -> Case:
    z = np.random.default_rng(0).standard_normal(200)
    p = np.exp(z) / np.exp(z).sum()
    return graph_of(KL), {"z": z, "q": p * (1 + 0.01 * np.random.default_rng(1).standard_normal(200))}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exact_inputs", [True, False])
@pytest.mark.parametrize(("draw", "count"), [(scalars, 50), (network, 20), (layer, 20)])
def test_rounding_each_result_moves_the_output_within_the_bound(
    draw: Callable[[int], Case], count: int, exact_inputs: bool, dtype: str
) -> None:
    likely = 0
    for seed in range(count):
        graph, inputs = draw(seed)
        if exact_inputs:
            inputs = {name: rounded(figure, dtype) for name, figure in inputs.items()}
        run = right_run(graph, inputs)
        errors, seen = measured(run, dtype), moved(run, rounded_values(graph, inputs, dtype))
        assert seen <= errors.greatest_error
        likely += seen <= errors.likely_error
    assert likely >= 0.9 * count


def test_the_share_of_a_node_is_what_its_own_rounding_does() -> None:
    graph, inputs = near_distributions()
    run = right_run(graph, {name: rounded(figure, "bfloat16") for name, figure in inputs.items()})
    errors = measured(run, "bfloat16")
    names = [node.name for node in graph.nodes]
    assert [names[position] for position in errors.worst_first][:1] == ["p"]
    assert errors.shares.sum() == pytest.approx(1.0)
    assert errors.shares[graph.position["p"]] > 0.99
    values = {name: run.values[position] for name, position in graph.position.items()}
    p = rounded(values["p"], "bfloat16")
    alone = abs(np.sqrt(np.sum((p - values["q"]) ** 2)) - errors.value)
    assert alone <= errors.greatest[graph.position["p"]]
    assert 0.1 * errors.likely[graph.position["p"]] < alone


def test_what_is_given_in_the_precision_is_not_rounded_and_nothing_moves_it() -> None:
    graph = graph_of("y = relu(-x); L = max(y)")
    given = np.array([1.5, -2.25, 3.0])
    assert not measured(right_run(graph, {"x": given}), "bfloat16").worst_first.size
    errors = measured(right_run(graph, {"x": given + 2.0**-20}), "bfloat16")
    assert [graph.nodes[position].name for position in errors.worst_first] == ["x"]


def test_a_difference_of_near_numbers_amplifies() -> None:
    graph, inputs = near_distributions()
    errors = measured(right_run(graph, inputs), "bfloat16")
    assert errors.amplifier is not None
    assert graph.nodes[errors.amplifier].name == "d"
    assert 50 < errors.amplification[errors.amplifier] < 300
    calm = right_run(*network(0))
    assert measured(calm, "bfloat16").amplifier is None


def test_a_total_cancellation_amplifies_without_bound() -> None:
    graph = graph_of("a = exp(x); b = exp(y); d = a - b; L = d + 1")
    errors = measured(right_run(graph, {"x": 0.3, "y": 0.3}), "float32")
    assert errors.amplifier == graph.position["d"]
    assert errors.amplification[errors.amplifier] == np.inf


def test_the_fewest_nodes_to_keep() -> None:
    graph, inputs = near_distributions()
    errors = measured(right_run(graph, {**inputs, "q": rounded(inputs["q"], "bfloat16")}), "bfloat16")
    kept = [graph.nodes[position].name for position in errors.to_keep(0.016 * errors.value)]
    assert kept == ["z", "p"]
    assert errors.to_keep(np.inf).size == 0
    assert set(errors.to_keep(0.0)) == set(errors.worst_first)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rounding_all_but_the_nodes_to_keep_leaves_what_is_said(dtype: str) -> None:
    outside = 0
    for seed in range(40):
        graph, inputs = scalars(seed)
        run = right_run(graph, inputs)
        errors = measured(run, dtype)
        kept = with_passed_on(graph, errors.to_keep(errors.likely_error / 2), errors)
        greatest = float(np.delete(errors.greatest, kept).sum())
        outside += moved(run, rounded_values(graph, inputs, dtype, {*kept.tolist()})) > greatest + 1e-15
    assert outside == 0


def test_what_only_passes_a_kept_figure_on_is_kept_too() -> None:
    graph = graph_of("p = exp(x); n = -p; dead = -p; L = n + 1", ["L", "dead"])
    values = forward_pass(graph, {"x": np.float64(0.3)})
    seed = np.ones(())
    run = Run(graph, values, backward=Backward("L", seed, backward_pass(graph, values, "L")))
    kept = with_passed_on(graph, np.array([graph.position["p"]]), measured(run, "bfloat16"))
    assert [graph.nodes[position].name for position in kept] == ["p", "n"]


def test_the_sums_inside_a_product_of_matrices_are_counted() -> None:
    graph = graph_of("F = sum(x @ w)")
    half = np.linspace(1.0, 1e4, 500, dtype=np.float32)
    inputs = {"x": np.concatenate([half, -half])[None, :], "w": np.ones((1000, 1))}
    run = right_run(graph, inputs)
    errors = measured(run, "float32")
    assert errors.greatest_error >= UNIT_ROUNDOFF["float32"] * np.abs(inputs["x"]).sum()
    sequential = np.cumsum(np.random.default_rng(0).permutation(inputs["x"][0]).astype(np.float32))[-1]
    assert abs(float(sequential)) <= errors.greatest_error


@pytest.mark.parametrize("shape", [(), (2,)])
def test_so_are_those_of_several_operands(shape: tuple[int, ...]) -> None:
    graph = graph_of("F = Sum(x, y, z)" if not shape else "s = Sum(x, y, z); F = sum(s)")
    inputs = {name: np.full(shape, figure) for name, figure in {"x": 1e6, "y": 0.1, "z": -1e6}.items()}
    errors = measured(right_run(graph, inputs), "float32")
    summed = np.float32(1e6) + np.float32(0.1) + np.float32(-1e6)
    assert abs(float(summed) - 0.1) * max(1, np.prod(shape)) <= errors.greatest_error
    assert errors.likely_error < 1e-6


@pytest.mark.parametrize(("dtype", "beyond"), [("float16", ["y", "L"]), ("bfloat16", []), ("float32", [])])
def test_what_is_beyond_the_range_is_named(dtype: str, beyond: list[str]) -> None:
    graph = graph_of("y = x * 1000; L = sum(y)")
    errors = measured(right_run(graph, {"x": np.array([1.0, 70.0])}), dtype)
    assert [graph.nodes[position].name for position in errors.overflowing] == beyond


def test_tiny_numbers_in_float16_are_off_by_half_the_spacing() -> None:
    graph = graph_of("y = x * x; L = sum(y)")
    run = right_run(graph, {"x": np.full(1000, 2.0**-11)})
    assert measured(run, "float16").greatest_error >= 1000 * 2.0**-26
    assert (
        moved(run, rounded_values(graph, {"x": np.full(1000, 2.0**-11)}, "float16"))
        <= measured(run, "float16").greatest_error
    )


@pytest.mark.parametrize("scalar", [True, False])
def test_infinite_and_unknown_figures_stay_what_they_are(scalar: bool) -> None:
    graph = graph_of("a = log(x); b = exp(a); L = b + y")
    at: Any = 0.0 if scalar else np.array([0.0, 1.0])
    errors = measured(right_run(graph, {"x": at, "y": at + 0.1}), "bfloat16")
    assert np.isfinite(errors.greatest_error)
    nowhere = measured(right_run(graph, {"x": at - 1.0, "y": at}), "bfloat16")
    assert np.isnan(nowhere.value)


def test_no_square_overflows() -> None:
    graph = graph_of("L = exp(x)")
    run = right_run(graph, {"x": 0.1})
    assert run.backward
    large = replace(run.backward, seed=np.array(1e300), gradients=Figures(1e300 * run.backward.gradients.flat))
    errors = rounding_errors(graph, run.values, large, "bfloat16")
    assert 1e297 < errors.likely_error <= errors.greatest_error < np.inf
    assert not errors.to_keep(1e299).size


def test_what_cancels_itself_has_no_amplifier() -> None:
    assert measured(right_run(graph_of("y = x - x"), {"x": 0.7}), "bfloat16").amplifier is None


def test_scalars_are_measured_as_tensors_are() -> None:
    for seed in range(10):
        graph, inputs = scalars(seed)
        run = right_run(graph, inputs)
        rows = right_run(graph, {name: np.array([figure]) for name, figure in inputs.items()})
        one, other = measured(run, "bfloat16"), measured(rows, "bfloat16")
        np.testing.assert_allclose(one.likely, other.likely, rtol=1e-9, atol=1e-300)
        np.testing.assert_allclose(one.greatest, other.greatest, rtol=1e-9, atol=1e-300)
        np.testing.assert_allclose(one.arriving, other.arriving, rtol=1e-9, atol=1e-300)


@pytest.mark.slow
@each_tensor_operation
@settings(max_examples=examples(5))
@given(data=st.data())
def test_no_operation_is_rounded_further(operation: Operation, data: st.DataObject) -> None:
    if operation.name in ("StopGradient", "MaxPoolTies"):
        return  # no gradient tells what follows from the value
    sample = data.draw(samples(operation))
    indices = (*operation.indices, *[False] * len(sample.operands))
    graph = graph_around(sample)
    inputs = {
        f"x{place}": operand if is_index else rounded(operand, "bfloat16")
        for place, (operand, is_index) in enumerate(zip(sample.operands, indices, strict=False))
    }
    run = right_run(graph, inputs)
    seen = moved(run, rounded_values(graph, inputs, "bfloat16"))
    assert not seen > measured(run, "bfloat16").greatest_error


def test_a_single_input_is_its_own_output() -> None:
    graph = graph_of("y = x", ["x"])
    errors = measured(right_run(graph, {"x": 0.1}), "bfloat16")
    assert errors.likely_error == errors.greatest_error == pytest.approx(0.1 * 2.0**-8)
    assert pack([0.1]).flat[0] == errors.value
