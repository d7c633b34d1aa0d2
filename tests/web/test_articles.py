"""Articles and worksheets over HTTP: in three formats, with names that are markup, and what is refused."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from flask.testing import FlaskClient

from service import example

VOID = ("meta", "link", "input", "wbr")
# Commands of LaTeX and amsmath, as formulas and the writer use them; any other may be one that nothing here defines.
KNOWN = {
    *("documentclass", "usepackage", "begin", "end", "section", "subsection", "hspace", "underline", "text", "mathrm"),
    *("textbackslash", "textless", "textgreater", "textbar", "frac", "partial", "cdot", "left", "right", "sum", "dots"),
    *("backslash", "sim", "wedge", "times", "approx", "sin", "cos", "exp", "max", "top", "operatorname", "mathbf"),
    *("infty", "sqrt", "odot", "mathbb", "ln", "min"),
}


class Strict(HTMLParser):
    """Read HTML, and refuse elements that are not closed in order, and attributes that appear twice."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), (tag, attrs)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "svg" in self.open, tag
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def each(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def read_html(text: str) -> Strict:
    page = Strict()
    page.feed(text)
    page.close()
    assert page.open == [] and text.startswith("<!doctype html>")
    assert not page.each("script") and not page.each("style")
    assert not any("style" in attributes for _, attributes in page.elements)
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    return page


def fields_of(page: Strict) -> list[str]:
    return [attributes["name"] for attributes in page.each("input")]


def read_latex(text: str) -> str:
    """Hold a document to balanced braces, dollars and environments, and to commands that there are."""
    bare = re.sub(r"\\[\\{}$%#&_^~ \[\](]", "", text.replace("\\\\", ""))
    depth = 0
    for sign in re.findall(r"[{}]", bare):
        depth += 1 if sign == "{" else -1
        assert depth >= 0
    assert depth == 0 and re.sub(r"\\\$", "", text).count("$") % 2 == 0
    assert text.count(r"\begin{") == text.count(r"\end{") and text.count(r"\[") == text.count(r"\]")
    assert set(re.findall(r"\\([A-Za-z]+)", text)) <= KNOWN
    assert text.count(r"\left") == text.count(r"\right")
    return text


def article(client: FlaskClient, run: str, query: str = "") -> str:
    answer = client.get(f"/v1/runs/{run}/article?{query}")
    assert answer.status_code == 200, answer.text
    return answer.text


def run_of(client: FlaskClient, name: str, inputs: dict[str, Any], **graph: Any) -> str:
    made = client.post("/v1/graphs", json={"name": name, **graph}).json
    assert made is not None
    backward = {} if len(made["outputs"]) == 1 else {"output": made["outputs"][0]}
    run = client.post(f"/v1/graphs/{made['id']}/runs", json={"inputs": inputs, **backward}).json
    assert run is not None and "id" in run, run
    identifier: str = run["id"]
    return identifier


def test_the_tutorials_article_stands_alone_in_html(client: FlaskClient, seed: dict[str, Any]) -> None:
    run = seed["run"]["id"]
    page = read_html(article(client, run))
    assert {"href": "/static/pages.css", "rel": "stylesheet"} in page.each("link")
    assert [attributes["data-node"] for attributes in page.each("g") if "data-node" in attributes] == [*"abcdefF"]
    links = [attributes["href"] for attributes in page.each("a")]
    assert f"/runs/{run}" in links and f"/v1/runs/{run}/article?blank=gradients" in links
    shown = client.get(f"/runs/{run}").text
    assert f'href="/v1/runs/{run}/article"' in shown and f'href="/v1/runs/{run}/article?blank=gradients"' in shown
    assert len(page.each("math")) > 30 and not page.each("form") and not page.each("input")
    assert page.text.count("Step ") == 4 and "By the quotient rule at F:" in page.text
    assert page.text.count("−13") >= 3  # −1/3, whose bar is markup
    answer = client.get(f"/v1/runs/{run}/article")
    assert answer.content_type == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    again = client.get(f"/v1/runs/{run}/article", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_tutorials_article_as_markdown_and_in_latex(client: FlaskClient, seed: dict[str, Any]) -> None:
    run = seed["run"]["id"]
    written = {form: article(client, run, f"format={form}") for form in ("markdown", "latex")}
    assert f"![The graph](<http://localhost/v1/runs/{run}/picture>)" in written["markdown"]
    assert written["markdown"].startswith("# The gradients of F, step by step\n\n")
    read_latex(written["latex"])
    for text in written.values():
        for right in (r"-\frac{1}{3}", r"= \frac{4}{3}", r"= \frac{2}{3}", r"\cdot 6 = -2"):
            assert right in text
    assert r"\frac{\partial e}{\partial a} = \frac{c}{d} = -\frac{1}{3}" in written["markdown"]
    assert "\\frac{\\partial e}{\\partial a} \\\\\n  & = \\frac{c}{d} \\\\\n" in written["latex"]  # one is long


@pytest.mark.parametrize("form", ["html", "markdown", "latex"])
def test_a_worksheet_has_a_place_for_each_figure_and_shows_none(
    client: FlaskClient, seed: dict[str, Any], form: str
) -> None:
    run = seed["run"]["id"]
    text = article(client, run, f"format={form}&blank=gradients")
    if form == "html":
        page = read_html(text)
        assert fields_of(page) == ["tag", "by", *(f"gradient.{name}" for name in "fedcba")]
        assert page.each("form") == [{"method": "post", "action": f"/runs/{run}/check"}]
        assert all(attributes["aria-label"] for attributes in page.each("input") if "." in attributes["name"])
    else:
        assert text.count(r" = \underline{\hspace{6em}}") == 6
        assert "Name: " in text
        assert "picture" not in text or f"/v1/graphs/{seed['graph']['id']}/picture" in text
    for shown in ("0.667", "1.33", "−0.333", r"\frac{1}{3}", r"\frac{4}{3}", "0.6666"):
        assert shown not in text


def test_the_answers_are_a_sheet_of_their_own(client: FlaskClient, seed: dict[str, Any]) -> None:
    run = seed["run"]["id"]
    answers = article(client, run, "format=markdown&blank=gradients&nodes=f,`d`&answers=true")
    assert answers.count("$$") == 4 and r"\frac{d F}{d d} = \frac{4}{3}" in answers
    assert r"\frac{d F}{d f} = -\frac{1}{3}" in answers
    every = article(client, run, "format=markdown&answers=true")
    assert every.count("$$") == 2 * (3 + 6)


def test_names_that_are_markup_stay_text(client: FlaskClient) -> None:
    names = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', r"\input{x}$%_^~&#", "[a](b)*_|", "a,b"]
    nodes = [
        *({"name": name, "operation": "Input"} for name in names),
        {"name": "<b>", "operation": "Sum", "inputs": names},
    ]
    run = run_of(client, "<i>graph</i> $x$ \\y", dict.fromkeys(names, 1), nodes=nodes)
    for query in ("blank=all", ""):
        page = read_html(article(client, run, query))
        assert not page.each("img") and not page.each("b") and not page.each("i")
        assert all(name in page.text for name in ("<script>alert(1)</script>", "<i>graph</i>", "[a](b)*_|"))
    read_latex(article(client, run, "format=latex"))
    markdown = article(client, run, "format=markdown")
    prose = re.sub(r"\$\$.*?\$\$|(?<!\\)\$.*?(?<!\\)\$", "", markdown, flags=re.DOTALL)
    assert not re.search(r"(?<!\\)<[a-z/]", prose.replace("(<http", ""))
    only = article(client, run, "nodes=`a,b`&blank=gradients")
    assert fields_of(read_html(only)) == ["tag", "by", "gradient.a,b"]


def test_every_kind_of_run_has_an_article(client: FlaskClient, seed: dict[str, Any]) -> None:
    graph = seed["graph"]["id"]
    forward = client.post(f"/v1/graphs/{graph}/runs", json={"inputs": example.INPUTS, "backward": False}).json
    body = {"inputs": example.INPUTS, "recorded": {"by": "the <tutorial>", "gradients": {"f": -3, "F": 1}}}
    recorded = client.post(f"/v1/graphs/{graph}/runs", json=body).json
    assert forward is not None and recorded is not None
    assert "This run has no gradients" in read_html(article(client, forward["id"])).text
    told = read_html(article(client, recorded["id"])).text
    assert "recorded by the <tutorial>" in told and "the <tutorial> has −3 here, 2.67 away." in told
    several = run_of(client, "several", {"x": 2}, expression="F = x * x; G = exp(x)")
    assert "G does not lead to F" in read_html(article(client, several)).text
    tensors = run_of(client, "tensors", {"x": [[1, 2], [3, 4]], "b": [1, 2]}, expression="F = sum(relu(x @ x + b))")
    for run in (recorded["id"], tensors):
        read_latex(article(client, run, "format=latex"))
    assert r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}" in article(client, tensors, "format=markdown")
    kink = run_of(client, "kink", {"x": 0}, expression="F = abs(x)")
    assert "F has no derivative here; minimum-norm chooses" in read_html(article(client, kink)).text


@pytest.mark.parametrize(
    ("query", "parameter", "said"),
    [
        ("format=pdf", "format", "html, markdown or latex is expected"),
        ("blank=some", "blank", "gradients, values or all is expected"),
        ("nodes=z", "nodes", "no node 'z'"),
        ("blank=values&nodes=a", "blank", "no such figures"),
        ("answers=1", "answers", "true or false is expected"),
    ],
)
def test_what_cannot_be_written_is_refused(
    client: FlaskClient, seed: dict[str, Any], query: str, parameter: str, said: str
) -> None:
    answer = client.get(f"/v1/runs/{seed['run']['id']}/article?{query}")
    assert answer.status_code == 422 and answer.json is not None
    (fault,) = answer.json["errors"]
    assert fault["parameter"] == parameter and said in fault["detail"]


def test_a_run_that_is_too_large_or_not_there_is_refused(make_app: Any) -> None:
    client = make_app(page=6).test_client()
    run = run_of(client, "blog", example.INPUTS, expression=example.EXPRESSION)
    answer = client.get(f"/v1/runs/{run}/article").json
    assert answer is not None and answer["limit"] == "page" and answer["maximum"] == 6
    assert f"GET /v1/runs/{run}/steps explains them page by page" in answer["detail"]
    assert client.get("/v1/runs/none/article").status_code == 404


def test_a_function_that_is_too_long_is_left_out(client: FlaskClient) -> None:
    doubled = "; ".join(f"y{k + 1} = y{k} * sin(y{k})" for k in range(7)).replace("y0", "x")
    text = article(client, run_of(client, "doubled", {"x": 1}, expression=doubled), "format=latex")
    assert read_latex(text).partition(r"\section*{Step 2")[0].count(r"\[") == 0


def test_the_tutorials_wrong_figures_in_a_worksheet_come_back_marked(client: FlaskClient, seed: dict[str, Any]) -> None:
    """The whole way: take the worksheet, fill in what the tutorial prints, send the form, read the marks."""
    run = seed["run"]["id"]
    page = read_html(article(client, run, "blank=gradients&tag=class:3b"))
    (form,) = page.each("form")
    filled = {attributes["name"]: attributes.get("value", "") for attributes in page.each("input")}
    filled |= {f"gradient.{name}": f"{figure:g}" for name, figure in example.TUTORIAL_GRADIENTS.items() if name != "F"}
    assert filled.keys() == set(fields_of(page))
    led = client.post(form["action"], data=filled | {"by": "Ada"}, headers={"Origin": "http://localhost"})
    assert led.status_code == 303
    text = client.get(led.headers["Location"]).text
    marks = dict(re.findall(r'name="gradient\.(\w)".*?class="mark (\w*)"', text, re.DOTALL))
    assert marks == {**dict.fromkeys("abce", "inherited"), **dict.fromkeys("df", "origin"), "F": marks["F"]}
    assert "</math>: In the local gradient <math>" in text and " was taken for <math><mi>d</mi></math>" in text
    (handed_in,) = client.get("/v1/runs?tag=class:3b").json["runs"]  # type: ignore[index]
    assert (handed_in["recorded_by"], handed_in["tags"]) == ("Ada", {"class": "3b"})
    (check,) = client.get(f"/v1/comparisons?run={handed_in['id']}").json["comparisons"]  # type: ignore[index]
    origins = client.get(f"/v1/comparisons/{check['id']}").json["origins"]  # type: ignore[index]
    assert {origin["node"]: origin["sentence"].partition(";")[0] for origin in origins} == {
        "f": "∂F/∂f is −3",
        "d": "∂F/∂d is 108",
    }
    wrong = client.post(
        form["action"], data=filled | {"tag": f"class:{'x' * 200}"}, headers={"Origin": "http://localhost"}
    )
    assert wrong.status_code == 422
