"""What rounding does, in words."""

import math
from collections.abc import Iterable

from service.core.errors import LimitExceeded
from service.core.figures.text import figure_text, listed, short_number
from service.core.graph.graph import Graph
from service.core.rounding.errors import RoundingErrors
from service.core.rounding.precision import finer
from service.core.symbolic.names import named
from service.core.symbolic.phrases import phrase_of
from service.core.symbolic.printing import name_text
from service.core.symbolic.term import application

_LONGEST, _SPOKEN = 60, 4  # characters of a formula, and names that are listed


def describe_rounding(graph: Graph, output: str, errors: RoundingErrors, kept: list[int], rest: float) -> str:
    """Say what rounding may do to the output, what amplifies it, and what is left if some nodes are `kept` in a finer
    precision."""
    number = f"{name_text(output)}, {figure_text(errors.value)}"
    told = [
        f"Rounding in {errors.dtype} likely moves {number}, by {_error(errors.likely_error)}"
        f"{_share(errors.likely_error, errors.value)}, at most by {_error(errors.greatest_error)}."
    ]
    if not math.isfinite(errors.value):
        told = [f"{name_text(output)} is {figure_text(errors.value)}: no error tells what rounding does to it."]
    elif not errors.worst_first.size:
        told = [f"Rounding in {errors.dtype} leaves {number}, as it is."]
    told += [describe_amplifier(graph, errors)] if errors.amplifier is not None else []
    if kept and math.isfinite(errors.value):
        told.append(f"With {_names(graph, kept)} kept in {finer(errors.dtype)}, {_error(rest)} is left.")
    if errors.overflowing.size:
        have = "has" if errors.overflowing.size == 1 else "have"
        told.append(f"{_names(graph, errors.overflowing.tolist())} {have} values beyond the largest {errors.dtype}.")
    return " ".join(told)


def describe_seen(subject: str, dtype: str, likely: float, greatest: float | None, seen: float) -> str:
    """Say what rounding in `dtype` may do to a figure, and what was seen; `greatest` is None where it has no bound."""
    bound = "" if greatest is None else f", at most by {_error(greatest)}"
    beyond = ", more than that" if greatest is not None and seen > greatest else ""
    return f"Rounding in {dtype} likely moves {subject} by {_error(likely)}{bound}; {_error(seen)} was seen{beyond}."


def describe_amplifier(graph: Graph, errors: RoundingErrors) -> str:
    """Say which node amplifies relative errors, and how much."""
    assert errors.amplifier is not None
    factor = float(errors.amplification[errors.amplifier])
    times = "beyond bounds" if math.isinf(factor) else f"{short_number(factor)}-fold"
    return f"{_defined(graph, errors.amplifier)} amplifies relative errors {times}."


def _defined(graph: Graph, position: int) -> str:
    """A node with its definition, d = p − q, as far as that is short."""
    node = graph.nodes[position]
    try:
        operands = [named(name, graph.position) for name in node.inputs]
        given = {name: value for name, value in node.attributes.items() if value is not None}
        return f"{name_text(node.name)} = {phrase_of(application(node.operation, operands, given), _LONGEST)!s}"
    except LimitExceeded:
        return f"{name_text(node.name)} ({node.operation.name})"


def _error(error: float) -> str:
    return short_number(error, 2)


def _share(error: float, of: float) -> str:
    return f" ({short_number(100.0 * error / abs(of), 2)} %)" if of else ""


def _names(graph: Graph, positions: Iterable[int]) -> str:
    names = [name_text(graph.nodes[position].name) for position in positions]
    more = [f"{len(names) - _SPOKEN} others"] if len(names) > _SPOKEN + 1 else []
    return listed([*names[: _SPOKEN if more else None], *more])
