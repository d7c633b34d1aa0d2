"""ONNX's own cases of its operators, imported and run: each gives ONNX's figures, or is refused for a reason.

`python -m tests.onnx.test_node_cases` prints for each operator the cases that are right and to how many digits, then
what is refused, by name.
"""

import math
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

from service.core.composition.building import compose_graph
from service.core.errors import InvalidModel
from service.core.execution.passes import forward_pass
from service.core.figures.figures import FloatArray
from service.onnx.importing import import_model
from service.onnx.operators import is_known
from service.settings import Limits

pytestmark = pytest.mark.slow

MOST_WRONG = 1e-5  # of the output's largest figure: ONNX's figures are of float32
ROUNDED = {"test_averagepool_2d_ceil_last_window_starts_on_pad": 1e-3}  # of which ONNX gives four digits
FEWEST_RIGHT = 1207

# Why a case is refused, if not because its operator is not in the rulebook.
REASONS = {
    "its figures are of a type other than float32, float64 and whole numbers": r"is of \w+; float32|is of no tensor"
    r"|is of a type that is not read|converts to|computes in|conversion from",
    "it draws random numbers": "draws random numbers",
    "the least or greatest of no whole numbers has no bound": "extremum of no numbers",
    "it repeats a graph, or its graph depends on figures": "repeats a graph|its condition",
    "it needs figures that only a run knows": "only a run knows|depend on the model's weights|is not known",
    "its version of ONNX is too old": "the model is of opset",
    "an operator in it is not in the rulebook": "no operation of that name",
    "an output of it is not computed here": "only its first output",
    "an attribute of it is not computed here": "its attribute",
    "an operand of it is not computed here": r"takes \d+ to \d+ inputs; \d+ given",
}


@dataclass(frozen=True)
class Outcome:
    """What became of a case: how far its figures are off, as a part of the largest, or why there are none."""

    case: str
    operator: str
    error: float = math.inf
    refused: str | None = None


def outcomes() -> Iterator[Outcome]:
    """What becomes of each case of operators that are known here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        cases = load_model_tests(kind="node")
    for case in cases:
        if case.model is None or not all(map(is_known, case.model.graph.node)):
            continue
        nodes = case.model.graph.node
        operator = nodes[0].op_type if len(nodes) == 1 else "of several nodes"
        for inputs, expected in case.data_sets:
            try:
                found = run(case.model, list(map(as_array, inputs)))
            except InvalidModel as refusal:
                yield Outcome(case.name, operator, refused="; ".join(fault.detail for fault in refusal.faults))
                continue
            yield Outcome(case.name, operator, max(map(distance, found, map(as_array, expected)), default=0.0))


def run(model: ModelProto, figures: Sequence[Any]) -> list[FloatArray]:
    """The outputs of a model. Inputs that must be known beforehand become weights: none, all but the first, or all."""
    given = dict(zip([each.name for each in model.graph.input], figures, strict=False))
    for inputs in (list(given), list(given)[:1], []):
        changed = ModelProto.FromString(model.SerializeToString())
        fixed = {name: each for name, each in given.items() if name not in inputs and is_numeric(each)}
        changed.graph.initializer.extend(numpy_helper.from_array(each, name) for name, each in fixed.items())
        shapes = {name: np.shape(given[name]) for name in inputs if is_numeric(given[name])}
        try:
            imported = import_model(changed.SerializeToString(), Limits(), shapes)
        except InvalidModel as refusal:
            refused = refusal
            continue
        graph, _ = compose_graph(imported.nodes, imported.outputs, imported.inputs)
        weights = {name: {**imported.weights, **given}[name] for name in imported.inputs}
        values = forward_pass(graph, {name: np.asarray(each, np.float64) for name, each in weights.items()})
        return [np.asarray(values[graph.position[name]]) for name in imported.outputs]
    raise refused


def as_array(figure: Any) -> Any:
    """A figure of a type that NumPy lacks, as an array of such."""
    return numpy_helper.to_array(figure) if isinstance(figure, TensorProto) else figure


def is_numeric(figure: Any) -> bool:
    """Whether it is one array of numbers; V is the kind of those types that NumPy lacks."""
    return isinstance(figure, (np.ndarray, np.generic)) and figure.dtype.kind in "biufV"


def distance(found: FloatArray, expected: Any) -> float:
    """The greatest difference as a part of the greatest figure; infinite where shapes or what is not finite differ."""
    wanted = np.asarray(expected, dtype=np.float64)
    finite = np.isfinite(wanted)
    if found.shape != wanted.shape or not np.array_equal(found[~finite], wanted[~finite], equal_nan=True):
        return math.inf
    largest = max(np.abs(wanted[finite]).max(initial=0.0), 1e-2)
    return float(np.abs(found[finite] - wanted[finite]).max(initial=0.0) / largest)


def reason(outcome: Outcome) -> str | None:
    """Which of the REASONS a case was refused for; None if for another."""
    found = [each for each, pattern in REASONS.items() if re.search(pattern, outcome.refused or "")]
    return found[0] if found else None


def test_the_cases_are_right_or_refused_for_a_reason() -> None:
    found = list(outcomes())
    wrong = [
        (each.case, each.error)
        for each in found
        if each.refused is None and not each.error <= ROUNDED.get(each.case, MOST_WRONG)
    ]
    assert not wrong
    unexplained = [(each.case, each.refused) for each in found if each.refused is not None and reason(each) is None]
    assert not unexplained
    assert sum(each.refused is None for each in found) >= FEWEST_RIGHT


def tell() -> None:
    """Print the figures."""
    right: dict[str, list[Outcome]] = defaultdict(list)
    refused: dict[str | None, list[Outcome]] = defaultdict(list)
    for each in outcomes():
        if each.refused is None:
            right[each.operator].append(each)
        else:
            refused[reason(each)].append(each)
    for operator, cases in sorted(right.items()):
        worst = max(each.error for each in cases)
        print(f"{operator:30} {len(cases):4} {'exact' if worst == 0.0 else f'{-math.log10(worst):.1f} digits'}")
    print(f"{'all':30} {sum(map(len, right.values())):4} of {sum(map(len, [*right.values(), *refused.values()]))}")
    for why, cases in refused.items():
        print(f"\n{why}: {len(cases)}\n  {' '.join(each.case.removeprefix('test_') for each in cases)}")


if __name__ == "__main__":
    tell()
