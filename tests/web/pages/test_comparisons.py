"""The pages of comparisons: the verdict in words, causes, picture, and the table by pages."""

import re
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from service.example import TUTORIAL_GRADIENTS
from service.web.pages.findings import tolerance_words, verdict

OWN = {"Origin": "http://localhost"}
INPUTS = {"a": 5.0, "b": 1.0, "c": -2.0, "d": -3.0}


def post(client: FlaskClient, path: str, body: dict[str, Any]) -> str:
    """The id of what a request makes."""
    answer = client.post(path, json=body).json
    assert answer is not None and answer.get("id"), answer
    identifier: str = answer["id"]
    return identifier


@pytest.fixture(scope="module")
def graph(seed: Any) -> str:
    """The path of the seed example's graph."""
    return f"/v1/graphs/{seed['graph']['id']}"


@pytest.fixture(scope="module")
def tutorial(client: FlaskClient, graph: str) -> str:
    """The path of the page that holds the tutorial's figures against the right ones."""
    claims = {"by": "the tutorial", "gradients": TUTORIAL_GRADIENTS}
    body = {"inputs": INPUTS, "label": "as printed", "claims": claims}
    return f"/comparisons/{post(client, f'{graph}/checks', body)}"


def text_of(html: str) -> str:
    """What is read of a page."""
    return " ".join(re.sub(r"<[^>]*>", "", html).split())


def rows(html: str) -> list[list[str]]:
    """The cells of the table of figures."""
    body = re.search(r"<tbody>(.*?)</tbody>", html, re.DOTALL)
    assert body
    return [
        [text_of(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr>.*?</tr>", body[1], re.DOTALL)
    ]


def test_an_origin_leads_to_scripts_and_to_the_text_of_an_issue(client: FlaskClient, graph: str, tutorial: str) -> None:
    html = client.get(tutorial).text
    asked = f"/v1{tutorial}/reproduction?phase=backward&amp;node=f&amp;language"
    scripts = re.findall(rf'href="({re.escape(asked)}=\w+&amp;format=(\w+))"', html)
    assert [form for _, form in scripts] == ["python", "python", "python", "npz"]
    (issue,) = re.findall(r'<button type="button" data-copy="([^"]+)" hidden>Copy as an issue', html)
    for path in (*(path for path, _ in scripts), issue):
        assert client.get(path.replace("&amp;", "&")).status_code == 200
    runs = [post(client, f"{graph}/runs", {"inputs": {**INPUTS, "a": a}}) for a in (5.0, 6.0)]
    other = post(client, "/v1/comparisons", {"baseline": runs[0], "candidate": runs[1]})
    assert "reproduction" not in client.get(f"/comparisons/{other}").text  # an Input's value follows from nothing


def test_the_verdict_stands_in_the_title_and_each_cause_with_what_follows(
    client: FlaskClient, graph: str, tutorial: str
) -> None:
    shown = client.get(tutorial)
    assert shown.status_code == 200
    assert "<h1>Six of eleven figures differ. One slip explains them all.</h1>" in shown.text
    assert shown.text.count(f'href="{graph.removeprefix("/v1")}">blog</a>') == 2
    told = text_of(shown.text)
    assert "Explains these figures and the figures of e, c, b and a, which follow from them." in told
    assert "“as printed”, by the tutorial, held against a run of blog, computed" in told
    assert "A relative tolerance of 80.4 or an absolute tolerance of 107 would make them the same." in told
    assert shown.text.count('class="ring"') == 2 and shown.text.count("◇ inherited") >= 4


def test_the_table_holds_the_differences_unless_all_are_asked_for(client: FlaskClient, tutorial: str) -> None:
    text = client.get(tutorial).text
    found = rows(text)
    assert [row[0] for row in found] == ["f", "e", "d", "c", "b", "a"]
    third = "−0.333−0.3333333333333333"
    assert found[0][:5] == ["f", "gradient", third, "−3", third] and found[0][6] == "◆ origin"
    assert found[0][5].startswith("88, 14,2") and found[0][5].endswith(" ulps")
    assert "All four values and one of seven gradients agree." in text_of(text)
    everything = rows(client.get(f"{tutorial}?all=1").text)
    assert len(everything) == 11 and everything[0][1] == "value"
    worst = rows(client.get(f"{tutorial}?order=relative_error").text)
    assert worst[0][0] == "d"


def test_a_large_table_is_shown_by_pages(client: FlaskClient, tutorial: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.web.pages.differences._ROWS", 4)
    first, second = client.get(tutorial).text, client.get(f"{tutorial}?start=4").text
    assert [row[0] for row in rows(first)] == ["f", "e", "d", "c"]
    assert "1 to 4 of 6" in first and "start=4" in first
    assert [row[0] for row in rows(second)] == ["b", "a"]
    assert "5 to 6 of 6" in second


def test_of_many_causes_the_first_are_told(client: FlaskClient, tutorial: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.web.pages.comparisons._CAUSES", 0)
    told = text_of(client.get(tutorial).text)
    assert "One slip explains them all." in told and "And 1 more, whose figures are marked as origins below." in told


def test_two_runs_are_compared_from_the_page_of_one(client: FlaskClient, graph: str) -> None:
    right = post(client, f"{graph}/runs", {"inputs": INPUTS, "label": "right"})
    other = post(client, f"{graph}/runs", {"inputs": {**INPUTS, "d": -2.0}, "label": "<b>other</b>"})
    page = client.get(f"/runs/{right}").text
    assert f'<option value="{other}">“&lt;b&gt;other&lt;/b&gt;”, computed' in page
    led = client.post("/comparisons", data={"run": right, "other": other, "right": "this"}, headers=OWN)
    assert led.status_code == 303
    told = client.get(led.headers["Location"]).text
    assert "Other inputs" not in told and "One other input explains them all." in told
    assert "&lt;b&gt;other" in told and "<b>other" not in told
    turned = {"run": right, "id": f" {other} ", "right": "other", "tolerance": "float32"}
    led = client.post("/comparisons", data=turned, headers=OWN)
    told = text_of(client.get(led.headers["Location"]).text)
    assert "“right”, computed, held against “&lt;b&gt;other" in told and "tolerance float32" in told
    listed = client.get(f"/comparisons?run={other}").text
    assert listed.count("/comparisons/") == 2 and "differ" in listed and 'thumb"' in listed


def test_a_run_that_there_is_not_is_refused_on_the_page_of_the_other(client: FlaskClient, seed: Any) -> None:
    form = {"run": seed["run"]["id"], "id": "nowhere", "right": "this"}
    shown = client.post("/comparisons", data=form, headers=OWN)
    assert shown.status_code == 404
    assert "there is no run" in shown.text and "Compare with another run" in shown.text


def test_figures_that_agree_are_said_to(client: FlaskClient, graph: str) -> None:
    claims = {"by": "a reader", "gradients": {"F": 1, "f": "-1/3", "d": "4/3"}}
    told = text_of(
        client.get(f"/comparisons/{post(client, f'{graph}/checks', {'inputs': INPUTS, 'claims': claims})}").text
    )
    assert "All seven figures agree" in told
    assert "Not given" in told and "the gradient of e" in told


@pytest.fixture(scope="module")
def network(client: FlaskClient) -> str:
    """The path of the page of a recording whose gradient of z is wrong in one column, from where it went on."""
    expression = "z = x @ w; L = sum(tanh(z)^2)"
    graph = f"/v1/graphs/{post(client, '/v1/graphs', {'name': 'network', 'expression': expression})}"
    inputs = {"x": [[1, 2], [0.5, -1], [0.1, 0.3]], "w": [[1, 0.5, -0.2], [0.3, 0.2, 0.7]]}
    right = client.post(f"{graph}/runs", json={"inputs": inputs}).json
    assert right is not None
    gradients = {node["name"]: node["gradient"] for node in right["nodes"] if node["gradient"] is not None}
    z = np.array(gradients["z"]) * [1, 1, 3]
    gradients |= {"z": z.tolist(), "x": (z @ np.transpose(inputs["w"])).tolist()}
    gradients["w"] = (np.transpose(inputs["x"]) @ z).tolist()
    recorded = {"by": "a kernel", "gradients": gradients}
    wrong = post(client, f"{graph}/runs", {"inputs": inputs, "recorded": recorded, "output": "L"})
    return f"/comparisons/{post(client, '/v1/comparisons', {'baseline': right['id'], 'candidate': wrong})}"


def test_a_tensor_is_mapped_and_its_worst_element_named(client: FlaskClient, network: str) -> None:
    text = client.get(network).text
    told = text_of(text)
    assert "The gradient of z is wrong in column 2. ◆ origin" in told
    assert re.search(r"Worst at \[\d, 2\]: \S+, where the baseline has \S+\.", told)
    assert re.search('aria-label="Relative errors of the gradient of z, 3×3: 3 of 9 elements differ; the worst', text)
    assert re.match(r"z \[\d, 2\] of 3×3", rows(text)[0][0])
    other = text_of(client.get(f"{network}?map=gradient.w").text)
    assert "The gradient of w is wrong in column 2. ◇ inherited" in other
    assert "The gradient of z is wrong" in text_of(client.get(f"{network}?map=value.z").text)  # which is not wrong


def test_a_tensor_without_a_map_and_one_wrong_throughout(
    client: FlaskClient, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "wrong in each element" in text_of(client.get(f"{network}?map=gradient.x").text)
    monkeypatch.setattr("service.web.pages.error_views.LARGEST", 5)
    assert "Where a tensor is wrong" not in client.get(network).text


def test_errors_are_drawn_one_by_one_or_as_bars(
    client: FlaskClient, tutorial: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = client.get(tutorial).text
    assert 'aria-label="Relative errors: 5 without error, 5 near 10 and 1 near 100"' in text
    assert "the gradient of f: origin, relative error 8" in text
    assert "Nothing here is rounding" in text_of(text)
    monkeypatch.setattr("service.web.histogram._MOST_SQUARES", 10)
    bars = client.get(tutorial).text
    assert "How many figures have each error" in bars and "the gradient of f: origin" not in bars


def test_the_nodes_of_two_graphs_are_paired(client: FlaskClient) -> None:
    graphs = [
        post(client, "/v1/graphs", {"name": name, "expression": expression})
        for name, expression in (("one", "z = relu(x*w); L = z^2"), ("two", "p = x*w; z = tanh(p); q = z*1; L = z^2"))
    ]
    runs = [
        post(client, f"/v1/graphs/{graph}/runs", {"inputs": {"x": 2.0, "w": 0.3}, "output": "L"}) for graph in graphs
    ]
    body = {"baseline": runs[0], "candidate": runs[1], "names": {"p": "mul_1"}}
    text = client.get(f"/comparisons/{post(client, '/v1/comparisons', body)}").text
    told = text_of(text)
    assert "One other definition explains" in told
    assert "graphs two version 1 and one version 1" in told
    assert ["p", "mul_1"] in [
        [text_of(cell) for cell in row] for row in re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td></tr>", text)
    ]
    assert "Only the candidate has constant_1 and q." in told and "Only the baseline has" not in told


def test_a_choice_where_no_derivative_exists_is_no_slip(client: FlaskClient) -> None:
    graph = post(client, "/v1/graphs", {"name": "kinked", "expression": "y = 3 * clip(x, min=0, max=1)"})
    runs = [
        post(client, f"/v1/graphs/{graph}/runs", {"inputs": {"x": 1}, "conventions": library})
        for library in ("minimum-norm", "tensorflow")
    ]
    made = post(client, "/v1/comparisons", {"baseline": runs[0], "candidate": runs[1]})
    told = text_of(client.get(f"/comparisons/{made}").text)
    assert "One of seven figures differs. One choice where no derivative exists explains it." in told
    assert "The gradient of x is the choice of torch and tensorflow where no derivative exists." in told
    assert "△ convention" in told


def test_a_figure_that_is_right_by_another_error_is_told(client: FlaskClient, graph: str) -> None:
    body = {"inputs": INPUTS, "claims": {"gradients": {"F": 1, "f": "-1/3", "e": 6, "a": "2/3"}}}
    told = text_of(client.get(f"/comparisons/{post(client, f'{graph}/checks', body)}").text)
    assert "One of eight figures differs. One slip explains it." in told
    assert "◈ compensated Right by another error" in told and "does not follow from the other figures given" in told


def test_of_a_large_graph_the_neighbourhood_of_the_first_difference_is_drawn(client: FlaskClient) -> None:
    chain = "; ".join(["n0 = x + 1", *(f"n{k} = n{k - 1} + 1" for k in range(1, 70))])
    graph = post(client, "/v1/graphs", {"name": "chain", "expression": chain})
    runs = [post(client, f"/v1/graphs/{graph}/runs", {"inputs": {"x": x}}) for x in (1, 2)]
    made = post(client, "/v1/comparisons", {"baseline": runs[0], "candidate": runs[1]})
    text = client.get(f"/comparisons/{made}").text
    assert (
        'data-node="n1"' in text and 'data-node="n60"' not in text and "the nearest to x" in text and 'minimap"' in text
    )
    assert "1 to 50 of 71" in text
    assert 'data-node="n60"' in client.get(f"/comparisons/{made}?node=n60").text


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"same": 1}, "The one figure agrees"),
        ({"same": 2}, "Both figures agree"),
        ({"same": 13}, "All 13 figures agree"),
        ({}, "No figure was compared"),
        ({"inherited": 1, "same": 1}, "One of two figures differs. An error below the tolerance grew."),
        ({"inherited": 2}, "Both figures differ. Errors below the tolerance grew into them."),
    ],
)
def test_one_and_several_are_told_right(counts: dict[str, int], said: str) -> None:
    every = dict.fromkeys(("same", "origin", "inherited", "compensated", "convention"), 0)
    assert verdict(every | counts, []) == said


@pytest.mark.parametrize(
    ("tolerance", "said"),
    [
        ("float64", "tolerance float64"),
        ({"rtol": 1e-3, "atol": 0.0}, "tolerance 0.001 relative"),
        ({"rtol": 0.5, "atol": 2.0}, "tolerance 0.5 relative and 2 absolute"),
        ({"rtol": 0.0}, "no tolerance"),
    ],
)
def test_a_tolerance_is_told_in_words(tolerance: Any, said: str) -> None:
    assert tolerance_words(tolerance) == said


def test_the_page_says_which_nodes_were_paired_and_how(client: FlaskClient) -> None:
    original = post(client, "/v1/graphs", {"name": "net", "expression": "h = gelu(x) * w; F = h * h"})
    port = post(client, "/v1/graphs", {"name": "port", "expression": "act = tanh(data); g = act * k; loss = g ^ 2"})
    right = post(client, f"/v1/graphs/{original}/runs", {"inputs": {"x": 0.5, "w": 2}})
    run = post(client, f"/v1/graphs/{port}/runs", {"inputs": {"data": 0.5, "k": 2}})
    assert '<option value="probes">what they compute</option>' in client.get(f"/runs/{run}").text
    form = {"run": run, "id": right, "right": "other", "align": "probes"}
    made = client.post("/comparisons", data=form, headers=OWN)
    assert made.status_code == 303
    shown = client.get(made.headers["Location"]).text
    told = text_of(shown)
    assert "nodes are paired by what they compute: " in told and "by equal figures" in told
    assert "node (in the baseline)" in told and "act (gelu_1)" in told and "Only the candidate has constant_1." in told
    assert "Defined otherwise in the candidatein the baselinepaired actgelu_1by structureit is tanh" in told
    assert "<details><summary>All pairs</summary>" in shown
    # Nodes are paired by name where the form does not say otherwise.
    made = client.post("/comparisons", data={**form, "align": ""}, headers=OWN)
    assert "Nodes are paired by name." in text_of(client.get(made.headers["Location"]).text)
