"""Derivatives and gradient checks over HTTP."""

from typing import Any

from flask import Response

from service.api import examples
from service.api.acts import Acts, book, respond
from service.api.derivative_schemas import GradientCheckDocument, GradientCheckRequest
from service.api.numbers import read_arrays, write_array, write_number
from service.core.gradient_check import RANDOM_SEED, NodeCheck
from service.usecases import gradient_checks

blueprint = Acts("derivatives", __name__, description="Are the gradients right?")


@blueprint.act(
    "POST",
    "/v1/graphs/<graph_id>/gradient-checks",
    body=GradientCheckRequest,
    answer=GradientCheckDocument,
    problems=(404,),
    body_example=examples.RUN_REQUEST,
)
def check_gradients(body: dict[str, Any], graph_id: str) -> Response:
    """Check gradients against forward passes alone, in which one node's value is moved; nothing is kept"""
    inputs = read_arrays(body.pop("inputs"), ("inputs",))
    check = gradient_checks.check_gradients(book(), graph_id, inputs, **body)
    document: dict[str, Any] = {"verdict": check.verdict, "method": check.method, "output": check.output}
    if check.method == "taylor":
        document["random_seed"] = RANDOM_SEED
    return respond({**document, "nodes": [_node_check_document(node, check.method) for node in check.nodes]})


def _node_check_document(check: NodeCheck, method: str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": check.name,
        "gradient": write_array(check.gradient),
        "estimate": write_array(check.estimate),
        "error": None if check.error is None else write_number(check.error),
        "verdict": check.verdict,
    }
    if method == "taylor":
        document["rate"] = check.rate
    if check.reason is not None:
        document["reason"] = check.reason
    return document
