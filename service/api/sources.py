"""Graphs in other languages, over HTTP."""

from typing import Any

import marshmallow as ma
from flask import Response

from service.api.http import onnx
from service.api.http.endpoint import Blueprint
from service.api.http.problems import InvalidParameters
from service.api.http.request import context
from service.api.http.response import accepted, send
from service.api.schemas import Query, StrictString
from service.core.errors import InvalidRequest
from service.core.source.writing import LANGUAGES
from service.usecases import sources as usecases
from service.usecases.model_exports import export_graph as write_onnx

blueprint = Blueprint("sources", __name__, description="Graphs in other languages")

_TEXT = "text/plain"


class SourceQuery(Query):
    """In which language a graph is written."""

    language = StrictString(
        load_default=LANGUAGES[0],
        validate=ma.validate.OneOf(LANGUAGES, error=f"{', '.join(LANGUAGES[:-1])} or {LANGUAGES[-1]} is expected"),
        metadata={"enum": list(LANGUAGES)},
    )


@blueprint.endpoint(
    "GET", "/v1/graphs/<graph_id>/source", query=SourceQuery, answer=None, media=(_TEXT,), problems=(404,)
)
def get_source(query: dict[str, Any], graph_id: str) -> Response:
    """Write a graph as the source code of a function

    Its parameters are the graph's inputs, each node is a line, and it returns the outputs. In C all are numbers of
    type double. What a language cannot say is refused, each operation by its name.
    """
    try:
        text = usecases.get_source(context(), graph_id, query["language"])
    except InvalidRequest as error:  # the fault is in the query
        raise InvalidParameters(error.faults) from None
    return send([text.encode()], content_type=f"{_TEXT}; charset=utf-8")


class ExportQuery(Query):
    """What an ONNX model says that the graph does not."""

    dtype = StrictString(
        load_default="float32",
        validate=ma.validate.OneOf(["float32", "float64"], error="float32 or float64 is expected"),
        metadata={
            "enum": ["float32", "float64"],
            "description": "Of all figures. ONNX Runtime lacks some operators for float64",
        },
    )
    input = ma.fields.List(
        StrictString(),
        metadata={
            "description": "The shape of an input that declares none, NAME=LENGTH,LENGTH…, parted at the last =; "
            "one for each such input"
        },
    )


@blueprint.endpoint(
    "GET", "/v1/graphs/<graph_id>/onnx", query=ExportQuery, answer=None, forms=(onnx.MEDIA_TYPE,), problems=(404, 501)
)
def export_graph(query: dict[str, Any], graph_id: str) -> Response:
    """Write a graph as an ONNX model

    Its weights are in it. An operation that ONNX lacks is decomposed, as far as the shapes of its operands are known:
    those of inputs are declared, or given as `input`. What ONNX cannot say is refused, each operation by its name.
    """
    form = accepted(onnx.MEDIA_TYPE)
    shapes = {name: tuple(lengths) for name, lengths in onnx.read_shapes(query.get("input", ())).items()}
    try:
        body = write_onnx(context(), graph_id, dtype=query["dtype"], shapes=shapes)
    except InvalidRequest as error:  # the faults are in the query and in the path
        raise InvalidParameters(error.faults) from None
    return send([body], content_type=form)
