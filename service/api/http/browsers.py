"""What another site's page may not make a browser do here, and what an answer may not do in a browser.

A page of any site can send requests to this service from its visitor's machine. Three things tell them apart: the name
in Host (a page whose own name was rebound to this address shows that name), Origin and Sec-Fetch-Site, and the
Content-Type of a form, the only one that is sent to another site without asking first (the Fetch standard's
CORS-safelisted types).
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Flask, Request, Response, request
from flask.globals import request_ctx
from werkzeug.exceptions import Forbidden, MisdirectedRequest, UnsupportedMediaType

from service.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

PAGES = "pages"  # the blueprint of this service's own pages, whose forms it reads
_PROBES = ("/livez", "/readyz")  # an orchestrator asks by any address, and they tell nothing
_FORMS = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")
_ANSWER = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_PAGE = (
    "default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
# What a browser asks for before it sends the request of a named site's page, and what such a page may read.
_MAY_SEND = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, "
    "Prefer, X-Request-Id, traceparent, tracestate",
    "Access-Control-Max-Age": "600",
}
_MAY_READ = (
    "ETag, Link, Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, "
    "X-Request-Id, traceresponse"
)


def protect(app: Flask, settings: Settings) -> None:
    """Refuse what other sites' pages send, and give every answer the headers that confine it in a browser."""

    @app.before_request
    def refuse() -> Response | None:
        asked = request_ctx.request
        if asked.path not in _PROBES and "*" not in settings.hosts and _name(asked.host) not in settings.hosts:
            raise MisdirectedRequest(
                f"this service is not called {asked.host!r}; the setting GRADBOOK_HOSTS lists the names by which it "
                "may be called"
            )
        if _is_foreign(asked, settings.origins):
            raise Forbidden(
                "another site's page sent this request; the setting GRADBOOK_ORIGINS lists those that may call"
            )
        if asked.method not in ("GET", "HEAD", "OPTIONS") and asked.mimetype in _FORMS:
            if asked.blueprint != PAGES:
                raise UnsupportedMediaType(f"{asked.mimetype} is what forms send; send JSON, or no Content-Type")
            if "Origin" not in asked.headers:  # a foreign one was refused above
                raise Forbidden("a form is sent by this service's own page, whose browser says so in Origin")
        # Whatever the path: else a page could not read that there is no such thing.
        asks_before = asked.method == "OPTIONS" and "Access-Control-Request-Method" in asked.headers
        named = asks_before and asked.headers.get("Origin") in settings.origins
        return Response(status=204, headers=_MAY_SEND) if named else None

    if settings.origins:

        @app.after_request
        def share(response: Response) -> Response:
            response.vary.add("Origin")
            response.headers.update(shared_with(request.headers.get("Origin"), settings.origins))
            return response

    application = app.wsgi_app

    def confined(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *failure: Any) -> Any:
            given = {name for name, _ in headers}
            return start_response(status, headers + [pair for pair in _ANSWER if pair[0] not in given], *failure)

        return application(environ, start)

    app.wsgi_app = confined  # type: ignore[method-assign]  # Flask's own way to wrap it


def shared_with(origin: str | None, named: tuple[str, ...]) -> dict[str, str]:
    """The headers by which a page of that origin may read an answer: none unless it is named."""
    if origin is None or origin not in named:
        return {}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _MAY_READ}


def confine_page(response: Response) -> Response:
    """Give Swagger's page its policy; it has a script within it: that one may run, by its digest."""
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = _page_policy(response.get_data(as_text=True))
    return response


def _page_policy(page: str) -> str:
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in _SCRIPT.findall(page)]
    return _PAGE.format(scripts=" ".join(f"'sha256-{digest}'" for digest in digests))


@lru_cache(maxsize=64)
def _name(host: str) -> str | None:
    """The name or address in the header Host, in lower case, without the port; None where it is neither."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_foreign(asked: Request, origins: tuple[str, ...]) -> bool:
    """Whether a page that is not this service's own sent the request. To follow a link here is nobody's request."""
    environ = asked.environ
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None:
        return origin not in origins and origin.partition("://")[2] != asked.host
    follows_link = asked.method in ("GET", "HEAD") and environ.get("HTTP_SEC_FETCH_DEST") == "document"
    return environ.get("HTTP_SEC_FETCH_SITE") in ("cross-site", "same-site") and not follows_link
