"""Alignments over HTTP."""

from typing import Any

from flask import Response

from service.api.alignment_documents import alignment_document
from service.api.alignment_schemas import AlignmentDocument, AlignmentRequest
from service.api.http.endpoint import Blueprint
from service.api.http.request import context
from service.api.http.response import respond
from service.storage.access_keys import Scope
from service.usecases import alignments as usecases

blueprint = Blueprint("alignments", __name__, description="Which nodes of two graphs are one?")


@blueprint.endpoint(
    "POST", "/v1/alignments", body=AlignmentRequest, answer=AlignmentDocument, problems=(404,), scope=Scope.READ
)
def align_runs(body: dict[str, Any]) -> Response:
    """Pair the nodes of two runs' graphs by what they compute, whatever they are called; nothing is kept

    Both graphs are computed at the same random inputs, scaled from the runs' own: nodes whose figures agree are one.
    Of what the runs recorded only the inputs are used. A comparison that is aligned by probes takes the answer's pairs,
    or those that a person has put right, as `names`.
    """
    aligned = usecases.align_runs(context(), **body)
    return respond(alignment_document(aligned.baseline.graph, aligned.candidate.graph, aligned.alignment))
