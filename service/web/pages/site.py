"""All pages, so that whoever serves them finds them in one place."""

from service.web.pages import (
    administration,
    comparisons,
    graph,
    graphs,
    guide,
    jobs,
    operations,
    runs,
    series,
    sign_in,
    sweeps,
    welcome,
)
from service.web.pages.page import register

__all__ = [
    "administration",
    "comparisons",
    "graph",
    "graphs",
    "guide",
    "jobs",
    "operations",
    "register",
    "runs",
    "series",
    "sign_in",
    "sweeps",
    "welcome",
]
