"""The rulebook over HTTP."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from flask import Response

from service.api.http.endpoint import Blueprint
from service.api.http.response import respond
from service.api.numbers import write_number
from service.api.operation_schemas import OperationDocument, OperationPage
from service.core.composition.composed import example_text
from service.core.errors import NotFound
from service.core.rulebook.composed import Composed, composed_operations, find_composed
from service.core.rulebook.registry import find, operations
from service.core.rulebook.signature import Signature
from service.core.symbolic.equation import Formula
from service.core.symbolic.reference import Entry, describe

blueprint = Blueprint(
    "operations", __name__, description="The rulebook: every operation with its rule and its gradients"
)


@blueprint.endpoint("GET", "/v1/operations", answer=OperationPage)
def list_operations() -> Response:
    """List the whole rulebook"""
    composed = map(_composed_document, composed_operations())
    return respond({"operations": [*(_document(each.name) for each in operations()), *composed], "next": None})


@blueprint.endpoint("GET", "/v1/operations/<name:name>", answer=OperationDocument, problems=(404,))
def get_operation(name: str) -> Response:
    """Read one operation, by its name or an alias"""
    if operation := find(name):
        return respond(_document(operation.name))
    if composed := find_composed(name):
        return respond(_composed_document(composed))
    raise NotFound(f"there is no operation {name!r}")


@cache  # what it is made of never changes, and the formulas of all take a tenth of a second
def _document(name: str) -> dict[str, Any]:
    operation = find(name)
    assert operation is not None
    entry = describe(operation)
    kink = entry.nondifferentiable
    return {
        **_signature(operation, operation.aliases),
        "rule": entry.rule and _formula(entry.rule),
        "local_gradients": _by_operand(entry, entry.local_gradients),
        "contributions": _by_operand(entry, entry.contributions),
        "nondifferentiable": kink and {**_formula(kink), "returned": operation.kinks and operation.kinks.returned},
        "conventions": {library: _by_operand(entry, formulas) for library, formulas in entry.conventions.items()},
    }


def _signature(operation: Signature, aliases: Sequence[str]) -> dict[str, Any]:
    return {
        "name": operation.name,
        "aliases": aliases,
        "operands": operation.operands,
        "least_inputs": operation.least_inputs,
        "most_inputs": operation.most_inputs,
        "attributes": [
            {
                "name": attribute.name,
                "required": attribute.required,
                "default": write_number(attribute.default)
                if isinstance(attribute.default, float)
                else attribute.default,
            }
            for attribute in operation.attributes
        ],
    }


def _composed_document(operation: Composed) -> dict[str, Any]:
    """An operation whose nodes are others': it has a definition in place of rules."""
    return {
        **_signature(operation, operation.aliases),
        "rule": None,
        "local_gradients": [],
        "contributions": [],
        "nondifferentiable": None,
        "conventions": {},
        "composed": {
            "summary": operation.summary,
            "outputs": operation.outputs,
            "definition": example_text(operation),
            "shapes": operation.example.shapes,
        },
    }


def _by_operand(entry: Entry, formulas: Sequence[Formula | None]) -> list[dict[str, str]]:
    """One formula for each operand to which a gradient flows; none where none can be written."""
    pairs = zip(entry.operands, formulas, strict=False)
    return [{"operand": operand, **_formula(formula)} for operand, formula in pairs if formula]


def _formula(formula: Formula) -> dict[str, str]:
    return {"text": formula.text, "latex": formula.latex, "mathml": formula.mathml}
