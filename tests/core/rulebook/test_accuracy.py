"""Values and local gradients of every elementwise operation against mpmath at 50 digits, over arrays and compiled.

mpmath evaluates the rulebook's own rules: that these are the right derivatives is shown elsewhere, by differences and
complex steps; what is measured here is what rounding, overflow and cancellation make of them in float64.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import product
from random import Random
from typing import Any

import mpmath
import numpy as np
import pytest

from service.core.execution import kernel
from service.core.execution.passes import backward_pass, forward_pass
from service.core.figures.figures import FloatArray
from service.core.graph.building import build_graph
from service.core.rulebook.operation import Attributes, Operation
from tests.elementwise import ELEMENTWISE, attribute_samples, domains
from tests.examples import examples
from tests.passes import array_loop

POINTS = examples(1000)
LEAST_NORMAL = np.finfo(np.float64).smallest_normal
EXTREMES = (0.0, 5e-324, 1e-308, 1e-20, 0.3, 1.0, 2.0, 30.0, 709.0, 745.0, 1e8, 1e155, 1e200, 8e307)

# The functions that NumPy asks of an object under another name, or not at all, than mpmath has them.
NAMES = {f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")}
NAMES |= {name: name for name in ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh")}
NAMES |= {"arctan2": "atan2", "rint": "nint", "log10": "log10", "hypot": "hypot"}

# Units in the last place by which value and local gradients may differ, given the operands, where it is more than four:
# there a function of the library is itself off, or a rule magnifies a rounding.
WORSE: Mapping[str, Callable[..., float]] = {
    "Tanh": lambda x: 6.0,  # the C library's cosh is off by up to 1.3, and is squared
    "Celu": lambda x: 4.0 + 2.0 * abs(x),  # e^(x/alpha) magnifies what rounding x/alpha leaves by that quotient
}

# Where a square leaves float64 first, a slope below the least normal number comes out as 0.
VANISHING = {"Atan2"}

# Where x^(y − 1) overflows first, a slope y·x^(y − 1) comes out infinite: at an x below the least normal number. And
# where x^y is below it, its digits are gone for the slope along y. And a distance below the least normal number has few
# digits for the slopes to be quotients by it.
GRADUAL = {"Pow", "Hypot"}

# Of our own making, and measured in test_gaussian.py and test_gamma.py, term by term.
GAUSSIAN = {
    "Lgamma",
    "Digamma",
    "Polygamma",
    "Erf",
    "Erfc",
    "Gelu",
    "Bell",
    "NormalDensity",
    "NormalDistribution",
    "GeluGate",
}

# Their values or slopes may be near 0 where their terms are not: measured by these, in test_logarithms.py and
# test_activations.py.
CANCELLING = {"LogAddExp", "HardSigmoid", "Swish", "Mish"}


@pytest.fixture(autouse=True)
def _mpmath_under_numpys_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, theirs in NAMES.items():
        function = getattr(mpmath, theirs)
        monkeypatch.setattr(mpmath.mpf, name, lambda *numbers, call=function: call(*numbers), raising=False)
    monkeypatch.setattr(mpmath.mpf, "log2", lambda x: mpmath.log(x, 2), raising=False)

    def fmod(x: Any, y: Any) -> Any:
        return mpmath.sign(x) * (abs(x) % abs(y))

    monkeypatch.setattr(mpmath.mpf, "fmod", fmod, raising=False)
    monkeypatch.setattr(mpmath.mpf, "__floordiv__", lambda x, y: mpmath.floor(x / y), raising=False)
    with mpmath.workdps(50), np.errstate(all="ignore"):
        yield


def operands_of(operation: Operation, count: int) -> list[tuple[float, ...]]:
    """Extremes, and numbers of all magnitudes, inside the domain."""
    random = Random(operation.name)
    intervals = domains(operation, count)

    def inside(row: Sequence[float]) -> bool:
        if operation.name in GRADUAL and any(0.0 < abs(x) < LEAST_NORMAL for x in (*row, operation.evaluate(row))):
            return False
        return all(low < x < high for x, (low, high) in zip(row, intervals, strict=True))

    signed = [sign * x for x in EXTREMES for sign in (1.0, -1.0)]
    rows = [row for row in product(signed, repeat=count) if inside(row)]
    rows = random.sample(rows, min(len(rows), POINTS // 4))
    draws = (
        lambda: random.uniform(-3.0, 3.0),
        lambda: random.uniform(-50.0, 50.0),
        lambda: random.choice((1.0, -1.0)) * 10.0 ** random.uniform(-300.0, 300.0),
    )
    while len(rows) < POINTS:
        draw = random.choices(draws, (4, 2, 1))[0]
        row = tuple(draw() for _ in range(count))
        if inside(row):
            rows.append(row)
    return rows


def exact(operation: Operation, row: Sequence[float], attributes: Attributes) -> list[Any] | None:
    """Value and local gradients; None where mpmath has none, as at a pole."""
    operands = np.array([mpmath.mpf(x) for x in row], dtype=object)
    try:
        value = np.asarray(operation.evaluate(operands, attributes)).item()
        local_gradients = operation.differentiate(operands, value, attributes)
    except ZeroDivisionError:
        return None
    if np.asarray(operation.evaluate(np.ones(len(row)), attributes)).dtype == np.bool_:
        value = bool(value)  # of two objects NumPy's `and` and `or` give one
    return [value, *(np.asarray(local).item() for local in local_gradients)]


def ulps(found: float, expected: Any) -> float:
    """Units in the last place between a figure and the exact one; 0 where the exact one rounds to it."""
    expected = expected if isinstance(expected, mpmath.mpc) else mpmath.mpf(expected)
    if isinstance(expected, mpmath.mpc) or mpmath.isnan(expected) or float(expected) == found:
        return 0.0
    if not np.isfinite(found) or np.isinf(float(expected)):
        return np.inf
    return float(abs(mpmath.mpf(float(found)) - expected) / np.spacing(abs(float(expected))))


def figures(operation: Operation, rows: Sequence[Sequence[float]], attributes: Attributes) -> FloatArray:
    """For each row the value and the local gradients, as both passes give them."""
    inputs = {
        f"x{position}_{operand_index}": np.array(x)
        for position, row in enumerate(rows)
        for operand_index, x in enumerate(row)
    }
    documents: list[dict[str, object]] = [{"name": name, "operation": "Input"} for name in inputs]
    documents += [
        {
            "name": f"y{position}",
            "operation": operation.name,
            "inputs": [f"x{position}_{operand_index}" for operand_index in range(len(row))],
            "attributes": attributes,
        }
        for position, row in enumerate(rows)
    ]
    documents.append({"name": "all", "operation": "Sum", "inputs": [f"y{position}" for position in range(len(rows))]})
    graph = build_graph(documents, ["all"], list(inputs))
    values = forward_pass(graph, inputs)
    gradients = backward_pass(graph, values, "all")
    value = np.array([values.flat[graph.position[f"y{position}"]] for position in range(len(rows))])
    local = np.array([gradients.flat[graph.position[name]] for name in inputs]).reshape(len(rows), -1)
    return np.column_stack([value, local])


@pytest.mark.slow
@pytest.mark.parametrize(
    "operation",
    [each for each in ELEMENTWISE if each.name not in GAUSSIAN | CANCELLING],
    ids=lambda operation: operation.name,
)
def test_values_and_local_gradients_keep_their_digits(operation: Operation) -> None:
    kernel.warm()
    samples = [each for each in attribute_samples(operation)][:3]
    allowed = WORSE.get(operation.name, lambda *row: 4.0)
    count = 2 if operation.fold else len(operation.operands)  # a sum of more may cancel
    rows = operands_of(operation, count)
    for attributes in samples:
        known = [exact(operation, row, attributes) for row in rows[:: len(samples)]]
        assert sum(each is not None for each in known) > 0.9 * len(known)
        for loop in (nullcontext(), array_loop()):
            with loop:
                found = figures(operation, rows[:: len(samples)], attributes)
            for row, mine, theirs in zip(rows[:: len(samples)], found, known, strict=True):
                if theirs is None:
                    continue
                least = LEAST_NORMAL if operation.name in VANISHING else 0.0
                apart = [0.0 if abs(y) < least and x == 0.0 else ulps(x, y) for x, y in zip(mine, theirs, strict=True)]
                assert apart[0] <= 4.0, (row, mine[0], theirs[0])
                assert max(apart[1:]) <= allowed(*row), (row, mine, theirs)
