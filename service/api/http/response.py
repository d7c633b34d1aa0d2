"""How an answer is sent: as JSON or in another accepted form, with an ETag."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

from flask import Response, after_this_request, request
from flask.globals import request_ctx
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import NotAcceptable
from werkzeug.http import parse_accept_header

from service.api.http.json_writing import write_json
from service.core.errors import PreconditionFailed


def respond(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Send a document as JSON, as `send` does."""
    return send(write_json(document), status, headers)


def send(
    pieces: list[bytes],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> Response:
    """Send the pieces of an answer with a strong ETag; a GET whose If-None-Match has it gets 304."""
    own = {"Content-Type": content_type, "ETag": f'"{_etag(pieces)}"'}
    response = Response(pieces, status=status, headers={**own, **(headers or {})})
    if request.method == "GET":
        response.make_conditional(request)
    return response


def location(path: str) -> str:
    """The address of what is at that path, for the header Location."""
    return f"{request_ctx.request.script_root}{path}"


def require_match(write: Callable[[], Any]) -> None:
    """Raise PreconditionFailed if the request's If-Match lacks the ETag of the document that `write` returns: what a
    GET of the same address would answer now."""
    if has_condition() and not request.if_match.contains(_etag(write_json(write()))):
        raise PreconditionFailed("this is not what If-Match names: it has changed since")


def has_condition() -> bool:
    """Whether the request has the header If-Match, also one that names no ETag: that matches nothing."""
    return "If-Match" in request.headers


def _etag(pieces: list[bytes]) -> str:
    digest = sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def accepted(*forms: str) -> str:
    """Return the media type that the Accept header prefers, the first if there is no header; raises NotAcceptable."""
    after_this_request(_vary)
    preferred = _prefer(request.environ.get("HTTP_ACCEPT", ""), forms)
    if preferred is None:
        raise NotAcceptable(f"the answer is available as {' or '.join(forms)}")
    return preferred


def _vary(response: Response) -> Response:
    response.headers["Vary"] = "Accept"
    return response


@lru_cache(maxsize=64)
def _prefer(accept: str, forms: tuple[str, ...]) -> str | None:
    asked = parse_accept_header(accept, MIMEAccept)
    return asked.best_match(forms) if asked else forms[0]
