"""The documents of docs/ as pages, and a page for each type of problem.

They hold nothing that is stored here, so that no key is needed: who has none reads here how to send one.
"""

from functools import cache
from pathlib import Path

from flask import render_template, url_for

from service.api.http.problem_types import PROBLEM_TYPES, write_entry
from service.core.errors import NotFound
from service.storage.access_keys import Scope
from service.web.pages.markdown import Document, render
from service.web.pages.page import page

_PACKAGE = Path(__file__).parents[2]
USING = (
    *(
        "comparing",
        "names",
        "formulas",
        "source-code",
        "tensors",
        "jobs",
        "conventions",
        "bringing-a-model",
        "training",
        "sweeps",
        "from-python",
    ),
    *("other-languages", "lessons"),
)
OPERATING = ("settings", "operating", "scale", "observing", "upgrading", "errors", "promises")
SUBJECTS = USING + OPERATING


@page("GET", "/guide/", Scope.OPEN)
def list_guide() -> str:
    """List the documents, each with what it is about"""
    parts = (("Using it", USING), ("Operating it", OPERATING))
    return render_template("guide.html", parts=parts, read=read_document)


@page("GET", "/guide/<subject>", Scope.OPEN)
def get_guide(subject: str) -> str:
    """Show a document"""
    if subject not in SUBJECTS:
        raise NotFound(f"the guide has no page {subject!r}")
    return render_template(
        "document.html", document=read_document(subject), above=("Guide", url_for("pages.list_guide"))
    )


@page("GET", "/problems/<name>", Scope.OPEN)
def get_problem_type(name: str) -> str:
    """Show what a type of problem means and what to do"""
    if name not in PROBLEM_TYPES:
        raise NotFound(f"there is no type of problem {name!r}")
    document = render(write_entry(name), lambda _: None)
    above = ("Errors", url_for("pages.get_guide", subject="errors"))
    return render_template("document.html", document=document, above=above)


@cache
def read_document(subject: str) -> Document:
    """A rendered document; its links to others are relative, as they are below any prefix."""
    text = (folder() / f"{subject}.md").read_text(encoding="utf-8")
    return render(text, lambda name: name if name in SUBJECTS else None)


@cache
def folder() -> Path:
    """Where the documents are: within the package, or beside it in the repository."""
    return next(path for path in (_PACKAGE / "docs", _PACKAGE.parent / "docs") if path.is_dir())
