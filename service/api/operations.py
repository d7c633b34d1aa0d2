"""The rulebook over HTTP."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from flask import Response

from service.api.http.endpoint import Blueprint
from service.api.http.response import respond
from service.api.numbers import write_number
from service.api.operation_schemas import OperationDocument, OperationPage
from service.core.errors import NotFound
from service.core.rulebook.registry import find, operations
from service.core.symbolic.equation import Formula
from service.core.symbolic.reference import Entry, describe

blueprint = Blueprint(
    "operations", __name__, description="The rulebook: every operation with its rule and its gradients"
)


@blueprint.endpoint("GET", "/v1/operations", answer=OperationPage)
def list_operations() -> Response:
    """List the whole rulebook"""
    return respond({"operations": [_document(operation.name) for operation in operations()], "next": None})


@blueprint.endpoint("GET", "/v1/operations/<name:name>", answer=OperationDocument, problems=(404,))
def get_operation(name: str) -> Response:
    """Read one operation, by its name or an alias"""
    operation = find(name)
    if operation is None:
        raise NotFound(f"there is no operation {name!r}")
    return respond(_document(operation.name))


@cache  # what it is made of never changes, and the formulas of all take a tenth of a second
def _document(name: str) -> dict[str, Any]:
    operation = find(name)
    assert operation is not None
    entry = describe(operation)
    kink = entry.nondifferentiable
    return {
        "name": operation.name,
        "aliases": operation.aliases,
        "operands": entry.operands,
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
        "rule": entry.rule and _formula(entry.rule),
        "local_gradients": _by_operand(entry, entry.local_gradients),
        "contributions": _by_operand(entry, entry.contributions),
        "nondifferentiable": kink and {**_formula(kink), "returned": operation.kinks and operation.kinks.returned},
        "conventions": {library: _by_operand(entry, formulas) for library, formulas in entry.conventions.items()},
    }


def _by_operand(entry: Entry, formulas: Sequence[Formula | None]) -> list[dict[str, str]]:
    """One formula for each operand to which a gradient flows; none where none can be written."""
    pairs = zip(entry.operands, formulas, strict=False)
    return [{"operand": operand, **_formula(formula)} for operand, formula in pairs if formula]


def _formula(formula: Formula) -> dict[str, str]:
    return {"text": formula.text, "latex": formula.latex, "mathml": formula.mathml}
