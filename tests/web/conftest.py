"""The tests of pages and pictures ask the same application as those of the API."""

from tests.api.conftest import app, client, document, make_app, seed

__all__ = ["app", "client", "document", "make_app", "seed"]
