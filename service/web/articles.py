"""Articles over HTTP."""

import re
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import marshmallow as ma
from flask import Response, request, url_for

from service.api.http.endpoint import Blueprint
from service.api.http.problems import InvalidParameters
from service.api.http.request import context
from service.api.http.response import send
from service.api.schemas import Query, StrictString
from service.core.errors import InvalidRequest
from service.storage.records import RunRecord
from service.usecases import explanations as usecases
from service.usecases.explanations import WrittenArticle
from service.usecases.graphs import get_graph
from service.web.article.html import Addresses, write_html
from service.web.article.latex import write_latex
from service.web.article.markdown import write_markdown
from service.web.picture import draw_inline
from service.web.subjects import run_subject
from service.web.view import choose_view

blueprint = Blueprint("articles", __name__, description="Derivations to hand out, and worksheets")

_MEDIA = {"html": "text/html", "markdown": "text/markdown", "latex": "application/x-latex"}
_NAME = re.compile(r"`([^`]+)`|([^,`]+)")


def _one_of(*words: str, **options: Any) -> StrictString:
    """A parameter that is one of these words."""
    validate = ma.validate.OneOf(words, error=f"{', '.join(words[:-1])} or {words[-1]} is expected")
    description = {"description": options.pop("description")} if "description" in options else {}
    return StrictString(validate=validate, metadata={"enum": list(words), **description}, **options)


class ArticleQuery(Query):
    """How an article is written, and which figures it leaves blank."""

    format = _one_of("html", "markdown", "latex", load_default="html")
    blank = _one_of(
        "gradients", "values", "all", description="Write a worksheet: leave these figures blank, to be filled in"
    )
    nodes = StrictString(
        metadata={
            "pattern": r"^(`[^`\x00]+`|[^,`\x00]+)(,(`[^`\x00]+`|[^,`\x00]+))*(?![\s\S])",
            "description": "Leave only these nodes' figures blank: names with commas between them, "
            "in backquotes where they have commas themselves",
        }
    )
    tag = StrictString(
        metadata={"description": "key:value, a tag of the claims in a worksheet", "pattern": r"^[^\x00]*:[^\x00]*$"}
    )
    answers = _one_of("true", "false", load_default="false", description="true: the answers to the worksheet instead")


@blueprint.endpoint(
    "GET",
    "/v1/runs/<run_id>/article",
    query=ArticleQuery,
    answer=None,
    media=tuple(_MEDIA.values()),
    problems=(404,),
)
def get_article(query: dict[str, Any], run_id: str) -> Response:
    """Write the derivation of every figure of a run as a page to hand out, or as a worksheet with blanks

    With `blank` or `nodes` it is a worksheet. In HTML its blanks are fields of a form, which is checked. A run of more
    nodes than the limit `page` is refused.
    """
    nodes = query.get("nodes")
    names = None if nodes is None else [quoted or plain for quoted, plain in _NAME.findall(nodes)]
    try:
        written = usecases.get_article(
            context(), run_id, blank=query.get("blank"), nodes=names, answers=query["answers"] == "true"
        )
    except InvalidRequest as error:  # the fault is in the query
        raise InvalidParameters(error.faults) from None
    form = query["format"]
    return send([_write(written, form, query.get("tag", "")).encode()], content_type=f"{_MEDIA[form]}; charset=utf-8")


def _write(written: WrittenArticle, form: str, tag: str) -> str:
    record, article = written.run.record, written.article
    if form == "latex":
        return write_latex(article)
    if form == "markdown":  # the picture of a run would show what a worksheet leaves blank
        shown = {"run_id": record.id} if not article.blanks else {"graph_id": record.graph_id}
        view = f"pictures.get_{'graph' if article.blanks else 'run'}_picture"
        return write_markdown(article, url_for(view, **shown, _external=True))
    return write_html(article, _picture(written), _addresses(record, tag))


def _addresses(record: RunRecord, tag: str) -> Addresses:
    """Where a page leads: to the run, the same in the other formats, and of an article to a worksheet."""

    def another(**query: str) -> str:
        return f"{url_for('articles.get_article', run_id=record.id)}?{urlencode({**request.args, **query})}"

    links = [("The run", url_for("pages.get_run", run_id=record.id))]
    if record.has_gradients and not request.args.keys() & {"blank", "nodes", "answers"}:
        links.append(("Worksheet", another(blank="gradients")))
    links += [("Markdown", another(format="markdown")), ("LaTeX", another(format="latex"))]
    stylesheets = [url_for("pages.static", name=name) for name in ("pages.css", "article.css")]
    icon = url_for("pages.static", name="icon.svg")
    return Addresses(icon, stylesheets, links, url_for("pages.check_run", run_id=record.id), tag)


def _picture(written: WrittenArticle) -> str:
    graph = get_graph(context(), written.run.record.graph_id)
    subject = replace(run_subject(written.run, graph), run=written.drawn)
    return draw_inline(subject, choose_view(subject.graph, None, None, subject.output))
