"""What torch.optim's optimisers make of a parameter in a step, worked out by hand: W = 2, gradient 0.5, lr = 0.1."""

from collections.abc import Mapping
from math import sqrt
from typing import Any

import pytest

from service.core.composition.building import compose_graph
from service.core.execution.passes import forward_pass
from service.recorders.optimizers import UnknownOptimizer, known_rules, update_of

SGD = {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
ADAM = {"betas": (0.9, 0.99), "eps": 0.01, "weight_decay": 0.0, "amsgrad": False}
RMS = {"alpha": 0.9, "eps": 0.01, "weight_decay": 0.0, "centered": False, "momentum": 0.0}
STATES = {"momentum_buffer": 1.0, "exp_avg": 0.2, "exp_avg_sq": 0.04, "max_exp_avg_sq": 0.09, "step": 1.0}
STATES |= {"square_avg": 0.04, "grad_avg": 0.1}

_MEAN, _SQUARE = (0.18 + 0.05) / 0.19, (0.0396 + 0.0025) / (1 - 0.99**2)
_AVERAGE = 0.036 + 0.025
CASES: list[tuple[str, dict[str, Any], float, set[str]]] = [
    ("SGD", SGD, 2 - 0.05, set()),
    ("SGD", {**SGD, "weight_decay": 0.25}, 2 - 0.1, set()),
    ("SGD", {**SGD, "momentum": 0.9}, 2 - 0.14, {"momentum_buffer"}),
    ("SGD", {**SGD, "momentum": 0.9, "nesterov": True}, 2 - 0.1 * (0.5 + 0.9 * 1.4), {"momentum_buffer"}),
    ("Adam", ADAM, 2 - 0.1 * _MEAN / (sqrt(_SQUARE) + 0.01), {"exp_avg", "exp_avg_sq", "step"}),
    (
        "Adam",
        {**ADAM, "amsgrad": True},
        2 - 0.1 * _MEAN / (sqrt(0.09 / (1 - 0.99**2)) + 0.01),
        {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"},
    ),
    (
        "AdamW",
        {**ADAM, "weight_decay": 0.5},
        1.9 - 0.1 * _MEAN / (sqrt(_SQUARE) + 0.01),
        {"exp_avg", "exp_avg_sq", "step"},
    ),
    ("RMSprop", RMS, 2 - 0.05 / (sqrt(_AVERAGE) + 0.01), {"square_avg"}),
    (
        "RMSprop",
        {**RMS, "centered": True},
        2 - 0.05 / (sqrt(_AVERAGE - 0.14**2) + 0.01),
        {"square_avg", "grad_avg"},
    ),
    (
        "RMSprop",
        {**RMS, "momentum": 0.9},
        2 - 0.1 * (0.9 + 0.5 / (sqrt(_AVERAGE) + 0.01)),
        {"square_avg", "momentum_buffer"},
    ),
]
CASES.append(("Adam", {**CASES[6][1], "decoupled_weight_decay": True}, *CASES[6][2:]))


def stepped(rule: str, options: Mapping[str, Any]) -> tuple[float, set[str]]:
    """W after the step, and the states that it rests on."""
    update = update_of(rule, "W", "lr", options)
    inputs = [{"name": name, "operation": "Input"} for name in ("W", "W.grad", "lr")]
    graph, _ = compose_graph([*inputs, *update.nodes], [*update.carry])
    known: dict[str, Any] = {"W": 2.0, "W.grad": 0.5, "lr": 0.1} | {f"W.{key}": value for key, value in STATES.items()}
    values = forward_pass(graph, {name: known[name] for name in graph.inputs})
    assert update.carry == {f"{each}'": each for each in ("W", *(f"W.{key}" for key in update.states))}
    return float(values[graph.position["W'"]] or 0.0), set(update.states)


@pytest.mark.parametrize(("rule", "options", "after", "states"), CASES)
def test_a_step_is_that_of_the_class(rule: str, options: dict[str, Any], after: float, states: set[str]) -> None:
    found, rests_on = stepped(rule, options)
    assert found == pytest.approx(after, rel=1e-14) and rests_on == states


def test_what_is_not_known_is_refused() -> None:
    assert known_rules() == ("SGD", "Adam", "AdamW", "RMSprop")
    for option in ("maximize", "dampening"):
        with pytest.raises(UnknownOptimizer, match=f"SGD with {option} is not recorded"):
            update_of("SGD", "W", "lr", {**SGD, option: 0.5})
