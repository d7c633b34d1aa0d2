"""How an answer is sent: as JSON or in another accepted form, with an ETag."""

import json
from collections.abc import Mapping
from typing import Any

from flask import Response, after_this_request, request
from werkzeug.exceptions import NotAcceptable

_write_json = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=dict).encode


def respond(
    document: Any, status: int = 200, headers: Mapping[str, str] | None = None, content_type: str = "application/json"
) -> Response:
    """Send a document as JSON, or bytes as they are, with a strong ETag; a GET whose If-None-Match has it gets 304."""
    if not isinstance(document, bytes):
        document = _write_json(document)
    response = Response(document, status=status, content_type=content_type, headers=headers)
    response.add_etag()
    if request.method == "GET":
        response.make_conditional(request)
    return response


def accepted(*forms: str) -> str:
    """Return the media type that the Accept header prefers, the first if there is no header; raises NotAcceptable."""

    def vary(response: Response) -> Response:
        response.headers["Vary"] = "Accept"
        return response

    after_this_request(vary)
    if not request.accept_mimetypes:
        return forms[0]
    preferred = request.accept_mimetypes.best_match(forms)
    if preferred is None:
        raise NotAcceptable(f"the answer is available as {' or '.join(forms)}")
    return preferred
