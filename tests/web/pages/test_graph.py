"""The page of a graph: its figures, the form that runs it, its derivatives and its plot."""

import hashlib
import re
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from service.example import EXAMPLES

OWN = {"Origin": "http://localhost"}


def make(client: FlaskClient, name: str, expression: str, **inputs: Any) -> str:
    """The path of a new graph that was run at these inputs, if there are any."""
    graph: Any = client.post("/v1/graphs", json={"name": name, "expression": expression}).json
    if inputs:
        assert client.post(f"/v1/graphs/{graph['id']}/runs", json={"inputs": inputs}).status_code == 201
    return f"/graphs/{graph['id']}"


@pytest.fixture(scope="module")
def tutorial(client: FlaskClient) -> str:
    return make(client, "tutorial's page", EXAMPLES[0].expression, **EXAMPLES[0].inputs)


def field(text: str, name: str) -> str:
    found = re.search(rf'name="{re.escape(name)}"[^>]* value="([^"]*)"', text)
    found = found or re.search(rf'name="{re.escape(name)}" value="([^"]*)"', text)
    assert found, name
    return found[1]


def test_a_graph_has_formula_picture_inputs_derivatives_and_plot(client: FlaskClient, tutorial: str) -> None:
    text = client.get(tutorial).text
    assert re.search(r'<p class="big scroll"[^>]*><math[^>]*><mi>F</mi></math>', text)
    assert 'data-node="f"' in text and 'class="label gradient"' in text
    assert [field(text, f"input.{name}") for name in "abcd"] == ["5", "1", "−2", "−3"]
    rows = re.findall(r'<tr><th scope="row"><span class="vh">(\w)</span>.*?</tr>', text, re.DOTALL)
    assert rows == list("abcd")
    assert [text.count(f'<td class="g">{exact}</td>') for exact in ("2/3", "−2", "4/3")] == [2, 1, 1]
    assert "At d = −3 it is 4, and the tangent there has the slope 4/3." in text
    assert 'href="/operations/Mul"' in text
    for way in ("", "/picture", "/picture?format=dot", "/picture?direction=down"):
        assert f'href="/v1{tutorial}{way}"' in text
    for way in re.findall(r'href="(/v1/[^"]+)"', text):
        assert client.get(way.replace("&amp;", "&")).status_code == 200


def test_a_run_is_made_from_the_form(client: FlaskClient, tutorial: str) -> None:
    form = {"input.a": "1/2", "input.b": "1", "input.c": "−2", "input.d": "4", "convention": "torch", "label": "mine"}
    led = client.post(f"{tutorial}/runs", data=form, headers=OWN)
    assert led.status_code == 303
    run: Any = client.get("/v1" + led.headers["Location"]).json
    assert (run["outputs"], run["conventions"], run["label"]) == ({"F": -0.75}, "torch", "mine")
    text = client.get(tutorial).text
    assert field(text, "input.a") == "0.5"
    assert ">mine</a>" in text
    assert '<option value="torch" selected>' in text


def test_a_fault_is_shown_at_its_field(client: FlaskClient, tutorial: str) -> None:
    form = {"input.a": "x", "input.b": "1", "input.c": "", "input.d": "[1, 2", "label": "kept"}
    shown = client.post(f"{tutorial}/runs", data=form, headers=OWN)
    assert shown.status_code == 422
    assert shown.text.count('aria-invalid="true"') == 3
    assert [field(shown.text, name) for name in ("input.a", "input.b", "label")] == ["x", "1", "kept"]


def test_a_small_tensor_is_a_grid_of_fields(client: FlaskClient) -> None:
    path = make(client, "tensors", "y = sum(W @ v)", W=[[1, 2], [3, 4.5]], v=[1, -1])
    text = client.get(path).text
    cells = {
        f"element.{i},{j}.W": value for (i, j), value in zip(((0, 0), (0, 1), (1, 0), (1, 1)), "abcd", strict=True)
    }
    assert [field(text, name) for name in cells] == ["1", "2", "3", "4.5"]
    assert 'aria-label="W, row 2, column 1"' in text and 'aria-label="v, element 2"' in text
    vector = {"element.0.v": "1", "element.1.v": "−1"}
    led = client.post(f"{path}/runs", data={**dict.fromkeys(cells, "2/4"), **vector}, headers=OWN)
    assert client.get("/v1" + led.headers["Location"]).json["outputs"] == {"y": 0.0}  # type: ignore[index]
    led = client.post(f"{path}/runs", data={"input.W": "[[1, 0], [0, 1], [1, 1]]", **cells, **vector}, headers=OWN)
    assert led.status_code == 303
    for wrong in ({"element.0,0.W": "x", "element.0,1.W": "1"}, {"element.0,0.W": "1", "element.1,1.W": "1"}, {}):
        shown = client.post(f"{path}/runs", data={**wrong, **vector}, headers=OWN)
        assert shown.status_code == 422 and 'class="fault"' in shown.text


def test_a_run_s_page_has_the_same_grid(client: FlaskClient) -> None:
    path = make(client, "a run's grid", "y = sum(W)", W=[[1, 2]])
    run = re.search(r'href="(/runs/[^"]+)"', client.get(path).text)
    assert run
    led = client.post(f"{run[1]}/again", data={"element.0,0.W": "5", "element.0,1.W": "−7"}, headers=OWN)
    shown = client.get(led.headers["Location"]).text
    assert [field(shown, f"element.0,{column}.W") for column in (0, 1)] == ["5", "−7"]


def test_a_large_graph_shows_the_neighbourhood_of_a_node(client: FlaskClient) -> None:
    path = make(client, "chain", "; ".join(f"n{k} = n{k - 1} + 1" for k in range(1, 70)), n0=1)
    text = client.get(f"{path}?focus=n5").text
    assert 'data-node="n5"' in text and 'data-node="n60"' not in text and 'class="minimap"' in text
    assert "There is no node n99" in client.get(f"{path}?focus=n99").text


def test_a_large_tensor_is_not_filled_in(client: FlaskClient) -> None:
    text = client.get(make(client, "large", "y = sum(x)", x=[0.5] * 1001)).text
    assert "1,001 elements" in text and len(text) < 40_000
    assert "0.5, 0.5" not in text
    assert "[0.5, 0.5" in client.get(make(client, "list", "y = sum(x)", x=[0.5] * 40)).text


def test_weights_and_tensors_may_be_left_out_of_a_form(client: FlaskClient) -> None:
    digests = {}
    for name, array in (("W", np.eye(2, 3)), ("b", np.ones(3))):
        file = BytesIO()
        np.save(file, array)
        digests[name] = f"sha256:{hashlib.sha256(file.getvalue()).hexdigest()}"
        path = f"/v1/tensors/{digests[name]}"
        assert client.put(path, data=file.getvalue(), content_type="application/x-npy").status_code == 201
    body = {"name": "weighed", "expression": "y = x @ W + b", "weights": {"W": digests["W"]}}
    graph: Any = client.post("/v1/graphs", json=body).json
    kept = "Left empty, it is the tensor that is kept for it."
    assert client.get(f"/graphs/{graph['id']}").text.count(kept) == 1
    led = client.post(f"/graphs/{graph['id']}/runs", data={"input.x": "1 2", "input.b": "1, 1, 1"}, headers=OWN)
    assert led.status_code == 303, led.text
    run: Any = client.get("/v1" + led.headers["Location"]).json
    assert run["inputs"] == {"x": [1, 2], "W": {"tensor": digests["W"]}, "b": [1, 1, 1]}
    assert client.get(f"/graphs/{graph['id']}").text.count(kept) == 1
    refused = client.post(f"/graphs/{graph['id']}/runs", data={"input.x": "", "input.W": "no number"}, headers=OWN)
    assert refused.status_code == 422 and "a number is expected" in refused.text and "no number" in refused.text

    given = {"x": [1, 2], "b": {"tensor": digests["b"]}}
    run = client.post(f"/v1/graphs/{graph['id']}/runs", json={"inputs": given}).json
    assert client.get(f"/runs/{run['id']}").text.count(kept) == 2
    again = client.post(
        f"/runs/{run['id']}/again", data={"input.x": "3, 4", "input.W": "[[1,0,0],[0,0,1]]"}, headers=OWN
    )
    made: Any = client.get("/v1" + again.headers["Location"].partition("?")[0]).json
    assert made["inputs"] == {"x": [3, 4], "W": [[1, 0, 0], [0, 0, 1]], "b": {"tensor": digests["b"]}}
    assert made["outputs"]["y"] == [4, 1, 5]
    checked = client.post(f"/runs/{run['id']}/check", data={"gradient.b": "1, 1, 1"}, headers=OWN)
    assert checked.status_code == 303, checked.text


def test_a_derivative_is_kept_as_a_graph(client: FlaskClient, tutorial: str) -> None:
    led = client.post(f"{tutorial}/gradient-graph", data={"output": "F", "wrt": "d"}, headers=OWN)
    assert led.status_code == 303
    kept: Any = client.get("/v1" + led.headers["Location"]).json
    assert kept["outputs"] == ["dF_dd"] and kept["parent"] == tutorial.rpartition("/")[2]
    shown = client.get(led.headers["Location"]).text
    assert "It was not run yet." in shown and f'href="{tutorial}"' in shown
    assert "made from" in shown


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("plot=e&over=a&low=0&high=4", "e over a from 0 to 4: it rises from 1 to 5."),
        ("plot=e&over=b&was=d&low=7&high=8", "e over b from −1 to 3: it rises from 4 to 8."),
        ("plot=e&over=d", "e over d from −5 to −1: it is 6."),
        ("over=d&low=-1&high=1", "and has no value in places|it goes from"),
        ("low=2&high=1", "2 is not below 1"),
        ("low=&high=one", "or text such as 2/3"),
        ("low=%E2%88%9E", "a number is expected"),
        ("plot=none&over=none", "F over d"),
    ],
)
def test_any_node_is_plotted_over_any_input(client: FlaskClient, query: str, told: str) -> None:
    path = make(client, "to plot", EXAMPLES[0].expression + "; g = F + 0", **EXAMPLES[0].inputs)
    text = client.get(f"{path}?{query}").text
    assert re.search(told, text) if "|" in told else told in text.replace("g over d", "F over d")


def test_what_is_not_of_scalars_is_not_plotted(client: FlaskClient) -> None:
    assert 'id="plot"' not in client.get(make(client, "batch", "y = x * 2", x=[1, 2])).text
    assert 'id="plot"' not in client.get(make(client, "sums", "y = sum(x)", x=2)).text
    assert 'id="plot"' not in client.get(make(client, "constant", "y = identity(2)")).text


def test_several_outputs_are_chosen_from(client: FlaskClient) -> None:
    path = make(client, "two", "p = a * b; q = a / b")
    form = {"input.a": "6", "input.b": "3", "output": "q"}
    assert client.post(f"{path}/runs", data=form, headers=OWN).status_code == 303
    text = client.get(path).text
    assert "<option selected>q</option>" in text
    assert text.count('<td class="g">1/3</td>') == 1
    assert '<td class="g">3</td>' in client.get(f"{path}?of=p").text


def test_comparisons_stand_beside_their_run(client: FlaskClient) -> None:
    path = make(client, "compared", EXAMPLES[0].expression, **EXAMPLES[0].inputs)
    claims = {"by": "somebody", "gradients": {"f": -3, "d": 108}}
    body = {"inputs": EXAMPLES[0].inputs, "claims": claims}
    checked: Any = client.post(f"/v1{path}/checks", json=body)
    assert checked.status_code == 201
    text = client.get(path).text
    assert f'<a href="/comparisons/{checked.json["id"]}">2 differ</a>' in text
    assert "<td>somebody</td>" in text


def test_names_are_text(client: FlaskClient) -> None:
    expression = "`<b>` = `<i>&'` * 2"
    path = make(client, "<u>", expression, **{"<i>&'": 3})
    for shown in (client.get(path), client.get("/graphs?q=%3Cu%3E")):
        assert shown.status_code == 200
        assert not re.search("<[bu]>|<i>&", shown.text)


def test_what_somebody_claims_does_not_stand_for_the_last_run(client: FlaskClient) -> None:
    path = make(client, "claimed", "y = w * x", w=2, x=3)
    claims = {"inputs": {"w": 5, "x": 7}, "claims": {"gradients": {"w": 70}}}
    assert client.post(f"/v1{path}/checks", json=claims).status_code == 201
    text = client.get(path).text
    assert 'gradient of y with respect to w: 7"' in text and "respect to w: 70" not in text
