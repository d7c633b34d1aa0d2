"""Pictures over HTTP."""

from collections.abc import Sequence
from typing import Any

import marshmallow as ma
from flask import Response, request

from service.api.http.endpoint import Blueprint
from service.api.http.problems import InvalidParameters
from service.api.http.request import context
from service.api.schemas import NodeName, Query, QueryInt, StrictString
from service.core.errors import Fault
from service.core.graph.graph import Graph
from service.core.graph.parts import GraphPart
from service.core.graph.selection import no_node
from service.core.rounding.precision import ROUNDED
from service.usecases.comparisons import get_comparison
from service.usecases.graphs import get_graph
from service.usecases.rounding import get_rounding
from service.usecases.runs import get_run
from service.usecases.weighing import DRAWN_NODE
from service.web.captions import Subject
from service.web.dot import write_dot
from service.web.folding import fold, fold_subject
from service.web.picture import draw_svg
from service.web.subjects import comparison_subject, graph_subject, rounding_subject, run_subject
from service.web.view import HOPS, LARGEST_WHOLE, View, choose_view

blueprint = Blueprint("pictures", __name__, description="Graphs drawn, with the figures of their runs")

SVG, DOT = "image/svg+xml", "text/vnd.graphviz"
# A picture that is opened by itself runs nothing and fetches nothing, whatever its names hold.
_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}


class PictureQuery(Query):
    """Which part of the graph is drawn, and how."""

    format = StrictString(
        load_default="svg",
        validate=ma.validate.OneOf(["svg", "dot"], error="svg or dot is expected"),
        metadata={"enum": ["svg", "dot"]},
    )
    focus = NodeName(
        metadata={
            "description": "Draw the neighbourhood of this node. Left out, a graph of more than "
            f"{LARGEST_WHOLE} nodes is drawn around the output"
        }
    )
    hops = QueryInt(metadata={"description": f"Draw nodes up to so many edges away: {HOPS}"})
    open = ma.fields.List(
        StrictString(),
        metadata={"description": "The parts that are drawn with their nodes; each other one is drawn as one node"},
    )
    direction = StrictString(
        load_default="right",
        validate=ma.validate.OneOf(["right", "down"], error="right or down is expected"),
        metadata={"enum": ["right", "down"], "description": "Where edges run; down is for narrow screens"},
    )


@blueprint.endpoint(
    "GET", "/v1/graphs/<graph_id>/picture", query=PictureQuery, answer=None, media=(SVG, DOT), problems=(404,)
)
def get_graph_picture(query: dict[str, Any], graph_id: str) -> Response:
    """Draw a graph, as SVG or in DOT"""
    record = get_graph(context(), graph_id)
    return _respond(graph_subject(record, context().graph(record.digest)), query, record.parts)


class RunPictureQuery(PictureQuery):
    """Which part of the run is drawn, and how."""

    rounding = StrictString(
        validate=ma.validate.OneOf(ROUNDED, error=f"one of {', '.join(ROUNDED)} is expected"),
        metadata={"description": "Shade each node by its share in the likely error of rounding to this dtype"},
    )


@blueprint.endpoint(
    "GET", "/v1/runs/<run_id>/picture", query=RunPictureQuery, answer=None, media=(SVG, DOT), problems=(404, 409)
)
def get_run_picture(query: dict[str, Any], run_id: str) -> Response:
    """Draw a run: each node's value above its out-edge, its gradient below"""
    if "rounding" in query:
        found = get_rounding(context(), run_id, dtype=query["rounding"])
        record = get_graph(context(), found.run.record.graph_id)
        return _respond(rounding_subject(found, record), query, record.parts)
    run = get_run(context(), run_id)
    record = get_graph(context(), run.record.graph_id)
    return _respond(run_subject(run, record), query, record.parts)


@blueprint.endpoint(
    "GET", "/v1/comparisons/<comparison_id>/picture", query=PictureQuery, answer=None, media=(SVG, DOT), problems=(404,)
)
def get_comparison_picture(query: dict[str, Any], comparison_id: str) -> Response:
    """Draw the candidate of a comparison, with each figure marked that is an origin, inherited or compensated"""
    compared = get_comparison(context(), comparison_id)
    return _respond(comparison_subject(compared.found, compared.record.id), query)


def _respond(subject: Subject, query: dict[str, Any], parts: Sequence[GraphPart] = ()) -> Response:
    context().admit(DRAWN_NODE * len(subject.graph))
    subject = fold_subject(subject, fold(subject.graph, parts, query.get("open", ())))
    view = _view(subject.graph, query, subject.output)
    write, media = (write_dot, f"{DOT}; charset=utf-8") if query["format"] == "dot" else (draw_svg, SVG)
    drawn = write(subject, view, down=query["direction"] == "down")
    response = Response(drawn, content_type=media, headers=_HEADERS)
    response.add_etag()
    response.make_conditional(request)
    return response


def _view(graph: Graph, query: dict[str, Any], output: str | None) -> View:
    focus = query.get("focus")
    if focus is not None and focus not in graph.position:
        raise InvalidParameters([Fault(("focus",), no_node(graph, focus))])
    return choose_view(graph, focus, query.get("hops"), output)
