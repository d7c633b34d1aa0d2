"""The rulebook as pages: its operations by kind, and each with its rule, its curve, its kinks and an example."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from flask import render_template, request
from markupsafe import Markup
from werkzeug.wrappers import Response

from service.api.http.request import context
from service.core.composition.composed import example_text
from service.core.errors import NotFound
from service.core.figures.text import figure_text, listed
from service.core.rulebook.attribute import Attribute
from service.core.rulebook.composed import Composed, composed_operations, find_composed
from service.core.rulebook.operation import CONVENTIONS, LIBRARIES, Operation
from service.core.rulebook.registry import find, operation_of
from service.core.symbolic.equation import Formula
from service.core.symbolic.names import named
from service.core.symbolic.reference import Entry, describe
from service.core.symbolic.term import closed_terms
from service.usecases import graphs, runs
from service.web.captions import Subject
from service.web.pages.operation_examples import example_of, example_run, expression_of, operand_arrays
from service.web.pages.operation_kinks import draw_curves, is_plotted, kink_rows
from service.web.pages.operation_words import KINDS, kind_of, meaning_of, shape_in_words
from service.web.pages.page import page, see
from service.web.pages.pictures import inline_picture
from service.web.view import choose_view


@dataclass(frozen=True, slots=True)
class ClosedEdge:
    """An operand, and when nothing flows back to it: None where that is everywhere."""

    operand: str
    when: Formula | None


@page("GET", "/operations")
def list_operations() -> str:
    """List the rulebook by kind, or what of it is found by name or alias"""
    asked = request.args.get("name", "").strip()
    found = [
        (kind, [_entry(name) for name in names if _is_found(operation_of(name), asked.casefold())])
        for kind, names in KINDS.items()
    ]
    kinds = [(kind, entries) for kind, entries in found if entries]
    composed = [each for each in composed_operations() if _is_found(each, asked.casefold())]
    return render_template("operations.html", section="Operations", kinds=kinds, composed=composed, asked=asked)


@page("GET", "/operations/<name:name>")
def get_operation(name: str) -> str | Response:
    """Show an operation; an alias leads to its name"""
    composed = find_composed(name)
    operation = composed or _find(name)
    if operation.name != name:
        return see("get_operation", name=operation.name)
    if composed:
        return render_template("composed.html", section="Operations", **_composition(composed))
    return render_template("operation.html", section="Operations", **_content(name))


def _composition(operation: Composed) -> dict[str, Any]:
    chosen = operation.example.attributes
    return {
        "operation": operation,
        "definition": example_text(operation),
        "form": f"{operation.aliases[0]}({', '.join(operation.operands[: operation.least_inputs])})",
        "attributes": [
            {
                "name": each.name,
                "default": _default(each),
                "shown": "" if chosen[each.name] == each.default else str(chosen[each.name]),
            }
            for each in operation.attributes
        ],
    }


@page("POST", "/operations/<name:name>/example")
def run_example(name: str) -> Response:
    """Make the graph of an operation's example, run it, and show the run"""
    operation = _find(name)
    graph, _, _ = graphs.create_graph(
        context(), f"{operation.name}, an example", expression=expression_of(operation), tags={}
    )
    inputs = operand_arrays(example_of(operation).operands)
    made = runs.create_run(context(), graph.id, inputs, label=f"{operation.name} at work", tags={})
    return see("get_run", run_id=made.record.id)


def _find(name: str) -> Operation:
    operation = find(name)
    if operation is None:
        raise NotFound(f"there is no operation {name!r}")
    return operation


def _is_found(operation: Operation | Composed, part: str) -> bool:
    return any(part in name.casefold() for name in (operation.name, *operation.aliases))


@cache
def _entry(name: str) -> Entry:
    return describe(operation_of(name))


@cache  # what it is made of never changes
def _content(name: str) -> dict[str, Any]:
    operation, entry = operation_of(name), _entry(name)
    kind = kind_of(operation)
    return {
        "operation": operation,
        "entry": entry,
        "kind": kind,
        "beside": [each for each in KINDS[kind] if each != name],
        "about": _arity(operation),
        "shape": shape_in_words(operation),
        "domain": _domain(operation),
        "rules": listed([f"{rule} rule" for rule in dict.fromkeys((*operation.rules, *operation.beside_constants))]),
        "no_formula": "No gradient flows back." if entry.contributions else "No formula of the rulebook says them.",
        "attributes": [(each, _default(each), meaning_of(operation, each.name)) for each in operation.attributes],
        "curves": draw_curves(operation) if is_plotted(operation) else None,
        "kinks": kink_rows(operation),
        "conventions": [LIBRARIES.get(each, "Gradbook") for each in CONVENTIONS],
        "closed": _closed(operation, entry),
        "multiplied_by": _libraries(operation.closed.multiplied_by if operation.closed else ()),
        "cut_by": _libraries(operation.closed.cut_by if operation.closed else ()),
        "expression": expression_of(operation),
        "attributes_of_example": _written(example_of(operation).attributes),
        "operands_of_example": _written(example_of(operation).operands),
        "picture": _picture(operation),
    }


def _arity(operation: Operation) -> str:
    least, most = operation.least_inputs, operation.most_inputs
    counts = ["No operand", "One operand", "Two operands", "Three operands", "Four operands", "Five operands"]
    if most is None:
        words = f"{counts[least]} or more"
    else:
        words = counts[least] if least == most else f"{counts[least]} or {counts[most].partition(' ')[0].lower()}"
    return f"{words}, elementwise" if operation.is_elementwise and operation.operands else words


def _domain(operation: Operation) -> str:
    """Where the value is real and finite, in words; empty where it is everywhere."""
    parts = []
    for operand, (low, high) in zip(operation.operands, operation.domain, strict=True):
        below, above = np.isfinite(low), np.isfinite(high)
        if below or above:
            parts.append(
                f"{f'{figure_text(low)} < ' if below else ''}{operand}{f' < {figure_text(high)}' if above else ''}"
            )
    return listed(parts)


def _default(attribute: Attribute) -> str:
    if attribute.required:
        return "must be given"
    if isinstance(attribute.default, float):
        return figure_text(attribute.default)
    return "none" if attribute.default is None else str(attribute.default)


def _written(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names with what stands for them in the example, as it is typed, with the sign −."""
    return [(name, json.dumps(value).replace("-", "−").replace(".0", "").strip('"')) for name, value in given.items()]


def _closed(operation: Operation, entry: Entry) -> list[ClosedEdge]:
    """When nothing flows back to each operand; empty where that is no formula of the operands."""
    if operation.closed is None or not operation.is_elementwise:
        return []
    attributes = {each.name: named(each.name) for each in operation.attributes}
    terms = closed_terms(operation, [named(each) for each in entry.operands], named("z"), attributes) or ()
    edges = [(operand, Formula(term)) for operand, term in zip(entry.operands, terms, strict=True)]
    # x = x: everywhere but at NaN, of which all rules speak alike.
    return [ClosedEdge(name, None if when.text == f"{name} == {name}" else when) for name, when in edges]


def _libraries(names: tuple[str, ...]) -> str:
    return listed([LIBRARIES[name] for name in names])


def _picture(operation: Operation) -> Markup:
    run = example_run(operation)
    subject = Subject("example-run", f"A run with {operation.name}", run.graph, run, "L")
    return inline_picture(subject, choose_view(run.graph, None, None))
