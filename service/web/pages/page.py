"""How a page is served: one decorator for route and scope, the policy that confines it, and problems as pages."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from flask import Blueprint, Flask, Response, json, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from service.api.http.access import ADMITTED, ANONYMOUS, scoped
from service.api.http.browsers import PAGES
from service.api.http.problems import MEDIA_TYPE
from service.storage.access_keys import Scope
from service.web.pages.figures import SIGNS

View = TypeVar("View", bound=Callable[..., Any])

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "private, no-cache",
    # A form's Origin must be seen by the service, which no-referrer would hide.
    "Referrer-Policy": "same-origin",
}
# What the head of each page leads to: a view, and its name.
SECTIONS = (
    ("list_graphs", "Graphs"),
    ("list_runs", "Runs"),
    ("list_comparisons", "Comparisons"),
    ("list_series", "Series"),
    ("list_jobs", "Jobs"),
    ("list_operations", "Operations"),
    ("list_guide", "Guide"),
)
_DOCUMENTATION = "swagger_ui"
SEE_OTHER = 303
STATIC = Path(__file__).parent / "static"

blueprint = Blueprint(PAGES, __name__, template_folder="templates")


def page(method: str, rule: str, scope: Scope | None = None) -> Callable[[View], View]:
    """Serve a view at `rule`: HTML, or any other response. A GET needs a key that reads, a POST one that writes."""
    asked = scope if scope is not None else Scope.READ if method == "GET" else Scope.WRITE

    def declare(view: View) -> View:
        @scoped(asked, changes=SEE_OTHER if asked is Scope.WRITE else None)
        @wraps(view)
        def serve(**variables: str) -> AnyResponse:
            answer = view(**variables)
            return answer if isinstance(answer, AnyResponse) else Response(answer, mimetype="text/html")

        blueprint.add_url_rule(rule, view.__name__, serve, methods=[method])
        return view

    return declare


def see(endpoint: str, **variables: Any) -> AnyResponse:
    """Lead the browser on to a page by GET."""
    return redirect(url_for(f"pages.{endpoint}", **variables), SEE_OTHER)


def register(app: Flask) -> None:
    """Serve the pages, and show a browser that asks for one the problem as a page."""
    app.register_blueprint(blueprint)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    @app.context_processor
    def common() -> dict[str, Any]:
        return {
            "sections": SECTIONS,
            "signs": SIGNS,
            "signed_in": request.environ.get(ADMITTED, ANONYMOUS) != ANONYMOUS,
        }

    @app.after_request
    def show(response: Response) -> Response:
        if response.mimetype == MEDIA_TYPE and _wants_page():
            response = _problem_page(response)
        if response.mimetype == "text/html" and "Content-Security-Policy" not in response.headers:
            for name, value in _HEADERS.items():
                response.headers.setdefault(name, value)
            if request.method == "GET" and response.status_code == 200:
                response.add_etag()
                response.make_conditional(request)
        return response


def _wants_page() -> bool:
    """Whether a browser asks, for a page, for the API's documentation or for what there is not."""
    best = request.accept_mimetypes.best_match(["application/json", MEDIA_TYPE, "text/html"])
    elsewhere = request.endpoint is not None or request.path.startswith("/v1/")
    return best == "text/html" and (request.blueprint in (PAGES, _DOCUMENTATION) or not elsewhere)


def _problem_page(response: Response) -> Response:
    """The same refusal for a reader; without a key, the way to the form that takes one."""
    if response.status_code == 401:
        wanted = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("pages.sign_in", next=wanted), SEE_OTHER)  # type: ignore[return-value]
    written = render_template("problem.html", problem=json.loads(response.get_data()))
    shown = Response(written, response.status_code, mimetype="text/html")
    for name in ("Retry-After", "Allow"):
        if name in response.headers:
            shown.headers[name] = response.headers[name]
    return shown
