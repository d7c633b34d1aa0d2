"""What a request holds: its body and its query, checked, and its Idempotency-Key."""

import hashlib
from collections import deque
from collections.abc import Mapping
from functools import cache
from typing import Any

import marshmallow as ma
from flask import current_app, request
from flask.globals import request_ctx
from marshmallow.fields import List
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from service.api.http import npz, onnx
from service.api.http.problems import InvalidParameters
from service.api.http.strict_json import read_json
from service.api.schemas import Request
from service.core.errors import Fault, InvalidRequest
from service.usecases.context import Context
from service.usecases.idempotency import IdempotencyKey

LONGEST_KEY = 255  # characters


def context() -> Context:
    """The context of the service that is answering, which every use case takes."""
    kept: Context = current_app.extensions["gradbook"]
    return kept


def _body() -> bytes:
    """The body; this service's own server hands it over in pieces, most of which are one."""
    asked = request_ctx.request
    pieces = asked.environ.get("gradbook.body")
    return asked.get_data() if pieces is None else b"".join(pieces)


def read_bytes() -> bytes:
    """The body as it came."""
    asked, body = request_ctx.request, _body()
    if len(body) > context().limits.body_bytes:
        raise RequestEntityTooLarge
    if asked.environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise UnsupportedMediaType("a body is read as it is; send it without Content-Encoding")
    return body


def read_body(schema: Request) -> Any:
    """The body, checked; an empty body is an empty object unless the schema requires a member, and an ONNX model is its
    bytes."""
    asked, body, limits = request_ctx.request, read_bytes(), context().limits
    document: Any
    if not body and not requires_members(schema):
        document = {}
    elif onnx.MEDIA_TYPE in schema.binary and asked.mimetype == onnx.MEDIA_TYPE:
        return body
    elif npz.MEDIA_TYPE in schema.binary and asked.mimetype == npz.MEDIA_TYPE:
        document = npz.read_npz(body, limits)
    elif not asked.is_json:
        raise UnsupportedMediaType("the body must be JSON; send it with Content-Type: application/json")
    else:
        document = read_json(body, limits.json_depth, schema.as_written)
    return check(schema, document)


def check(schema: Request, document: Any) -> Any:
    """The members of a document, checked; raises InvalidRequest."""
    try:
        return schema.load(document)
    except ma.ValidationError as error:
        raise InvalidRequest(_faults(error.messages)) from None


def read_query(schema: Request) -> Any:
    """The query, checked, a parameter that is a list with all its values; raises InvalidParameters."""
    asked = request_ctx.request
    try:
        if not asked.query_string:
            return {**_load_nothing(schema)}
        given: dict[str, Any] = asked.args.to_dict()
        given |= {name: asked.args.getlist(name) for name in given if isinstance(schema.fields.get(name), List)}
        return schema.load(given)
    except ma.ValidationError as error:
        raise InvalidParameters(_faults(error.messages)) from None


@cache
def _load_nothing(schema: Request) -> Any:
    return schema.load({})


def requires_members(schema: Request) -> bool:
    """Whether a body that leaves everything out is refused."""
    return any(field.required for field in schema.fields.values())


def _faults(messages: Any) -> list[Fault]:
    """marshmallow's nested messages as faults, those of outer members first."""
    faults: list[Fault] = []
    waiting: deque[tuple[tuple[str | int, ...], Any]] = deque([((), messages)])
    while waiting:
        location, found = waiting.popleft()
        if isinstance(found, Mapping):
            waiting.extend(((*location, *([] if key == "_schema" else [key])), part) for key, part in found.items())
        else:
            faults.extend(Fault(location, str(message)) for message in found)
    return faults


def given_key() -> str | None:
    """The request's Idempotency-Key; raises InvalidParameters for one that is empty or too long."""
    key: str | None = request.environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not 1 <= len(key) <= LONGEST_KEY:
        raise InvalidParameters([Fault(("Idempotency-Key",), f"an Idempotency-Key has 1 to {LONGEST_KEY} characters")])
    return key


def idempotency_key() -> IdempotencyKey | None:
    """The request's Idempotency-Key with a fingerprint of method, path, query and body; None without a key."""
    key = given_key()
    if key is None:
        return None
    asked = f"{request.method} {request.full_path}\n".encode() + _body()
    return IdempotencyKey(key, hashlib.sha256(asked).hexdigest())
