"""The effect of rounding over HTTP."""

import math
from typing import Any

from service.api.http.endpoint import Blueprint
from service.api.http.paging import Page, Paging
from service.api.http.request import context
from service.api.numbers import write_number
from service.api.rounding_documents import amplifier_document
from service.api.rounding_schemas import RoundingDocument, RoundingQuery
from service.core.figures.figures import IntArray
from service.core.rounding.precision import finer
from service.usecases import rounding as usecases
from service.usecases.rounding import RoundingOfRun

_LISTED = 100

blueprint = Blueprint("rounding", __name__, description="What may rounding do?")


@blueprint.endpoint(
    "GET",
    "/v1/runs/<run_id>/rounding",
    query=RoundingQuery,
    answer=RoundingDocument,
    page=Paging("nodes", _LISTED),
    problems=(404, 409),
)
def get_rounding(query: dict[str, Any], page: Page, run_id: str) -> tuple[list[Any], int | None, dict[str, Any]]:
    """Tell what rounding every figure of a run to a precision may do to its output, and whose rounding does most"""
    found = usecases.get_rounding(context(), run_id, dtype=query["dtype"])
    order = found.errors.worst_first
    nodes = [_node(found, position) for position in order[page.start : page.start + page.size].tolist()]
    return (*page.fit(nodes, len(order)), _head(found))


def _head(found: RoundingOfRun) -> dict[str, Any]:
    errors, most = found.errors, context().limits.page
    return {
        "run": found.run.record.id,
        "dtype": errors.dtype,
        "output": found.output,
        "value": write_number(errors.value),
        "likely": _error(found, errors.likely_error),
        "greatest": _error(found, errors.greatest_error),
        "sentence": found.sentence,
        "amplifier": amplifier_document(found.run.graph, errors),
        "keep": {
            "dtype": finer(errors.dtype),
            "nodes": _names(found, found.kept[:most]),
            "node_count": len(found.kept),
            "likely": _error(found, found.rest),
        },
        "overflows": _names(found, errors.overflowing[:most]),
    }


def _node(found: RoundingOfRun, position: int) -> dict[str, Any]:
    node, errors = found.run.graph.nodes[position], found.errors
    factor = float(errors.amplification[position])
    return {
        "name": node.name,
        "operation": node.operation.name,
        "likely": write_number(float(errors.likely[position])),
        "greatest": write_number(float(errors.greatest[position])),
        "share": write_number(float(errors.shares[position])),
        "amplification": None if math.isnan(factor) else write_number(factor),
    }


def _error(found: RoundingOfRun, error: float) -> dict[str, Any]:
    value = abs(found.errors.value)
    relative = error / value if value else math.inf if error else error
    return {"absolute": write_number(error), "relative": write_number(relative)}


def _names(found: RoundingOfRun, positions: IntArray) -> list[str]:
    return [found.run.graph.nodes[position].name for position in positions.tolist()]
