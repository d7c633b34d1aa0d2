"""The list of graphs, and new ones: an expression that is checked while it is typed, a file, or an example."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
from flask import Response, render_template, request
from markupsafe import Markup
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response as AnyResponse

from service.api.graph_schemas import GraphRequest, ImportQuery
from service.api.http import onnx
from service.api.http.problems import answer_error
from service.api.http.request import check, context
from service.api.http.strict_json import read_json
from service.core.caches import Cache
from service.core.errors import Fault, GradbookError, InvalidExpression, InvalidRequest, NotFound
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Graph
from service.core.language.hints import hints_of
from service.example import EXAMPLES
from service.storage.access_keys import Scope
from service.storage.listing import at_most
from service.usecases import graph_search, runs
from service.usecases import graphs as usecases
from service.usecases.gradient_graphs import formula_of
from service.usecases.graph_search import ORDERS, SMALL_GRAPH, FoundGraph
from service.usecases.model_imports import import_graph
from service.web.captions import Subject, short_figure, shorten
from service.web.overview import draw_thumbnail
from service.web.pages.page import page, see
from service.web.pages.pictures import inline_picture, view_of

_LISTED = 50
_LONGEST_EXPRESSION = 160  # characters of one in the list
_MOST_FORMULAS = 4  # of a graph's outputs
_LABELS = {"run": "last run first", "new": "newest first", "name": "name", "nodes": "most nodes first"}
_MEMBERS = ("name", "nodes", "outputs", "inputs", "tags")  # of a graph that was downloaded, which make it again


@dataclass(frozen=True, slots=True)
class ListedGraph:
    """A graph in the list: how often it was run, its thumbnail, its expression as it is read, and its last output."""

    found: FoundGraph
    runs: str
    thumbnail: Markup
    expression: str
    figure: str


def list_newest(count: int) -> list[ListedGraph]:
    """The graphs that were run or made last."""
    return [_listed(found) for found in graph_search.search_graphs(context(), limit=count)]


@page("GET", "/graphs")
def list_graphs() -> str:
    """List the graphs, or search them"""
    asked = request.args
    text, tag, order = asked.get("q", "").strip(), asked.get("tag", ""), asked.get("sort", "")
    start = int(asked.get("start", "")) if asked.get("start", "").isascii() and asked.get("start", "").isdigit() else 0
    found = graph_search.search_graphs(
        context(),
        text=text.replace("\0", ""),
        tag=tag.replace("\0", "") if ":" in tag else None,
        order=order if order in ORDERS else ORDERS[0],
        start=min(start, 10**9),
        limit=_LISTED + 1,
    )
    return render_template(
        "graphs.html",
        section="Graphs",
        graphs=[_listed(graph) for graph in found[:_LISTED]],
        tags=graph_search.list_tags(context()),
        orders=_LABELS,
        asked=asked,
        start=start,
        more=start + _LISTED if len(found) > _LISTED else None,
    )


def _listed(found: FoundGraph) -> ListedGraph:
    figure = "" if found.value is None else short_figure(found.value)
    graph = context().graph(found.record.digest) if found.record.node_count <= SMALL_GRAPH else None
    thumbnail = Markup("" if graph is None else draw_thumbnail(graph))
    count = found.run_count
    runs = f"{at_most(count) if count else 'no'} run{'s' if count != 1 else ''}"
    return ListedGraph(
        found, runs, thumbnail, shorten(read_expression(found.record.expression or ""), _LONGEST_EXPRESSION), figure
    )


def read_expression(text: str) -> str:
    """An expression for readers, on one line: with · and −, which mean the same."""
    text = "; ".join(filter(None, map(str.strip, text.splitlines())))
    return text if "`" in text else text.replace(" * ", " · ").replace(" - ", " − ")


@page("GET", "/graphs/new")
def new_graph() -> str:
    """Ask for a new graph"""
    return _ask(request.args)


@page("POST", "/graphs/draft", Scope.READ)
def draft_graph() -> str:
    """Show the graph of an expression that is being typed, or its fault; nothing is stored"""
    return _draft(request.form.get("expression", ""))


@page("POST", "/graphs")
def create_graph() -> AnyResponse:
    """Store a graph: of an expression, of a file, or an example with its run"""
    form, file = request.form, request.files.get("file")
    try:
        if form.get("example"):
            return see("get_graph", graph_id=_create_example(form["example"]))
        if file is not None and PurePath(file.filename or "").suffix == ".onnx":
            return see("get_graph", graph_id=_import_file(file, form))
        document = _read_file(file, form) if file is not None and file.filename else _read_form(form)
        given = check(GraphRequest(), document)
        record, *_ = usecases.create_graph(context(), given.pop("name"), tags=given.pop("tags"), **given)
    except GradbookError as error:
        return Response(_ask(form, error), answer_error(error).status, mimetype="text/html")
    return see("get_graph", graph_id=record.id)


def _ask(asked: Mapping[str, str], problem: GradbookError | None = None) -> str:
    expression = asked.get("expression", "")
    return render_template(
        "new_graph.html",
        section="Graphs",
        examples=EXAMPLES,
        asked=asked,
        draft=Markup(_draft(expression)) if expression else "",
        invalid=bool(expression) and isinstance(problem, InvalidExpression),
        problem=problem,
    )


def _draft(expression: str) -> str:
    """What is shown of an expression: its formulas and picture, or what is wrong with it and where."""
    if not expression.strip():
        return ""
    try:
        graph, _ = usecases.draft_graph(context(), expression)
    except GradbookError as error:
        return render_template("_draft.html", fault=error)
    picture = inline_picture(Subject("draft", "The graph as it is typed", graph), view_of(graph, None))
    return render_template(
        "_draft.html", graph=graph, formulas=formulas(graph), picture=picture, hints=hints_of(graph, expression)
    )


@dataclass(frozen=True, slots=True)
class ShownFormula:
    """The sides of an equation in MathML, and how many characters it is typed with."""

    sides: tuple[str, ...]
    length: int


# A formula is made in a hundredth of a second or so, and a page may show dozens; its digest says what it is of.
_formulas: Cache[Hashable, ShownFormula | None] = Cache(
    8 * 1024 * 1024, lambda shown: 200 if shown is None else 200 + 2 * sum(map(len, shown.sides))
)


def show_formula(graph: Graph, of: str, wrt: str | None = None) -> ShownFormula | None:
    """A node, or its derivative by another; None where that is too long, or a rule cannot be written as a formula."""

    def write() -> ShownFormula | None:
        try:
            formula = formula_of(context(), graph, of, wrt)
            return ShownFormula(formula.equation.sides, len(formula.text))
        except GradbookError:
            return None

    return _formulas.get((graph.digest, of, wrt), write)


def formulas(graph: Graph) -> Sequence[Markup]:
    """The formulas of a graph's outputs, each as MathML in parts that wrap."""
    shown = filter(None, (show_formula(graph, output) for output in graph.outputs[:_MOST_FORMULAS]))
    side = Markup('<math displaystyle="true">{}</math>')
    return [Markup(" ").join(side.format(Markup(part)) for part in formula.sides) for formula in shown]


def _read_form(form: Mapping[str, str]) -> dict[str, Any]:
    tags = [tag.strip() for tag in form.get("tags", "").split(",") if tag.strip()]
    if wrong := [tag for tag in tags if ":" not in tag]:
        raise InvalidRequest([Fault(("tags",), f"a tag is written key:value, not {wrong[0]}")])
    name = form.get("name", "").strip()
    return {
        **({"name": name} if name else {}),
        "expression": form.get("expression", "").replace("\r\n", "\n"),
        "tags": {key.strip(): value.strip() for key, _, value in (tag.partition(":") for tag in tags)},
    }


def _import_file(file: FileStorage, form: Mapping[str, str]) -> str:
    """Make a graph of an ONNX model; return its id."""
    name = form.get("name", "").strip() or PurePath(file.filename or "").stem
    query = check(ImportQuery(), {"name": name, "input": form.get("shapes", "").split()})
    record, *_ = import_graph(context(), query["name"], _content(file), shapes=onnx.read_shapes(query["input"]))
    return record.id


def _content(file: FileStorage) -> bytes:
    limits = context().limits
    body = file.stream.read(limits.body_bytes + 1)
    if len(body) > limits.body_bytes:
        raise RequestEntityTooLarge
    return body


def _read_file(file: FileStorage, form: Mapping[str, str]) -> Any:
    """A graph from a file as `POST /v1/graphs` takes it, or as `GET /v1/graphs/{id}` gives it."""
    document = read_json(_content(file), context().limits.json_depth)
    if not isinstance(document, dict):
        return document
    if "digest" in document and "nodes" in document:
        if document.get("next") is not None:
            raise InvalidRequest([Fault(("next",), "this file has the first nodes of the graph only")])
        document = {member: document[member] for member in _MEMBERS if member in document}
    name = form.get("name", "").strip() or PurePath(file.filename or "").stem
    return {**({"name": name} if name else {}), **document}


def _create_example(name: str) -> str:
    """Store an example and run it; return the graph's id."""
    example = next((each for each in EXAMPLES if each.name == name), None)
    if example is None:
        raise NotFound(f"there is no example {name!r}")
    tags = {"topic": example.topic}
    record, _, new = usecases.create_graph(context(), example.name, expression=example.expression, tags=tags)
    if new:
        inputs: dict[str, FloatArray] = {name: np.array(value) for name, value in example.inputs.items()}
        runs.create_run(context(), record.id, inputs, label="example", tags=tags)
    return record.id
