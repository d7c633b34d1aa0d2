"""The page of a run: steps, figures, claims held against them, and a new run beside the old one."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.example import TUTORIAL_GRADIENTS

OWN = {"Origin": "http://localhost"}


@pytest.fixture(scope="module")
def run(seed: Any) -> str:
    """The id of the seed example's run."""
    identifier: str = seed["run"]["id"]
    return identifier


def mark_of(text: str, node: str) -> str:
    """The class of the mark beside the field of a node's gradient."""
    found = re.search(rf'name="gradient\.{node}".*?class="mark (\w*)"', text, re.DOTALL)
    assert found
    return found[1]


def test_every_figure_has_a_step_that_lights_its_neighbours(client: FlaskClient, run: str) -> None:
    text = client.get(f"/runs/{run}").text
    steps = re.findall(r'data-node="(\w)" data-phase="(\w+)" data-with="([^"]*)" data-said="([^"]*)"', text)
    assert [node for node, *_ in steps] == list("efFFfedcba")
    assert steps[4] == ("f", "backward", "[&#34;F&#34;]", "the gradient of f is −1/3")


def test_claims_are_judged_and_the_causes_told(client: FlaskClient, run: str) -> None:
    form = {f"gradient.{node}": str(figure) for node, figure in TUTORIAL_GRADIENTS.items()}
    led = client.post(f"/runs/{run}/check", data=form, headers=OWN)
    assert led.status_code == 303
    text = client.get(led.headers["Location"]).text
    marks = {node: mark_of(text, node) for node in "abcdefF"}
    assert marks == dict.fromkeys("abce", "inherited") | dict.fromkeys("df", "origin") | {"F": "same"}
    assert "was taken for" in text and "<mfrac><mn>1</mn><mi>d</mi></mfrac>" in text


@pytest.mark.parametrize(
    ("typed", "verdict"), [("2/3", "same"), ("0.667", "same"), ("0.66", "origin"), ("−2/3", "origin")]
)
def test_a_claim_may_be_a_fraction_or_rounded(client: FlaskClient, run: str, typed: str, verdict: str) -> None:
    led = client.post(f"/runs/{run}/check", data={"gradient.e": typed, "gradient.f": "-1/3"}, headers=OWN)
    assert mark_of(client.get(led.headers["Location"]).text, "e") == verdict


def test_a_fault_is_shown_at_its_field_and_nothing_is_stored(client: FlaskClient, run: str) -> None:
    before = len(client.get("/v1/runs").json["runs"])  # type: ignore[index]
    form = {"input.a": "5", "input.b": "1", "input.c": "minus two", "input.d": "<b>"}
    shown = client.post(f"/runs/{run}/again", data=form, headers=OWN)
    assert shown.status_code == 422
    assert shown.text.count('aria-invalid="true"') == 2
    assert "minus two" in shown.text and "&lt;b&gt;" in shown.text and "<b>" not in shown.text
    assert len(client.get("/v1/runs").json["runs"]) == before  # type: ignore[index]


def test_a_new_run_stands_beside_the_old_one(client: FlaskClient, run: str) -> None:
    form = {"input.a": "5", "input.b": "1", "input.c": "−2", "input.d": "-2"}
    led = client.post(f"/runs/{run}/again", data=form, headers=OWN)
    location = led.headers["Location"]
    assert location.endswith(f"?beside={run}")
    text = client.get(location).text
    row = text[text.index('<tr data-node="F">') :]
    assert ">6<" in row[: row.index("</tr>")].replace("\n", "") and "differs" in row[: row.index("</tr>")]


def test_the_picture_stands_there_for_wide_pages_and_for_narrow_ones(client: FlaskClient, run: str) -> None:
    text = client.get(f"/runs/{run}").text
    identifiers = re.findall(r' id="([^"]+)"', text)
    assert {f"run-{run}", f"run-{run}-down"} <= set(identifiers) and len(identifiers) == len(set(identifiers))
    assert 'class="pic"' in text and 'class="pic down"' in text and 'class="minimap"' not in text


def test_of_a_large_graph_a_part_is_shown_with_ways_on_and_a_minimap(client: FlaskClient) -> None:
    body = {"name": "long", "expression": "; ".join(f"n{k} = sin({f'n{k - 1}' if k else 'x'})" for k in range(70))}
    graph = client.post("/v1/graphs", json=body).json
    run = client.post(f"/v1/graphs/{(graph or {})['id']}/runs", json={"inputs": {"x": 1}}).json
    text = client.get(f"/runs/{(run or {})['id']}?node=n30").text
    assert 'aria-label="71 layers of at most 1 nodes; shown are 29 to 35; n30 is in layer 32"' in text
    assert text.count('<a class="on" href="?node=n26"') == text.count('<a class="on" href="?node=n34"') == 2
    assert "7 of 71 nodes: the nearest to n30, within 3 edges." in text


def test_a_part_is_one_row_until_it_is_opened_or_holds_what_is_wrong(client: FlaskClient) -> None:
    client.post("/v1/graphs", json={"name": "cell_of_a_page", "expression": "h = w * x; y = tanh(h)"})
    made: Any = client.post(
        "/v1/graphs", json={"name": "net_of_a_page", "expression": "u = cell_of_a_page(w, x); L = u^2"}
    )
    run: Any = client.post(f"/v1/graphs/{made.json['id']}/runs", json={"inputs": {"w": 0.5, "x": 1}})
    page = f"/runs/{run.json['id']}"

    def rows(address: str) -> set[str]:
        return set(re.findall(r'<tr data-node="([^"]*)"', client.get(address).text))

    closed = {"w", "x", "u", "L", "constant_1"}
    assert rows(page) == closed
    assert rows(f"{page}?open=u") == rows(f"{page}?node=u/h") == closed | {"u/h"}
    assert '<a href="?open=u#parts">open' in client.get(page).text
    assert 'data-node="u/h" data-drawn="u" data-phase="forward"' in client.get(page).text
    led = client.post(f"{page}/check", data={"gradient.u/h": "7"}, headers=OWN)
    assert rows(led.headers["Location"]) == closed | {"u/h"}


def test_names_are_text_and_never_markup(client: FlaskClient) -> None:
    hostile = '<img src=x onerror="alert(1)">&\''
    nodes = [
        {"name": hostile, "operation": "Input"},
        {"name": f"{hostile}2", "operation": "Relu", "inputs": [hostile]},
        {"name": f"{hostile}3", "operation": "Mul", "inputs": [f"{hostile}2", hostile]},
    ]
    graph: Any = client.post("/v1/graphs", json={"name": hostile, "nodes": nodes, "tags": {hostile: hostile}}).json
    body = {"inputs": {hostile: 0}, "label": hostile}
    run: Any = client.post(f"/v1/graphs/{graph['id']}/runs", json=body).json
    form = {f"gradient.{hostile}": "7", f"value.{hostile}3": "<i>"}
    checked = client.post(f"/runs/{run['id']}/check", data={f"gradient.{hostile}2": "7"}, headers=OWN).headers[
        "Location"
    ]
    again = client.post(f"/runs/{run['id']}/again", data={f"input.{hostile}": "1"}, headers=OWN).headers["Location"]
    pages = [
        client.get(path).text
        for path in (
            f"/runs/{run['id']}",
            checked,
            again,
            f"/graphs/{graph['id']}",
            "/graphs",
            "/runs",
            "/",
            "/comparisons",
        )
    ]
    pages.append(client.post(f"/runs/{run['id']}/check", data=form, headers=OWN).text)
    for page in pages:
        assert "<img" not in page and "<i>" not in page
        assert "&lt;img" in page


def test_of_a_long_run_the_steps_of_one_node_are_shown_without_its_paths(client: FlaskClient) -> None:
    chain = "; ".join(["y0 = tanh(x)", *(f"y{k} = y{k - 1} * x" for k in range(1, 50))])
    graph: Any = client.post("/v1/graphs", json={"name": "chain", "expression": chain}).json
    run: Any = client.post(f"/v1/graphs/{graph['id']}/runs", json={"inputs": {"x": 1}}).json
    text = client.get(f"/runs/{run['id']}?node=y7").text
    assert re.findall(r'<li id="step-\d" class="panel" data-node="(\w+)" data-phase="(\w+)"', text) == [
        ("y7", "forward"),
        ("y7", "backward"),
    ]
    assert "paths</dt>" not in text and "Whole path" not in text and 'id="bar"' not in text
    assert 'href="?node=y6"' in text and 'href="?node=y8"' in text  # from where it comes, and to where it leads
    found = client.get(f"/runs/{run['id']}?node=Y4").text
    assert 'href="?node=y4"' in found and 'href="?node=y49"' in found
    assert "No node’s name holds" in client.get(f"/runs/{run['id']}?node=zz").text.replace("'", "’")


def test_what_rounding_may_do_is_told_and_shaded_where_it_is_asked_for(client: FlaskClient, run: str) -> None:
    plain, rounded = (client.get(f"/runs/{run}{query}").text for query in ("", "?rounding=bfloat16"))
    assert "Rounding in bfloat16 likely moves F, 4, by" not in plain
    assert 'href="?rounding=bfloat16#rounding"' in plain
    assert "Rounding in bfloat16 likely moves F, 4, by" in rounded
    assert 'aria-current="true">bfloat16</a>' in rounded
    assert "its rounding makes 33 % of the likely error in bfloat16" in rounded
    assert re.search(r'class="node operation q3[^"]*"[^>]*data-node="F"', rounded)
    assert client.get(f"/runs/{run}?rounding=int8").text.count("Rounding in") == 0


def test_why_it_cannot_be_told_is_said(client: FlaskClient) -> None:
    client.post("/v1/graphs", json={"name": "unknown inputs", "expression": "y = x * w"})
    recorded = {"inputs": {}, "recorded": {"by": "jax", "values": {"y": 1.0}, "gradients": {"y": 1.0}}}
    made = client.post("/v1/graphs/unknown inputs/runs", json=recorded).json
    assert made is not None
    assert "lacks values of inputs" in client.get(f"/runs/{made['id']}?rounding=bfloat16").text
