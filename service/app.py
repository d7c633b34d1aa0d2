"""Create the application: the only place that wires its parts."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from flask import Flask, has_request_context, request
from flask_swagger_ui import get_swaggerui_blueprint

from service.api.http import access, browsers, observability, openapi, problems, proxies, readings
from service.settings import Settings, read_settings
from service.storage.access_keys import Scope
from service.storage.database import Database
from service.storage.postgres import PostgreSQL
from service.usecases.access import Keyring
from service.usecases.context import Context
from service.usecases.rate_limit import RateLimit
from service.web import articles, pictures
from service.web.pages import site


class _Service(Flask):
    """Flask without coroutines: for each request it would look at each function that it calls for whether it is one."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function, which is none."""
        return func


def create_app(settings: Settings | None = None) -> Flask:
    """Create the service over its migrated database. Settings default to the environment."""
    settings = settings or read_settings()
    app = _Service(__name__, static_folder=None)
    # Werkzeug silently truncates a chunked body at its limit: one byte more reveals that it is longer.
    app.config["MAX_CONTENT_LENGTH"] = settings.limits.body_bytes + 1
    app.config["APPLICATION_ROOT"] = settings.prefix or "/"
    app.url_map.merge_slashes = False  # /v1//graphs is not an alias of /v1/graphs
    clocks = PostgreSQL(settings.work.statement_seconds, settings.work.connect_seconds)
    # One a thread, one for who waits for the lock while another takes the thread's place, and one for /readyz.
    connections = settings.threads + 2
    database = Database(settings.database_url, _aside, settings.work.lock_seconds, clocks, connections)
    app.extensions["settings"] = settings
    context = app.extensions["gradbook"] = Context(database, settings.limits, settings.work.cache_bytes)
    measurements = observability.observe(app)
    measurements.add(partial(readings.of_caches, context.caches))
    measurements.add(partial(readings.of_jobs, database))
    browsers.protect(app, settings)
    limit = RateLimit(database, settings.requests_per_minute) if settings.requests_per_minute else None
    noticed = partial(access.log_key_change, app)
    access.guard(app, Keyring(database, anybody=settings.admits_anybody, noticed=noticed), limit)
    problems.register(app, settings.origins)
    openapi.document_api(app, pictures.blueprint, articles.blueprint)
    site.register(app)
    addresses = (f"{settings.prefix}/docs", f"{settings.prefix}/openapi.yaml")  # as the page names them
    docs = get_swaggerui_blueprint(*addresses, config={"app_name": openapi.TITLE})
    docs.after_request(browsers.confine_page)
    app.register_blueprint(docs, url_prefix="/docs")
    app.view_functions["swagger_ui.show"] = access.scoped(Scope.READ)(app.view_functions["swagger_ui.show"])
    # Flask's own way to wrap it, which mypy does not know.
    app.wsgi_app = proxies.believe(app.wsgi_app, settings.proxies)  # type: ignore[method-assign, assignment]
    return app


def _aside() -> AbstractContextManager[None]:
    """What the server gives a view that only waits, so that another thread takes its place."""
    given: Any = request.environ.get("gradbook.aside", nullcontext) if has_request_context() else nullcontext
    context: AbstractContextManager[None] = given()
    return context
