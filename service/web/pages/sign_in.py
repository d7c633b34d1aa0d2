"""The door for browsers: a key is given once, in a form, and kept in a cookie that no script reads."""

from http import HTTPStatus
from urllib.parse import urlsplit

from flask import current_app, render_template, request, send_from_directory, url_for
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from service.api.http.access import COOKIE
from service.storage.access_keys import Scope
from service.usecases.access import NotAdmitted
from service.web.pages.page import SEE_OTHER, STATIC, page, see


@page("GET", "/static/<path:name>", Scope.OPEN)
def static(name: str) -> Response:
    """Send a file of the pages' own: the stylesheet, a module, the icon"""
    return send_from_directory(STATIC, name)


@page("GET", "/sign-in", Scope.OPEN)
def sign_in() -> str:
    """Ask for a key"""
    return render_template("sign_in.html", next=request.args.get("next", ""))


@page("POST", "/sign-in", Scope.OPEN)
def give_key() -> Response:
    """Keep a valid key in a cookie, and lead on to the page that was wanted"""
    text, wanted = request.form.get("key", "").strip(), request.form.get("next", "")
    try:
        current_app.extensions["keyring"].identify(text)
    except NotAdmitted as error:
        shown = render_template("sign_in.html", next=wanted, problem=str(error))
        return Response(shown, HTTPStatus.UNPROCESSABLE_ENTITY, mimetype="text/html")
    answer = redirect(_within(wanted), SEE_OTHER)
    _set_cookie(answer, text, None)
    return answer


@page("POST", "/sign-out", Scope.OPEN)
def sign_out() -> Response:
    """Forget the key"""
    answer = see("sign_in")
    _set_cookie(answer, "", 0)
    return answer


def _set_cookie(answer: Response, text: str, seconds: int | None) -> None:
    answer.set_cookie(
        COOKIE,
        text,
        max_age=seconds,
        path=request.script_root or "/",
        secure=request.is_secure,
        httponly=True,
        samesite="Strict",
    )


def _within(wanted: str) -> str:
    """The page that was wanted, if it is one of this service: a path, that no browser takes for another host."""
    parts = urlsplit(wanted)
    is_path = not parts.scheme and not parts.netloc and wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return f"{request.script_root}{wanted}" if is_path and wanted.isprintable() else url_for("pages.welcome")
