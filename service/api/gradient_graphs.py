"""Derivatives as formulas and as graphs, over HTTP."""

from typing import Any

from flask import Response

from service.api.gradient_graph_schemas import FormulaDocument, FormulaQuery, GradientGraphRequest
from service.api.graph_schemas import GraphDocument
from service.api.graphs import respond_graph
from service.api.http.endpoint import Blueprint
from service.api.http.problems import InvalidParameters
from service.api.http.request import context, idempotency_key
from service.api.http.response import respond
from service.core.errors import InvalidRequest
from service.usecases import gradient_graphs as usecases

blueprint = Blueprint("gradient graphs", __name__, description="Derivatives as formulas and as graphs")


@blueprint.endpoint(
    "GET",
    "/v1/graphs/<graph_id>/formula",
    query=FormulaQuery,
    answer=FormulaDocument,
    problems=(404,),
)
def get_formula(query: dict[str, Any], graph_id: str) -> Response:
    """Read a derivative, or a node itself, as one formula in the graph's inputs

    It is lightly simplified. The expression can be posted as a graph and has the same figures, rounding aside.
    """
    try:
        formula = usecases.get_formula(context(), graph_id, **query)
    except InvalidRequest as error:
        raise InvalidParameters(error.faults) from None
    equation = formula.equation
    return respond({"expression": formula.text, "latex": equation.latex, "mathml": equation.mathml})


@blueprint.endpoint(
    "POST",
    "/v1/graphs/<graph_id>/gradient-graph",
    body=GradientGraphRequest,
    answer=GraphDocument,
    status=201,
    also=200,
    problems=(404,),
)
def create_gradient_graph(body: dict[str, Any], graph_id: str) -> Response:
    """Keep the graph whose outputs are the gradients, named d<output>_d<node>

    It has every input of its parent. A graph of elementwise operations is differentiated as a function of scalars: at
    vector inputs each gradient is per point. In one with tensors (by its operations, its constants or the shapes that
    its inputs declare) each gradient has its node's shape. The graph can be run, compared and differentiated again.
    """
    return respond_graph(*usecases.create_gradient_graph(context(), graph_id, key=idempotency_key(), **body))
