"""Explanations over HTTP."""

from decimal import Decimal
from typing import Any

import numpy as np
from flask import Response

from service.api.explanation_schemas import PathsDocument, PathsQuery, StepPage, StepsQuery
from service.api.http.endpoint import Blueprint
from service.api.http.paging import MOST_NUMBERS, Page, Paging, page_size
from service.api.http.problems import InvalidParameters
from service.api.http.request import context
from service.api.http.response import respond
from service.api.numbers import write_array, write_number
from service.core.errors import InvalidRequest
from service.core.explanation.paths import Path, Paths
from service.core.explanation.steps import BackwardStep, Contribution, ForwardStep, Step
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Graph
from service.core.symbolic.equation import Equation, Formula
from service.usecases import explanations as usecases
from service.usecases.run_ends import LARGEST_LISTED, if_small
from service.usecases.runs import StoredRun

# Steps of a page and paths, unless the caller says how many; the greatest whole number that all JSON readers keep.
_LISTED = 100
_LISTED_PATHS = 10
_EXACT = 2**53

blueprint = Blueprint("explanations", __name__, description="How did each figure come about?")


@blueprint.endpoint(
    "GET",
    "/v1/runs/<run_id>/steps",
    query=StepsQuery,
    answer=StepPage,
    page=Paging("steps", _LISTED),
    problems=(404,),
)
def list_steps(query: dict[str, Any], page: Page, run_id: str) -> tuple[list[Any], int | None]:
    """List how each figure of a run came about: rule, formula, numbers put in; or the steps of one node"""
    steps, count = usecases.list_steps(context(), run_id, node=query.get("node"), start=page.start, limit=page.size)
    if "node" in query:  # one step forward and one backward
        return list(map(_step, steps)), None
    return page.fit(map(_step, steps), count)


@blueprint.endpoint("GET", "/v1/runs/<run_id>/paths", query=PathsQuery, answer=PathsDocument, problems=(404, 409))
def list_paths(query: dict[str, Any], run_id: str) -> Response:
    """List the paths from a node to the output, the largest first: the gradient is the sum of their products"""
    try:
        run, found = usecases.list_paths(context(), run_id, node=query["node"], limit=page_size(query, _LISTED_PATHS))
    except InvalidRequest as error:  # the fault is in the query
        raise InvalidParameters(error.faults) from None
    return respond(_paths(run, query["node"], found))


def _step(step: Step) -> dict[str, Any]:
    return _forward(step) if isinstance(step, ForwardStep) else _backward(step)


def _forward(step: ForwardStep) -> dict[str, Any]:
    return {
        "phase": "forward",
        "node": step.node.name,
        "operation": step.node.operation.name,
        "inputs": step.node.inputs,
        "rule": step.rule,
        **_line(step.equation),
        **_shape(step.value),
        "value": write_array(if_small(step.value)),
        "difference": None if step.difference is None else write_number(step.difference),
    }


def _backward(step: BackwardStep) -> dict[str, Any]:
    largest = min(LARGEST_LISTED, MOST_NUMBERS // (3 * len(step.contributions) or 1))
    return {
        "phase": "backward",
        "node": step.node.name,
        **_line(step.equation),
        **_shape(step.gradient),
        **({} if (seed := if_small(step.seed)) is None else {"seed": write_array(seed)}),
        "contributions": [_contribution(each, largest) for each in step.contributions],
        "contribution_count": step.count,
        "sum": write_array(if_small(step.sum)),
        "gradient": write_array(if_small(step.gradient)),
        "difference": None if step.difference is None else write_number(step.difference),
    }


def _contribution(contribution: Contribution, largest: int) -> dict[str, Any]:
    """A contribution; a figure of more than `largest` elements is null."""
    return {
        "consumer": contribution.consumer.node.name,
        "operand": contribution.operand_index,
        "rule": contribution.rule,
        **_line(contribution.equation),
        "local": write_array(if_small(contribution.local, largest)),
        "upstream": write_array(if_small(contribution.consumer.upstream, largest)),
        "product": write_array(if_small(contribution.product, largest)),
        **({} if contribution.closed is None else {"closed": contribution.closed}),
    }


def _shape(figure: FloatArray | None) -> dict[str, Any]:
    return {"shape": figure.shape} if figure is not None and figure.ndim else {}


def _paths(run: StoredRun, name: str, found: Paths) -> dict[str, Any]:
    gradient = None if run.gradients is None else run.gradients[run.graph.position[name]]
    return {
        "node": name,
        "output": run.record.output,
        "seed": write_array(np.ones(()) if run.record.seed is None else run.record.seed),
        **_line(found.equation),
        **_formula("expanded", found.expanded),
        "paths": [_path(run.graph, name, path) for path in found.paths],
        "path_count": _count(found.count),
        "sum": write_number(found.sum),
        "listed_sum": write_number(found.listed_sum),
        "share": found.share,
        "gradient": write_array(gradient),
    }


def _path(graph: Graph, name: str, path: Path) -> dict[str, Any]:
    consumers = [graph.nodes[edge.consumer] for edge in path.edges]
    return {
        "nodes": [name, *(consumer.name for consumer in consumers)],
        "factors": [
            {
                "of": consumer.name,
                "wrt": consumer.inputs[edge.operand_index],
                "operand": edge.operand_index,
                "value": write_number(edge.local),
            }
            for consumer, edge in zip(consumers, path.edges, strict=True)
        ],
        "product": write_number(path.product),
    }


def _count(count: int) -> int | str:
    """A JSON integer as far as every reader keeps it; Decimal writes all digits, where str stops at 4,300."""
    return count if count <= _EXACT else str(Decimal(count))


def _line(line: Equation) -> dict[str, str | None]:
    written = {**_formula("formula", line.formula), **_formula("numbers", line.numbers)}
    return written if line.fractions is None else {**written, **_formula("fractions", line.fractions)}


def _formula(member: str, formula: Formula | None) -> dict[str, str | None]:
    return {
        member: None if formula is None else formula.text,
        f"{member}_latex": None if formula is None else formula.latex,
        f"{member}_mathml": None if formula is None else formula.mathml,
    }
