"""Derivatives and gradient checks over HTTP."""

from collections.abc import Mapping
from typing import Any

from flask import Response

from service.api.derivative_schemas import (
    DerivativesDocument,
    DerivativesPage,
    DerivativesRequest,
    GradientCheckDocument,
    GradientCheckRequest,
)
from service.api.http.endpoint import Blueprint
from service.api.http.paging import LISTED, Page, Paging
from service.api.http.request import context, idempotency_key
from service.api.http.response import location, require_match, respond
from service.api.numbers import is_reference, read_arrays, read_given, write_array, write_number
from service.api.schemas import ListQuery
from service.core.derivatives.gradient_check import RANDOM_SEED, NodeCheck
from service.core.figures.figures import FloatArray
from service.storage.access_keys import Scope
from service.storage.derivatives import Block, DerivativesHead, DerivativesRecord
from service.usecases import deletion, gradient_checks
from service.usecases import derivatives as usecases
from service.usecases.tensors import write_digest

blueprint = Blueprint("derivatives", __name__, description="Jacobians and Hessians; are the gradients right?")


@blueprint.endpoint(
    "POST",
    "/v1/graphs/<graph_id>/derivatives",
    body=DerivativesRequest,
    answer=DerivativesDocument,
    status=201,
    problems=(404,),
)
def create_derivatives(body: dict[str, Any], graph_id: str) -> Response:
    """Compute a Jacobian, a Hessian, or the product of one with a vector, and keep it"""
    inputs = read_arrays(body.pop("inputs"), ("inputs",))
    if "vector" in body:
        one = not isinstance(body["vector"], dict) or is_reference(body["vector"])
        read = read_given if one else read_arrays
        body["vector"] = read(body["vector"], ("vector",))
    record = usecases.create_derivatives(context(), graph_id, inputs=inputs, key=idempotency_key(), **body)
    headers = {"Location": location(f"/v1/derivatives/{record.id}")}
    return respond(_derivatives_document(record), 201, headers)


@blueprint.endpoint(
    "GET",
    "/v1/derivatives/<derivatives_id>",
    answer=DerivativesDocument,
    problems=(404,),
)
def get_derivatives(derivatives_id: str) -> Response:
    """Read derivatives that were kept"""
    return respond(_derivatives_document(usecases.get_derivatives(context(), derivatives_id)))


@blueprint.endpoint("DELETE", "/v1/derivatives/<derivatives_id>", answer=None, status=204, problems=(404, 412))
def delete_derivatives(derivatives_id: str) -> Response:
    """Delete derivatives that were kept"""
    require_match(lambda: _derivatives_document(usecases.get_derivatives(context(), derivatives_id)))
    deletion.delete_derivatives(context(), derivatives_id)
    return Response(status=204)


@blueprint.endpoint(
    "POST",
    "/v1/graphs/<graph_id>/gradient-checks",
    body=GradientCheckRequest,
    answer=GradientCheckDocument,
    problems=(404,),
    scope=Scope.READ,
)
def check_gradients(body: dict[str, Any], graph_id: str) -> Response:
    """Check gradients against forward passes alone, in which one node's value is moved; nothing is kept"""
    inputs, gradients = (read_arrays(body.pop(member), (member,)) for member in ("inputs", "gradients"))
    check = gradient_checks.check_gradients(context(), graph_id, inputs, gradients=gradients, **body)
    document: dict[str, Any] = {"verdict": check.verdict, "method": check.method, "output": check.output}
    if check.method == "taylor":
        document["random_seed"] = RANDOM_SEED
    return respond({**document, "nodes": [_node_check_document(node, check.method) for node in check.nodes]})


@blueprint.endpoint(
    "GET",
    "/v1/graphs/<graph_id>/derivatives",
    query=ListQuery,
    answer=DerivativesPage,
    page=Paging("derivatives", LISTED),
    problems=(404,),
)
def list_derivatives(query: dict[str, Any], page: Page, graph_id: str) -> tuple[list[Any], str | None]:
    """List a graph's derivatives without their figures, newest first"""
    found = usecases.list_derivatives(context(), graph_id, **query, after=page.after, limit=page.size + 1)
    return page.cut(found, _summary)


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
    if check.held:
        document["held"] = True
    return document


def _derivatives_document(record: DerivativesRecord) -> dict[str, Any]:
    def written(arrays: Mapping[str, FloatArray]) -> dict[str, Any]:
        return {name: write_array(array) for name, array in arrays.items()}

    return {
        **_summary(record),
        "inputs": {**written(record.inputs), **_tensors(record)},
        "vector": written(record.vector) if record.vector else None,
        "blocks": map(_block_document, record.blocks),  # there may be a million, which are written some at a time
    }


def _summary(record: DerivativesRecord | DerivativesHead) -> dict[str, Any]:
    return {
        "id": record.id,
        "graph_id": record.graph_id,
        "graph_digest": record.graph_digest,
        "kind": record.kind,
        "outputs": record.outputs,
        "wrt": record.wrt,
        "created_at": record.created_at.isoformat(),
    }


def _tensors(record: DerivativesRecord) -> dict[str, Any]:
    return {name: {"tensor": write_digest(digest)} for name, digest in record.tensors.items()}


def _block_document(block: Block) -> dict[str, Any]:
    shape = {"shape": block.value.shape} if block.value.ndim else {}
    return {"of": block.of, "wrt": block.wrt, **shape, "value": write_array(block.value)}
