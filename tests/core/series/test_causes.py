"""One mistake that explains all origins of a step, and what must not be taken for one."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from service.core.comparison.verdicts import TOLERANCES
from service.core.execution.passes import fit_inputs
from service.core.figures.figures import FloatArray, pack
from service.core.series.causes import find_cause
from service.core.series.steps import judge_step
from tests.planted import graph_of

Values = dict[str, FloatArray]
STEP = "a = x.T @ e; b = sum(e, axis=0); c = 2 * b"


def said(
    planted: Callable[[Values, Values], Mapping[str, FloatArray]], dtype: str = "float64", knows_before: bool = True
) -> str | None:
    """What is said of a step whose gradients a, b and c are `planted`, which is given the right ones of it and of the
    step before."""
    graph, random = graph_of(STEP), np.random.default_rng(0)

    def right() -> tuple[Values, Values]:
        x, e = random.normal(size=(8, 3)).astype(dtype), random.normal(size=(8, 2)).astype(dtype)
        b = e.sum(0)
        return {"x": x, "e": e}, {"a": x.T @ e, "b": b, "c": 2 * b}

    (_, before), (inputs, now) = right(), right()
    values: Values = {**inputs, **now, **planted(now, before)}
    figures = pack([np.float64(values[node.name]) if node.name in values else None for node in graph.nodes])
    found = judge_step(
        fit_inputs(graph, {name: np.float64(inputs[name]) for name in inputs}), figures, dtype, TOLERANCES[dtype]
    )
    return find_cause(found, before if knows_before else {}, 24)


def scaled(factor: float) -> Callable[[Values, Values], Values]:
    return lambda now, before: {name: now[name] * now[name].dtype.type(factor) for name in ("a", "b")}


def clipped_to_norm(now: Values, before: Values) -> Values:
    norm = np.sqrt(sum(np.sum(now[name] ** 2) for name in ("a", "b")))
    return {name: now[name] * (now[name].dtype.type(0.5) / (norm + now[name].dtype.type(1e-6))) for name in ("a", "b")}


def consistent(planted: Callable[[Values, Values], Values]) -> Callable[[Values, Values], Values]:
    """With c, which follows from b."""

    def both(now: Values, before: Values) -> Values:
        changed = planted(now, before)
        return {**changed, "c": 2 * changed.get("b", now["b"])}

    return both


CAUSES: Mapping[str, tuple[Callable[[Values, Values], Values], str | None]] = {
    "added": (
        lambda now, before: {name: now[name] + before[name] for name in ("a", "b")},
        "a and b were added to those of step 24: they were not set to zero.",
    ),
    "one added": (
        lambda now, before: {"b": now["b"] + before["b"]},
        "b was added to that of step 24: it was not set to zero.",
    ),
    "clipped": (clipped_to_norm, "times what they should be: they were clipped to a norm of 0.5."),
    "scaled": (scaled(65536.0), "a and b are all 65536 times what they should be."),
    "frozen": (
        lambda now, before: {"a": 0 * now["a"], "b": 0 * now["b"]},
        "a and b are recorded as 0: nothing flowed back to them, as where a layer is frozen.",
    ),
    "cut": (
        lambda now, before: {name: np.clip(now[name], -1, 1) for name in ("a", "b")},
        "a and b were clipped: no element is beyond ±1.",
    ),
    "one of them": (lambda now, before: {"a": now["a"] + before["a"], "b": now["b"] + 1}, None),
    "another sign": (lambda now, before: {"a": now["a"] - before["a"], "b": now["b"] - before["b"]}, None),
    "one factor each": (lambda now, before: {"a": now["a"] / 2, "b": now["b"] / 3}, None),
    "one scaled": (lambda now, before: {"b": now["b"] * np.float32(0.3)}, None),
    "one element": (lambda now, before: {"b": now["b"] + np.array([0, 1], now["b"].dtype)}, None),
    "not a number": (lambda now, before: {"b": np.nan * now["b"]}, None),
    "transposed": (lambda now, before: {"a": now["a"].T}, None),
    "nothing": (lambda now, before: {}, None),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_explains_all_origins_or_none(name: str, dtype: str) -> None:
    planted, words = CAUSES[name]
    found = said(consistent(planted), dtype)
    assert found == words if words is None or name != "clipped" else words in str(found)


def test_nothing_is_said_of_a_step_before_that_is_not_known() -> None:
    assert said(consistent(CAUSES["added"][0]), knows_before=False) is None


def test_many_nodes_are_named_in_short() -> None:
    graph = graph_of("; ".join(f"g{number} = {number} * x" for number in range(1, 8)))
    x = np.array([1.0, 2.0])
    values = pack([x if node.name == "x" else 0 * x if node.operation.name == "Mul" else None for node in graph.nodes])
    found = judge_step(fit_inputs(graph, {"x": x}), values, "float64", TOLERANCES["float64"])
    assert str(find_cause(found, {}, 1)).startswith("g1, g2, g3 and 4 more are recorded as 0")
