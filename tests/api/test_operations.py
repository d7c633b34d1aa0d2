"""The rulebook over HTTP is the registry."""

import html
from typing import Any
from urllib.parse import quote

from flask.testing import FlaskClient

from service.core.rulebook.composed import composed_operations
from service.core.rulebook.registry import operations


def test_the_rulebook_is_listed_whole(client: FlaskClient) -> None:
    page: Any = client.get("/v1/operations").json
    named = [operation.name for operation in (*operations(), *composed_operations())]
    assert [entry["name"] for entry in page["operations"]] == named
    for entry, operation in zip(page["operations"], operations(), strict=False):
        assert (entry["least_inputs"], entry["most_inputs"]) == (operation.least_inputs, operation.most_inputs)
        assert [attribute["name"] for attribute in entry["attributes"]] == [it.name for it in operation.attributes]
        assert (entry["nondifferentiable"] is None) == (operation.kinks is None)


def test_an_operation_is_found_by_each_of_its_names(client: FlaskClient) -> None:
    for operation in operations():
        for name in (operation.name, *operation.aliases):
            entry: Any = client.get(f"/v1/operations/{quote(name, safe='')}").json
            assert (entry["name"], entry["aliases"]) == (operation.name, list(operation.aliases))


def test_a_composed_operation_is_told_by_its_definition(client: FlaskClient) -> None:
    for operation in composed_operations():
        entry: Any = client.get(f"/v1/operations/{operation.aliases[-1]}").json
        assert entry["name"] == operation.name and entry["rule"] is None and entry["composed"]["summary"]
        names = {name: list(shape) for name, shape in operation.example.shapes.items()}
        assert entry["composed"]["shapes"] == names
        text = entry["composed"]["definition"]  # is a graph of the same operands
        made: Any = client.post("/v1/graphs", json={"name": "as text", "expression": text}).json
        assert set(made["inputs"]) == set(names)
        page = client.get(f"/operations/{operation.name}")
        assert operation.summary in html.unescape(page.text) and text in html.unescape(page.text)
    assert "Attention" in client.get("/operations?name=attention").text


def test_a_rule_is_told_as_text_and_latex(client: FlaskClient) -> None:
    entry: Any = client.get("/v1/operations/÷").json
    assert entry["name"] == "Div" and entry["operands"] == ["x", "y"] and "/" in entry["aliases"]
    mathml = "<mfrac><mi>x</mi><mi>y</mi></mfrac>"
    assert entry["rule"] == {"text": "x / y", "latex": r"\frac{x}{y}", "mathml": mathml}
    assert [gradient["operand"] for gradient in entry["local_gradients"]] == ["x", "y"]
    kink: Any = client.get("/v1/operations/relu").json
    assert kink["nondifferentiable"]["returned"] and kink["nondifferentiable"]["text"]


def test_names_are_case_sensitive(client: FlaskClient) -> None:
    assert client.get("/v1/operations/RELU").status_code == 404
