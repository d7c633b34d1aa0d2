"""The door: each request is let in by its key, before its body is read and before any work is done for it.

An operation declares the scope that it asks for where it declares everything else (`Blueprint.endpoint`); a view that
declares none asks for the widest, a path that there is not for any key.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, current_app, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from service.storage.access_keys import AccessKey, Scope
from service.usecases.access import Keyring, NotAdmitted

View = TypeVar("View", bound=Callable[..., Any])

ADMITTED = "gradbook.admitted"  # of the environment: by whose key a request was let in
ANONYMOUS = "anonymous"


class OutOfScope(Unauthorized):
    """The key is valid, and does not let its bearer do this."""

    code = 403


def scoped(scope: Scope) -> Callable[[View], View]:
    """Declare the scope that a view asks for."""

    def declare(view: View) -> View:
        view.scope = scope  # type: ignore[attr-defined]  # a function takes attributes
        return view

    return declare


def guard(app: Flask, keyring: Keyring) -> None:
    """Let in what the keyring admits, each to what its key's scope includes."""

    @app.before_request
    def admit() -> None:
        needed = _needed()
        # A worker process is given what was let in already. A client cannot set this: its headers become HTTP_….
        if needed is Scope.OPEN or ADMITTED in request.environ:
            return
        try:
            key = keyring.identify(_bearer())
        except NotAdmitted as error:
            raise Unauthorized(str(error), www_authenticate=_challenge("invalid_token")) from None
        if key is not None and key.scope < needed:
            raise OutOfScope(
                f"this needs a key of the scope {needed.name.lower()}, and this one's is {key.scope.name.lower()}",
                www_authenticate=_challenge("insufficient_scope", scope=needed.name.lower()),
            )
        request.environ[ADMITTED] = _said_of(key)


def _needed() -> Scope:
    """The scope that the request asks for."""
    if request.method == "OPTIONS":  # a browser asks so, without a key, before it sends the request of a page
        return Scope.OPEN if "Access-Control-Request-Method" in request.headers else Scope.READ
    if request.endpoint is None:
        return Scope.READ
    scope: Scope = getattr(current_app.view_functions[request.endpoint], "scope", Scope.ADMIN)
    return scope


def _bearer() -> str | None:
    """The key that the request bears."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else None


def _challenge(error: str, **members: str) -> WWWAuthenticate:
    """What RFC 6750 has a refusal say; of a request that bears no key, nothing but how to send one."""
    said = {"error": error, **members} if "Authorization" in request.headers else {}
    written = ", ".join(f'{name}="{value}"' for name, value in {"realm": "gradbook", **said}.items())
    return WWWAuthenticate("Bearer", token=written)


def _said_of(key: AccessKey | None) -> str:
    return key.prefix if key else ANONYMOUS
