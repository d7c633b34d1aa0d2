"""The door: each request is let in by its key, before its body is read and before any work is done for it.

An operation declares the scope that it asks for where it declares everything else (`Blueprint.endpoint`); a view that
declares none asks for the widest, a path that there is not for any key.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, Request, Response, g
from flask.globals import request_ctx
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import TooManyRequests, Unauthorized

from service.api.http.observability import REQUEST_ID
from service.storage.access_keys import AccessKey, Scope
from service.usecases.access import Keyring, NotAdmitted
from service.usecases.rate_limit import MINUTE, RateLimit

View = TypeVar("View", bound=Callable[..., Any])

COOKIE = "gradbook_key"  # in which a browser that signed in keeps its key
ADMITTED = "gradbook.admitted"  # of the environment: by whose key a request was let in
ANONYMOUS = "anonymous"
GIVEN_UP = 499  # and above: nobody knows how far a worker process has come


class OutOfScope(Unauthorized):
    """The key is valid, and does not let its bearer do this."""

    code = 403


def scoped(scope: Scope, changes: int | None = None) -> Callable[[View], View]:
    """Declare the scope that a view asks for, and the status by which it answers that it has changed something."""

    def declare(view: View) -> View:
        view.scope, view.changes = scope, changes  # type: ignore[attr-defined]  # a function takes attributes
        return view

    return declare


def require(scope: Scope) -> None:
    """Raise OutOfScope unless the key that has let the request in includes that scope."""
    key = g.get("key")
    if key is not None and key.scope < scope:
        raise OutOfScope(
            f"this needs a key of the scope {scope.name.lower()}, and this one's is {key.scope.name.lower()}",
            www_authenticate=_challenge("insufficient_scope", scope=scope.name.lower()),
        )


def guard(app: Flask, keyring: Keyring, limit: RateLimit | None = None) -> None:
    """Let in what the keyring admits, each to what its key's scope includes and as often as the limit allows.

    The keyring is kept for the form by which a browser signs in.
    Log each change: by whose key, what, and of which resource. What was given up may have changed something too.
    """

    app.extensions["keyring"] = keyring

    @app.before_request
    def admit() -> None:
        asked = request_ctx.request
        environ, view = asked.environ, app.view_functions.get(asked.endpoint or "")
        needed = _needed(asked, view)
        # A worker process is given what was let in already. A client cannot set this: its headers become HTTP_….
        if needed is Scope.OPEN or ADMITTED in environ:
            return
        try:
            key = keyring.identify(_bearer(asked))
        except NotAdmitted as error:
            raise Unauthorized(str(error), www_authenticate=_challenge("invalid_token")) from None
        g.key = key
        require(needed)
        environ[ADMITTED] = key.prefix if key else ANONYMOUS
        if needed is Scope.WRITE:
            g.change = getattr(view, "changes", None), key
        if limit and key:
            g.allowance = limit.take(key.prefix)
            if not g.allowance.admitted:
                raise TooManyRequests(f"a key has {limit.most} requests a minute", retry_after=g.allowance.seconds)

    @app.after_request
    def report(response: Response) -> Response:
        if limit and "allowance" in g:
            response.headers["RateLimit-Policy"] = f'"minute";q={limit.most};w={MINUTE}'
            response.headers["RateLimit"] = f'"minute";r={g.allowance.left};t={g.allowance.seconds}'
        change = g.get("change")
        if change:
            by_status, key = change
            if response.status_code == by_status or response.status_code >= GIVEN_UP:
                _log_change(app, key, response)
        return response


def _log_change(app: Flask, key: AccessKey | None, response: Response) -> None:
    asked = request_ctx.request
    app.extensions["measurements"].log(
        asked.environ[REQUEST_ID],
        change=str(asked.endpoint).rpartition(".")[2],
        resource=response.headers.get("Location", asked.script_root + asked.path),
        status=response.status_code,
        key=key.prefix if key else ANONYMOUS,
        name=key.name if key else None,
        client=asked.remote_addr,
    )


def log_key_change(app: Flask, change: str, key: AccessKey) -> None:
    """Log that a key was made or revoked: `gradbook key` does it at the database itself, without a request."""
    app.extensions["measurements"].log(
        None, change=change, resource=key.prefix, name=key.name, scope=key.scope.name.lower()
    )


def _needed(asked: Request, view: Any) -> Scope:
    """The scope that a request of that view asks for; None where there is no such path, or no such method of it."""
    if asked.method == "OPTIONS":  # a browser asks so, without a key, before it sends the request of a page
        return Scope.OPEN if "Access-Control-Request-Method" in asked.headers else Scope.READ
    if view is None:
        return Scope.READ
    scope: Scope = getattr(view, "scope", Scope.ADMIN)
    return scope


def _bearer(asked: Request) -> str | None:
    """The key that the request bears, in its header or in the cookie of a browser that signed in."""
    scheme, _, text = asked.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        return str(text.strip())
    return asked.cookies.get(COOKIE) if "HTTP_COOKIE" in asked.environ else None


def _challenge(error: str, **members: str) -> WWWAuthenticate:
    """What RFC 6750 has a refusal say; of a request that bears no key, nothing but how to send one."""
    said = {"error": error, **members} if "Authorization" in request_ctx.request.headers else {}
    written = ", ".join(f'{name}="{value}"' for name, value in {"realm": "gradbook", **said}.items())
    return WWWAuthenticate("Bearer", token=written)
