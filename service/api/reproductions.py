"""Origins of comparisons alone, over HTTP."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import marshmallow as ma
from flask import Response, request

from service.api.comparison_schemas import ComparisonDocument
from service.api.comparisons import answer_comparison
from service.api.http import npz
from service.api.http.endpoint import Blueprint
from service.api.http.problems import InvalidParameters
from service.api.http.request import context, idempotency_key
from service.api.http.response import location, send
from service.api.schemas import Query, StrictString
from service.core.errors import InvalidRequest
from service.core.reproduction.issue import write_issue
from service.core.reproduction.script import LANGUAGES
from service.usecases import reproductions as usecases

blueprint = Blueprint("reproductions", __name__, description="Origins alone, to be shown to others")

# The forms of an answer by their names: media type and ending.
_FORMATS = {"python": ("text/x-python", "py"), "markdown": ("text/markdown", "md"), "npz": (npz.MEDIA_TYPE, "npz")}
_ANSWER: dict[str, Any] = {
    "media": ("text/x-python", "text/markdown"),
    "forms": (npz.MEDIA_TYPE,),
    "problems": (404, 409),
}


def _one_of(*words: str, **options: Any) -> StrictString:
    error = f"{', '.join(words[:-1])} or {words[-1]} is expected"
    return StrictString(validate=ma.validate.OneOf(words, error=error), metadata={"enum": list(words)}, **options)


class ReproductionQuery(Query):
    """In which language an origin is shown, and in which form: a script, an issue with it, or the figures in it."""

    language = _one_of(*LANGUAGES, load_default=LANGUAGES[0])
    format = _one_of(*_FORMATS, load_default="python")


class OriginQuery(ReproductionQuery):
    """Which origin is shown; by default the first."""

    phase = _one_of("forward", "backward")
    node = StrictString()


@blueprint.endpoint("GET", "/v1/comparisons/<comparison_id>/reproduction", query=OriginQuery, answer=None, **_ANSWER)
def get_reproduction(query: dict[str, Any], comparison_id: str) -> Response:
    """Write a script that shows an origin of a comparison with NumPy, PyTorch or JAX alone

    It computes what is right from the candidate's figures and prints it beside what was recorded. As markdown it is the
    text of an issue. Where the script reads large arrays from an .npz of its own name beside it, a header Link with
    rel="related" leads to that; asked for as npz, it has all figures of the script by the names that they have there.
    What does not follow from other figures, as an Input's value, is refused with 409.
    """
    return _answer(query, comparison_id, query.get("phase"), query.get("node"))


@blueprint.endpoint(
    "GET",
    "/v1/comparisons/<comparison_id>/origins/<phase>/<name:node>/reproduction",
    query=ReproductionQuery,
    answer=None,
    **_ANSWER,
)
def get_origin_reproduction(query: dict[str, Any], comparison_id: str, phase: str, node: str) -> Response:
    """The same of the origin that the path names"""
    return _answer(query, comparison_id, phase, node)


@blueprint.endpoint(
    "POST",
    "/v1/comparisons/<comparison_id>/origins/<phase>/<name:node>/reproduction",
    answer=ComparisonDocument,
    status=201,
    also=200,
    problems=(404, 409),
)
def create_reproduction(comparison_id: str, phase: str, node: str) -> Response:
    """Store an origin alone: the smallest graph around it, a run, one that records the figure, and their comparison"""
    return answer_comparison(
        *usecases.create_reproduction(context(), comparison_id, phase, node, key=idempotency_key())
    )


def _answer(query: Mapping[str, Any], comparison_id: str, phase: str | None, node: str | None) -> Response:
    form, language = query["format"], query["language"]
    media_type, ending = _FORMATS[form]
    try:
        found, script = usecases.get_reproduction(context(), comparison_id, language, phase=phase, node=node)
    except InvalidRequest as error:  # the fault is in the query
        raise InvalidParameters(error.faults) from None
    headers = {"Content-Disposition": f"inline; filename={script.name}.{ending}"}
    if form == "npz":
        return send(npz.write_members(script.figures), headers=headers, content_type=media_type)
    if script.reads:
        beside = f"{location(quote(request.path))}?{urlencode({**request.args, 'format': 'npz'})}"
        headers["Link"] = f'<{beside}>; rel="related"; type="{npz.MEDIA_TYPE}"'
    text = script.text
    if form == "markdown":
        text = write_issue(found.smallest, found.origin.sentence, found.source, script.text, language)
    return send([text.encode()], headers=headers, content_type=f"{media_type}; charset=utf-8")
