"""How an act is served: one decorator for route, arguments and documentation; one function for the answer."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Protocol, TypeVar

import flask_smorest
import marshmallow as ma
from flask import Response, after_this_request, current_app, request, url_for
from werkzeug.exceptions import NotAcceptable, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.routing import BaseConverter

from service.api.http import arrow, npz
from service.api.http.problems import MEDIA_TYPE, InvalidParameters
from service.api.http.strict_json import read_json
from service.api.schemas import ProblemDocument, Request
from service.core.errors import Fault, InvalidRequest
from service.usecases.context import Context
from service.usecases.idempotency import IdempotencyKey

LISTED = 50  # items of a page of graphs, runs or comparisons, unless the caller says how many

View = TypeVar("View", bound=Callable[..., Any])

LONGEST_KEY = 255
TEXT = {"schema": {"type": "string"}}
_write_json = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=dict).encode
# The forms that are not JSON: the name of each in the document of the API, and its description.
BINARY = {npz.MEDIA_TYPE: ("Npz", npz.__doc__), arrow.MEDIA_TYPE: ("ArrowStream", arrow.__doc__)}
_PROBLEM_MEANINGS = {
    400: "The body is not what its Content-Type says",
    404: "There is no such thing",
    406: "No media type of the answer is accepted",
    409: "Not in the present state",
    413: "The body is too large",
    415: "The body's Content-Type is not read here",
    422: "The request is wrong in what it says; each fault is named",
    503: "The database does not answer",
}


class NameConverter(BaseConverter):
    """The rest of a path, `<name:…>`: other programs' names begin with a slash or have several in a row."""

    regex = ".+"
    part_isolating = False


def _read_body(schema: Request) -> Any:
    """The value of the body, checked; an empty body is an empty object where a schema needs nothing of it."""
    body, limits = request.get_data(), context().limits
    if len(body) > limits.body_bytes:
        raise RequestEntityTooLarge
    document: Any
    if not body and not _needs(schema):
        document = {}
    elif request.mimetype == npz.MEDIA_TYPE and schema.npz:
        document = npz.read_npz(body, limits)
    elif not request.is_json:
        raise UnsupportedMediaType("the body is JSON: send it with Content-Type: application/json")
    else:
        document = read_json(body, limits.json_depth)
    try:
        return schema.load(document)
    except ma.ValidationError as error:
        raise InvalidRequest(_flatten(error.messages)) from None


def _read_query(schema: Request) -> Any:
    try:
        return schema.load(request.args.to_dict())
    except ma.ValidationError as error:
        raise InvalidParameters(_flatten(error.messages)) from None


def _needs(schema: Request) -> bool:
    return any(field.required for field in schema.fields.values())


def _flatten(messages: Any) -> list[Fault]:
    faults: list[Fault] = []
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), messages)]
    while waiting:
        place, found = waiting.pop(0)
        if isinstance(found, Mapping):
            waiting.extend(((*place, *([] if key == "_schema" else [key])), part) for key, part in found.items())
        else:
            faults.extend(Fault(place, str(message)) for message in found)
    return faults


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # flask-smorest is not typed
    """A blueprint whose views are the acts of the service: the view's name is the operationId."""

    def endpoint(
        self,
        method: str,
        rule: str,
        *,
        answer: type[ma.Schema] | None,
        status: int = 200,
        also: int | None = None,
        body: type[Request] | None = None,
        query: type[Request] | None = None,
        problems: tuple[int, ...] = (),
        forms: tuple[str, ...] = (),
        media: tuple[str, ...] = (),
        example: Any = None,
        body_example: Any = None,
    ) -> Callable[[View], View]:
        """Serve a view at `rule` and document it: its body, its query, its answer (`also`: another status for the
        same answer; `forms`: media types of other forms of it; `media`: those of an answer that is text), and the
        statuses of the problems it may answer with."""

        readers: list[tuple[Callable[[Request], Any], Request]] = []
        readers += [(_read_body, body())] if body is not None else []
        readers += [(_read_query, query())] if query is not None else []

        def decorate(view: View) -> View:
            @wraps(view)
            def serve(**place: str) -> Response:
                answered: Response = view(*(read(schema) for read, schema in readers), **place)
                return answered

            # What flask-smorest wraps around a view only documents it: parsing and dumping are ours.
            served: Any = view
            statuses = {*problems, *([406] if forms else [])}
            if query is not None:
                served = self.arguments(query, location="query")(served)
                statuses |= {422}
            if body is not None:
                needed = _needs(body())
                served = self.arguments(body, location="json", required=needed, example=body_example)(served)
                statuses |= {400, 413, 415, 422}
            served = self.response(status, answer, example=example)(served)
            if also is not None:
                served = self.alt_response(also, schema=answer, success=True, description="What was there already")(
                    served
                )
            for code in sorted(statuses):
                served = self.alt_response(
                    code, schema=ProblemDocument, content_type=MEDIA_TYPE, description=_PROBLEM_MEANINGS[code]
                )(served)
            described: dict[str, Any] = {"operationId": view.__name__}
            if forms:
                described["responses"] = {code: _described(forms) for code in {status, also or status}}
            if media:
                described["responses"] = {status: {"content": dict.fromkeys(media, TEXT)}}
            if getattr(body, "npz", False):
                described["requestBody"] = _described((npz.MEDIA_TYPE,))
            served = self.doc(**described)(served)
            serve._apidoc = served._apidoc  # type: ignore[attr-defined]
            self.route(rule, methods=[method])(serve)
            return view

        return decorate


def _described(forms: tuple[str, ...]) -> dict[str, Any]:
    return {"content": {form: {"schema": {"$ref": f"#/components/schemas/{BINARY[form][0]}"}} for form in forms}}


def context() -> Context:
    """What the use cases are given."""
    kept: Context = current_app.extensions["gradbook"]
    return kept


def respond(
    document: Any, status: int = 200, headers: Mapping[str, str] | None = None, content_type: str = "application/json"
) -> Response:
    """A document as JSON, or bytes of another form; the strong ETag is made of them, If-None-Match is answered 304."""
    if not isinstance(document, bytes):
        document = _write_json(document)
    response = Response(document, status=status, content_type=content_type, headers=headers)
    response.add_etag()
    if request.method == "GET":
        response.make_conditional(request)
    return response


def accepted(*forms: str) -> str:
    """Which of these media types the caller likes best, the first if it does not say; raises NotAcceptable."""

    def tell_caches(response: Response) -> Response:
        response.headers["Vary"] = "Accept"
        return response

    after_this_request(tell_caches)
    if not request.accept_mimetypes:
        return forms[0]
    liked = request.accept_mimetypes.best_match(forms)
    if liked is None:
        raise NotAcceptable(f"this is answered as {' or '.join(forms)}")
    return liked


def idempotency_key() -> IdempotencyKey | None:
    """The key of this request with a fingerprint of all that it asks for."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= LONGEST_KEY:
        raise InvalidParameters([Fault(("Idempotency-Key",), f"an Idempotency-Key has 1 to {LONGEST_KEY} characters")])
    asked = f"{request.method} {request.full_path}\n".encode() + request.get_data()
    return IdempotencyKey(key, hashlib.sha256(asked).hexdigest())


# --- pages of a list ----------------------------------------------------------------------------------------------


def write_cursor(after: str | int) -> str:
    """An opaque cursor to what follows `after`."""
    return base64.urlsafe_b64encode(str(after).encode()).decode().rstrip("=")


def read_cursor(cursor: str | None) -> str | None:
    """What a cursor was made of; raises InvalidParameters for one that we did not make."""
    if cursor is None:
        return None
    try:
        after = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        after = ""
    if not after.isprintable() or not after or write_cursor(after) != cursor:
        raise InvalidParameters([Fault(("cursor",), "this is no cursor of ours")])
    return after


def read_position(cursor: str | None) -> int:
    """The position that a cursor into a list of nodes leads to."""
    after = read_cursor(cursor)
    if after is not None and not (after.isdigit() and len(after) < 12):
        raise InvalidParameters([Fault(("cursor",), "this is no cursor into a list of nodes")])
    return int(after or 0)


class Record(Protocol):
    """What is listed by its id."""

    @property
    def id(self) -> str:
        """Its id, which sorts by the time of its making."""


Listed = TypeVar("Listed", bound=Record)


def cut_page(found: list[Listed], size: int) -> tuple[list[Listed], str | None]:
    """A page of records, of which one more than `size` was asked for, and the cursor to those that follow."""
    return found[:size], write_cursor(found[size - 1].id) if len(found) > size else None


def page_size(query: Mapping[str, Any], default: int | None = None) -> int:
    """How many items a page shall have."""
    most = context().limits.page
    size: int = query.get("limit", min(default or most, most))
    if size > most:
        raise InvalidParameters([Fault(("limit",), f"a page has at most {most} items (the limit page)")])
    return size


def respond_page(member: str, documents: list[Any], cursor: str | None) -> Response:
    """A page of a list; the link to the next one stands in the body and in a header."""
    headers = {}
    if cursor is not None:
        assert request.endpoint is not None
        arguments = {**request.args.to_dict(), **(request.view_args or {}), "cursor": cursor}
        headers["Link"] = f'<{url_for(request.endpoint, **arguments)}>; rel="next"'
    return respond({member: documents, "next": cursor}, headers=headers)
