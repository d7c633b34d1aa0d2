"""How an endpoint is served: one decorator for route, arguments, pages and documentation."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import flask_smorest
import marshmallow as ma
from flask import Response, request
from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.routing import BaseConverter

from service.api.http import arrow, npz, onnx
from service.api.http.access import scoped
from service.api.http.paging import Paging
from service.api.http.request import given_key, read_body, read_bytes, read_query, requires_members
from service.api.schemas import Request
from service.storage.access_keys import Scope

View = TypeVar("View", bound=Callable[..., Any])

TEXT = {"schema": {"type": "string"}}
# The forms that are not JSON: the name of each in the document of the API, and its description.
NPY, BYTES = "application/x-npy", "application/octet-stream"
_NPY = "An array as NumPy's `save` writes it, in version 1.0 of .npy: of real numbers in at most 8 bytes, or booleans"
BINARY = {
    npz.MEDIA_TYPE: ("Npz", npz.__doc__),
    arrow.MEDIA_TYPE: ("ArrowStream", arrow.__doc__),
    arrow.PARQUET: ("Parquet", "The points of a sweep, a table as in an ArrowStream"),
    onnx.MEDIA_TYPE: ("Onnx", onnx.__doc__),
    NPY: ("Npy", _NPY),
    BYTES: ("Npy", _NPY),
}
# The problems by their status: the name of each in the document of the API, and its description.
PROBLEM_RESPONSES = {
    400: ("Malformed", "The body is not what its Content-Type says, or the request is not HTTP/1.1"),
    401: ("Unauthorized", "There are keys, and the request bears none that is valid"),
    403: (
        "Forbidden",
        "The key's scope does not include this; or another site's page sent it, and the setting GRADBOOK_ORIGINS lists "
        "those that may call",
    ),
    404: ("NotFound", "There is no such thing"),
    406: ("NotAcceptable", "No media type of the answer is accepted"),
    408: ("TooSlow", "The request did not come whole in time"),
    409: ("Conflict", "Not in the present state"),
    412: ("Changed", "It is no longer what the header If-Match names"),
    413: ("LargeBody", "The body is too large"),
    415: ("UnreadMediaType", "The body's Content-Type is not read here"),
    421: ("OtherHost", "The service is not called that; the setting GRADBOOK_HOSTS lists its names"),
    422: (
        "Refused",
        "The request is wrong in what it says, and each fault is named; or it, the work or the answer is over a limit, "
        "limit-exceeded, with the members limit, maximum and, where the work is weighed before it is done, estimate",
    ),
    429: ("TooManyRequests", "The key was used too often in this minute (GRADBOOK_REQUESTS_PER_MINUTE)"),
    431: ("LargeHead", "The request's line and headers are too large"),
    501: (
        "NotImplemented",
        "The body comes in a transfer coding other than chunked, or what is asked for needs an extra that the service "
        "lacks (not-installed)",
    ),
    503: (
        "Overloaded",
        "Too much is under way (overloaded), the work takes longer than a request may (deadline-exceeded), or the "
        "database does not answer (not-ready); try again after Retry-After",
    ),
}


class NameConverter(BaseConverter):
    """The rest of a path, `<name:…>`: other programs' names begin with a slash or have several in a row."""

    regex = ".+"
    part_isolating = False


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # flask-smorest is not typed
    """A blueprint whose views are endpoints: the view's name is the operationId."""

    def endpoint(
        self,
        method: str,
        rule: str,
        *,
        answer: type[ma.Schema] | None,
        status: int = 200,
        also: int | None = None,
        also_answer: Any = None,
        body: type[Request] | None = None,
        query: type[Request] | None = None,
        page: Paging | None = None,
        problems: tuple[int, ...] = (),
        forms: tuple[str, ...] = (),
        media: tuple[str, ...] = (),
        raw: tuple[str, ...] = (),
        scope: Scope | None = None,
    ) -> Callable[[View], View]:
        """Serve a view at `rule` and document it.

        The view takes the checked `body` and `query`, as far as there are any, and the path's variables. With `page`
        it also takes a `Page`, which is read from the query, and returns the page's items with the id or position
        after which the next page begins, None on the last. `also` is another status of the same answer, or of
        `also_answer`, a combination of schemas as JSON Schema has it; `forms` are media types of other forms of it,
        `media` those of an answer that is text, `raw` those of a body that the view takes as bytes, of which the
        document has the first (generators of clients take several for one argument of several types), `problems` the
        statuses of the problems that it may answer besides those that every body or query may cause. `scope` is what a
        request's key must include: by default READ for a GET and WRITE for everything else, so that a POST says here
        that it stores nothing.
        """
        asked = scope if scope is not None else Scope.READ if method == "GET" else Scope.WRITE
        readers: list[tuple[Callable[[Request], Any], Request]] = []
        readers += [(read_body, body())] if body is not None else []
        readers += [(read_query, query())] if query is not None else []

        def decorate(view: View) -> View:
            @scoped(asked, changes=status if asked is Scope.WRITE else None)
            @wraps(view)
            def serve(**variables: str) -> Response:
                if raw and request.mimetype not in raw:
                    raise UnsupportedMediaType(f"the body is expected as {' or '.join(raw)}")
                if method == "POST":
                    given_key()  # also where nothing is kept that it could name
                given = [*([read_bytes()] if raw else []), *(read(schema) for read, schema in readers)]
                answered = view(*given, *([page.read(given[-1])] if page else []), **variables)
                return answered if isinstance(answered, Response) or page is None else page.respond(*answered)

            # What flask-smorest wraps around a view only documents it: parsing and dumping are ours.
            served: Any = view
            statuses = {*problems, *([406] if forms else []), *([415] if method != "GET" else [])}
            if query is not None:
                served = self.arguments(query, location="query")(served)
                statuses |= {422}
            if raw:
                statuses |= {400, 413, 422}
            if body is not None:
                needed = requires_members(body())
                served = self.arguments(body, location="json", required=needed)(served)
                statuses |= {400, 413, 422}
            served = self.response(status, answer)(served)
            if also is not None:
                served = self.alt_response(
                    also, schema=also_answer or answer, success=True, description="What was there already"
                )(served)
            for code in sorted(statuses):
                served = self.alt_response(code, PROBLEM_RESPONSES[code][0])(served)
            described: dict[str, Any] = {"operationId": view.__name__, "security": security(asked)}
            if forms or media:
                content = {"content": dict.fromkeys(media, TEXT) | _binary_content(forms)["content"]}
                described["responses"] = {code: content for code in {status, also or status}}
            if raw:
                described["requestBody"] = {"required": True, **_binary_content(raw[:1])}
            if body is not None and body.binary:
                described["requestBody"] = _binary_content(body.binary)
            served = self.doc(**described)(served)
            serve._apidoc = served._apidoc  # type: ignore[attr-defined]  # where flask-smorest keeps it
            self.route(rule, methods=[method])(serve)
            return view

        return decorate


def security(scope: Scope) -> list[dict[str, list[str]]]:
    """What a scope is in the document of the API; `{}` is a request without a key, to a service that has none."""
    return [{"bearer": [scope.name.lower()]}, {}] if scope else []


def _binary_content(forms: tuple[str, ...]) -> dict[str, Any]:
    return {"content": {form: {"schema": {"$ref": f"#/components/schemas/{BINARY[form][0]}"}} for form in forms}}
