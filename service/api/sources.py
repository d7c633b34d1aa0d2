"""Graphs in other languages, over HTTP."""

from typing import Any

import marshmallow as ma
from flask import Response

from service.api.http.endpoint import Blueprint
from service.api.http.problems import InvalidParameters
from service.api.http.request import context
from service.api.http.response import send
from service.api.schemas import Query, StrictString
from service.core.errors import InvalidRequest
from service.core.source.writing import LANGUAGES
from service.usecases import sources as usecases

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
