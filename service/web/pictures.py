"""Pictures over HTTP."""

from collections.abc import Sequence
from typing import Any

import marshmallow as ma
from flask import Response, request

from service.api.http.endpoint import Blueprint
from service.api.http.problems import InvalidParameters
from service.api.http.request import context
from service.api.schemas import NodeName, Query, QueryInt, StrictString
from service.core.errors import Fault, InvalidInputs
from service.core.graph.graph import Graph
from service.core.graph.parts import GraphPart
from service.core.graph.selection import no_node
from service.core.rounding.precision import ROUNDED
from service.usecases.comparisons import get_comparison
from service.usecases.graphs import get_graph
from service.usecases.rounding import get_rounding
from service.usecases.runs import get_run
from service.usecases.sweeps import get_sweep, load_points
from service.usecases.weighing import DRAWN_NODE
from service.web import sweep_picture
from service.web.captions import Subject
from service.web.dot import write_dot
from service.web.folding import fold, fold_subject
from service.web.picture import draw_svg
from service.web.plot_svg import stand_alone
from service.web.subjects import comparison_subject, graph_subject, rounding_subject, run_subject
from service.web.sweep_picture import choose
from service.web.view import HOPS, LARGEST_WHOLE, View, choose_view

blueprint = Blueprint(
    "pictures", __name__, description="Graphs drawn, with the figures of their runs, and what sweeps found"
)

SVG, DOT = "image/svg+xml", "text/vnd.graphviz"
HELD = r"^(?s:.+):[0-9]{1,9}$"
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


class SweepPictureQuery(Query):
    """What is drawn over which inputs."""

    of = StrictString(
        metadata={"description": "A column: an output, F, or a gradient, dF/da. Left out, the first output"}
    )
    x = NodeName(
        metadata={
            "description": "An input that varies. With `y` left out as well, the first two that vary are drawn over"
        }
    )
    y = NodeName(metadata={"description": "Another one. Left out, a curve over `x` is drawn"})
    hold = ma.fields.List(
        StrictString(validate=ma.validate.Regexp(HELD, error="an input and the index of its value is expected: c:4")),
        metadata={
            "description": "An input that varies in a grid and is not drawn over, and the index, from 0, of the value "
            "at which it is held, c:4. Left out, it is held in the middle"
        },
    )


@blueprint.endpoint(
    "GET", "/v1/sweeps/<sweep_id>/picture", query=SweepPictureQuery, answer=None, media=(SVG,), problems=(404, 409)
)
def draw_sweep(query: dict[str, Any], sweep_id: str) -> Response:
    """Draw a figure over one or two of the inputs that vary, with its extremes and what is not finite"""
    stored = get_sweep(context(), sweep_id)
    held = {name: int(index) for name, _, index in (each.rpartition(":") for each in query.get("hold", ()))}
    try:
        asked = choose(stored.sweep, query.get("of"), query.get("x"), query.get("y"), held)
    except InvalidInputs as error:
        raise InvalidParameters(error.faults) from None
    picture = sweep_picture.draw_sweep(stored.sweep, load_points(context(), stored), asked)
    return _answer(stand_alone(picture.plot, f"sweep-{stored.record.id}", picture.title, picture.told), SVG)


def _respond(subject: Subject, query: dict[str, Any], parts: Sequence[GraphPart] = ()) -> Response:
    context().admit(DRAWN_NODE * len(subject.graph))
    subject = fold_subject(subject, fold(subject.graph, parts, query.get("open", ())))
    view = _view(subject.graph, query, subject.output)
    write, media = (write_dot, f"{DOT}; charset=utf-8") if query["format"] == "dot" else (draw_svg, SVG)
    drawn = write(subject, view, down=query["direction"] == "down")
    return _answer(drawn, media)


def _answer(drawn: str, media: str) -> Response:
    response = Response(drawn, content_type=media, headers=_HEADERS)
    response.add_etag()
    response.make_conditional(request)
    return response


def _view(graph: Graph, query: dict[str, Any], output: str | None) -> View:
    focus = query.get("focus")
    if focus is not None and focus not in graph.position:
        raise InvalidParameters([Fault(("focus",), no_node(graph, focus))])
    return choose_view(graph, focus, query.get("hops"), output)
