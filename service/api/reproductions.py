"""Origins of comparisons alone, over HTTP."""

from typing import Any

import marshmallow as ma
from flask import Response, request

from service.api.comparison_schemas import ComparisonDocument
from service.api.comparisons import answer_comparison
from service.api.http import npz
from service.api.http.endpoint import Blueprint
from service.api.http.problems import InvalidParameters
from service.api.http.request import context, idempotency_key
from service.api.http.response import accepted, send
from service.api.schemas import Query, StrictString
from service.core.errors import InvalidRequest
from service.core.reproduction.issue import write_issue
from service.core.reproduction.script import LANGUAGES
from service.usecases import reproductions as usecases

blueprint = Blueprint("reproductions", __name__, description="Origins alone, to be shown to others")

_PYTHON, _MARKDOWN = "text/x-python", "text/markdown"
_FORMS: dict[str, Any] = {"media": (_PYTHON, _MARKDOWN), "forms": (npz.MEDIA_TYPE,), "problems": (404, 406, 409)}


class ReproductionQuery(Query):
    """In which language an origin is shown."""

    language = StrictString(
        load_default=LANGUAGES[0],
        validate=ma.validate.OneOf(LANGUAGES, error=f"{', '.join(LANGUAGES[:-1])} or {LANGUAGES[-1]} is expected"),
        metadata={"enum": list(LANGUAGES)},
    )


class OriginQuery(ReproductionQuery):
    """Which origin is shown; by default the first."""

    phase = StrictString(
        validate=ma.validate.OneOf(["forward", "backward"], error="forward or backward is expected"),
    )
    node = StrictString()


@blueprint.endpoint("GET", "/v1/comparisons/<comparison_id>/reproduction", query=OriginQuery, answer=None, **_FORMS)
def get_reproduction(query: dict[str, Any], comparison_id: str) -> Response:
    """Write a script that shows an origin of a comparison with NumPy, PyTorch or JAX alone

    It computes what is right from the candidate's figures and prints it beside what was recorded. Where it reads large
    arrays from an .npz of its own name, a header Link with rel="related" leads to that: the same address, accepted as
    application/x-npz. As text/markdown it is the text of an issue. An origin that does not follow from other figures,
    as an Input's, is refused with 409.
    """
    return _answer(comparison_id, query["language"], query.get("phase"), query.get("node"))


@blueprint.endpoint(
    "GET",
    "/v1/comparisons/<comparison_id>/origins/<phase>/<name:node>/reproduction",
    query=ReproductionQuery,
    answer=None,
    **_FORMS,
)
def get_origin_reproduction(query: dict[str, Any], comparison_id: str, phase: str, node: str) -> Response:
    """The same of the origin that the path names"""
    return _answer(comparison_id, query["language"], phase, node)


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


def _answer(comparison_id: str, language: str, phase: str | None, node: str | None) -> Response:
    form = accepted(_PYTHON, _MARKDOWN, npz.MEDIA_TYPE)
    try:
        found, script = usecases.get_reproduction(context(), comparison_id, language, phase=phase, node=node)
    except InvalidRequest as error:  # the fault is in the query
        raise InvalidParameters(error.faults) from None
    if form == npz.MEDIA_TYPE:
        return send(npz.write_members(script.figures), content_type=form)
    beside = {"Link": f'<{request.full_path}>; rel="related"; type="{npz.MEDIA_TYPE}"'} if script.reads else {}
    text = (
        script.text
        if form == _PYTHON
        else write_issue(found.smallest, found.origin.sentence, found.source, script.text, language)
    )
    return send([text.encode()], headers=beside, content_type=f"{form}; charset=utf-8")
