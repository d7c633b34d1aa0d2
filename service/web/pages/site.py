"""All pages, so that whoever serves them finds them in one place."""

from service.web.pages import (
    administration,
    comparisons,
    graph,
    graphs,
    guide,
    operations,
    runs,
    sign_in,
    welcome,
)
from service.web.pages.page import register

__all__ = [
    "administration",
    "comparisons",
    "graph",
    "graphs",
    "guide",
    "operations",
    "register",
    "runs",
    "sign_in",
    "welcome",
]
