"""Explanations over HTTP."""

from typing import Any

from flask import Response

from service.api.acts import Acts, book, page_size, read_position, respond_page, write_cursor
from service.api.documents import if_small
from service.api.explanation_schemas import StepPage, StepsQuery
from service.api.numbers import write_array, write_number
from service.core.equation import Line
from service.core.explanation import BackwardStep, Contribution, ForwardStep, Step
from service.core.figures import FloatArray
from service.usecases import explanations as usecases

# Steps of a page, unless the caller says how many.
_LISTED = 100

blueprint = Acts("explanations", __name__, description="How did each figure come about?")


@blueprint.act("GET", "/v1/runs/<run_id>/steps", query=StepsQuery, answer=StepPage, problems=(404,))
def list_steps(query: dict[str, Any], run_id: str) -> Response:
    """List how each figure of a run came about: rule, formula, numbers put in; or the steps of one node"""
    start, size = read_position(query.get("cursor")), page_size(query, _LISTED)
    steps, after = usecases.list_steps(book(), run_id, node=query.get("node"), start=start, limit=size)
    return respond_page("steps", list(map(_step, steps)), None if after is None else write_cursor(after))


def _step(step: Step) -> dict[str, Any]:
    return _forward(step) if isinstance(step, ForwardStep) else _backward(step)


def _forward(step: ForwardStep) -> dict[str, Any]:
    return {
        "phase": "forward",
        "node": step.node.name,
        "operation": step.node.operation.name,
        "inputs": step.node.inputs,
        "rule": step.rule,
        **_line(step.line),
        **_shape(step.value),
        "value": write_array(if_small(step.value)),
    }


def _backward(step: BackwardStep) -> dict[str, Any]:
    return {
        "phase": "backward",
        "node": step.node.name,
        **_line(step.line),
        **_shape(step.gradient),
        **({} if step.seed is None else {"seed": write_array(if_small(step.seed))}),
        "contributions": list(map(_contribution, step.contributions)),
        "contribution_count": step.count,
        "sum": write_array(if_small(step.sum)),
        "gradient": write_array(if_small(step.gradient)),
        "difference": None if step.difference is None else write_number(step.difference),
    }


def _contribution(contribution: Contribution) -> dict[str, Any]:
    return {
        "consumer": contribution.consumer.name,
        "operand": contribution.slot,
        "rule": contribution.rule,
        **_line(contribution.line),
        "local": write_array(if_small(contribution.local)),
        "upstream": write_array(if_small(contribution.upstream)),
        "product": write_array(if_small(contribution.product)),
    }


def _shape(figure: FloatArray | None) -> dict[str, Any]:
    return {"shape": figure.shape} if figure is not None and figure.ndim else {}


def _line(line: Line) -> dict[str, str | None]:
    written = {"formula": line.formula, "numbers": line.numbers}
    if line.fractions is not None:
        written["fractions"] = line.fractions
    return {
        f"{member}{suffix}": None if formula is None else str(getattr(formula, language))
        for member, formula in written.items()
        for suffix, language in (("", "text"), ("_latex", "latex"), ("_mathml", "mathml"))
    }
