"""Claims as people write them: rounded numbers, mixed numbers, commas; checks that are labelled or not kept."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from tests.api.conftest import MakeApp
from tests.api.test_comparisons import INPUTS, created, graph_of, nodes, problem


def check(client: FlaskClient, claims: str, expression: str | None = None, inputs: Any = INPUTS, rest: str = "") -> Any:
    """The answer to a check whose claims are JSON as a person writes it."""
    graph = graph_of(client, expression) if expression else graph_of(client)
    body = f'{{"inputs": {json.dumps(inputs)}, "claims": {claims}{rest}}}'
    response = client.post(f"/v1/graphs/{graph}/checks", data=body, content_type="application/json")
    assert response.status_code == 201, response.text
    return response.json


def verdicts(found: Any) -> dict[str, tuple[str, bool]]:
    """Of each gradient, its verdict and whether it was rounded."""
    return {
        node["name"]: (node["verdict"], node.get("rounded", False))
        for node in found["nodes"]
        if node["phase"] == "backward"
    }


def test_a_rounded_number_is_right(client: FlaskClient) -> None:
    found = check(client, '{"gradients": {"f": -0.33, "d": 1.3, "e": 0.667, "a": 0.67, "b": 0.6666666667, "c": -2}}')
    assert found["verdict"] == "same"
    assert verdicts(found) == {
        **dict.fromkeys(("f", "d", "e", "a", "b"), ("same", True)),
        "c": ("same", False),
    }
    assert nodes(found)["backward e"]["candidate"] == 2 / 3
    assert [node["rounded"] for node in found["nodes"] if "rounded" in node] == [True] * 5


def test_the_figures_that_the_issue_of_rounding_is_about(client: FlaskClient) -> None:
    """sigmoid(1)·(1 − sigmoid(1)) = 0.19661…, tanh(1)² = 0.58002…, e⁻¹ = 0.36787…, sin(−0.56) = −0.53118…"""
    expression = "s = sigmoid(x); p = s * (1 - s); t = tanh(x) ^ 2; q = exp(-x); n = sin(z); F = p + t + q + n"
    inputs = {"x": 1, "z": -0.56}
    together = check(client, '{"values": {"p": 0.2, "t": 0.58, "q": 0.37, "n": -0.53}}', expression, inputs)
    assert together["verdict"] == "same"
    assert {node["name"] for node in together["nodes"] if node.get("rounded")} == {"p", "t", "q", "n"}
    alone = check(client, '{"values": {"p": 0.2, "t": 0.6, "q": 0.4}}', expression, inputs)
    assert {origin["node"] for origin in alone["origins"]} == {"p", "t", "q"}
    beside_text = check(client, '{"values": {"p": 0.2, "t": "≈0.58"}}', expression, inputs)
    assert beside_text["verdict"] == "same"


@pytest.mark.parametrize(
    "written",
    ["0.66", "0.68", "0.670", "0.6660", "0.7", "1", "1.0", "0.66666666", "0.0", "6.6e-1"],
)
def test_a_number_that_is_not_the_rounded_figure_is_an_origin(client: FlaskClient, written: str) -> None:
    """Cut, another digit, a zero too many, a single digit, a whole number."""
    found = check(client, f'{{"gradients": {{"a": {written}}}}}')
    assert verdicts(found) == {"a": ("origin", False)}
    assert nodes(found)["backward a"]["candidate"] == float(written)


@pytest.mark.parametrize(
    ("expression", "x", "written", "digits"),
    [("F = 2 / x", 3, "0.66", 2), ("F = exp(x)", 3, "20.08", 4), ("F = sigmoid(x)", 3, '"0.952"', 3)],
)
def test_a_figure_that_was_cut_is_an_origin_that_says_so(
    client: FlaskClient, expression: str, x: float, written: str, digits: int
) -> None:
    """2/3 = 0.666…, e³ = 20.0855…, sigmoid(3) = 0.95257…"""
    (origin,) = check(client, f'{{"values": {{"F": {written}}}}}', expression, {"x": x})["origins"]
    assert origin["sentence"].endswith(f"The right figure was cut to {digits} significant digits.")


def test_a_whole_number_is_exact(client: FlaskClient) -> None:
    for written in ("1", "1.0"):
        assert check(client, f'{{"gradients": {{"d": {written}}}}}')["verdict"] == "differ"
        assert check(client, f'{{"values": {{"F": {written}}}}}', "F = 0.9 * x", {"x": 1})["verdict"] == "differ"
    assert check(client, '{"values": {"F": 1.00}}', "F = 0.9966 * x", {"x": 1})["verdict"] == "same"


@pytest.mark.parametrize("tolerance", ['"float64"', '"exact"', '{"rtol": 1e-9}', '{"rtol": 0.0001, "atol": 0.00}'])
def test_with_a_tolerance_numbers_are_as_they_are_written(client: FlaskClient, tolerance: str) -> None:
    found = check(client, '{"gradients": {"a": 0.667, "e": "0.667"}}', rest=f', "tolerance": {tolerance}')
    assert verdicts(found) == {"a": ("origin", False), "e": ("same", True)}
    assert found["tolerance"] == json.loads(tolerance)


def test_what_is_rounded_stands_as_the_right_figure_for_the_others(client: FlaskClient) -> None:
    """a and b are e: beside 0.67 2/3 would be right although it does not follow, beside the right e it follows."""
    found = check(client, '{"gradients": {"e": 0.67, "a": "2/3", "b": 0.6}}')
    assert verdicts(found) == {"e": ("same", True), "a": ("same", False), "b": ("origin", False)}
    assert nodes(found)["backward b"]["expected"] == 2 / 3


def test_what_is_right_and_rounded_though_it_does_not_follow_is_compensated(client: FlaskClient) -> None:
    found = check(client, '{"gradients": {"f": -0.3, "e": 0.67}}')
    assert verdicts(found) == {"f": ("origin", False), "e": ("compensated", True)}


def test_what_follows_rounded_from_a_wrong_claim_is_inherited(client: FlaskClient) -> None:
    """From f = −0.43 follow e = a = b = 0.86; 0.9 has one digit and may be no rounded 0.86."""
    found = check(client, '{"gradients": {"f": -0.43, "e": 0.86, "a": 0.86, "b": 0.9}}')
    assert verdicts(found) == {
        "f": ("origin", False),
        "e": ("inherited", False),
        "a": ("inherited", False),
        "b": ("origin", False),
    }


def test_elements_of_a_tensor_may_be_rounded(client: FlaskClient) -> None:
    point = {"x": [1, 2, 4], "y": 3}
    found = check(client, '{"values": {"F": [0.33, 0.667, 1.3]}}', "F = x / y", point)
    figure = nodes(found)["forward F"]
    assert (found["verdict"], figure["rounded"], figure["candidate"]) == ("same", True, [1 / 3, 2 / 3, 4 / 3])
    cut = nodes(check(client, '{"values": {"F": [0.33, 0.66, 1.3]}}', "F = x / y", point))["forward F"]
    assert (cut["verdict"], cut["worst"], "rounded" in cut) == ("origin", [1], False)


def test_in_a_comparison_of_runs_nothing_is_rounded(client: FlaskClient) -> None:
    graph = graph_of(client)
    runs = [
        created(client, f"/v1/graphs/{graph}/runs", {"inputs": INPUTS, **more})["id"]
        for more in ({}, {"recorded": {"by": "somebody", "gradients": {"a": 0.667}}})
    ]
    found = created(client, "/v1/comparisons", {"baseline": runs[0], "candidate": runs[1]})
    assert verdicts(found) == {"a": ("origin", False)}


def test_a_stored_check_tells_what_was_rounded(client: FlaskClient) -> None:
    found = check(client, '{"gradients": {"a": 0.667, "e": 0.6}, "values": {"e": 6, "F": 4.00}}')
    path = f"/v1/comparisons/{found['id']}"
    assert client.get(path).json == found
    client.application.extensions["gradbook"].comparisons.remove(found["id"])
    assert client.get(path).json == found
    listed: Any = client.get(f"{path}/nodes").json
    assert listed["nodes"] == found["nodes"]
    assert [node["name"] for node in listed["nodes"] if node.get("rounded")] == ["a"]


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("1 1/3", True),
        ("≈1.333", True),
        ("4/3", True),
        ("1,33", True),
        ("1,333 ", None),
        ("1 1/4", False),
        ("~1.3", True),
    ],
)
def test_texts(client: FlaskClient, text: str, right: bool | None) -> None:
    claims = {"gradients": {"d": text}}
    if right is None:
        graph = graph_of(client)
        faults = problem(client, f"/v1/graphs/{graph}/checks", {"inputs": INPUTS, "claims": claims})
        assert faults == [
            (
                "/claims/gradients/d",
                "'1,333' is 1.333 where a comma is the decimal sign and 1333 where it parts thousands: write 1.333 or "
                "1333",
            )
        ]
        return
    assert check(client, json.dumps(claims))["verdict"] == ("same" if right else "differ")


def test_a_zero_before_the_comma_parts_no_thousands(client: FlaskClient) -> None:
    found = check(client, '{"gradients": {"a": "0,667", "b": "0,66"}}')
    assert verdicts(found) == {"a": ("same", True), "b": ("origin", False)}


@pytest.mark.parametrize(
    "claims",
    [
        {"values": {"e": 6, "f": "-12", "F": "4"}},
        {"gradients": {"a": "2/3", "b": "≈0.667", "c": "−2", "d": "1 1/3", "e": "0,667", "f": -0.33}},
        {"values": {"e": [6, "6.0"]}, "by": "a student"},
        {"values": {"e": "NaN", "f": ["Infinity", "-Infinity"]}},
    ],
)
def test_the_document_of_the_api_allows_claims_as_people_write_them(document: Any, claims: Any) -> None:
    schema = {"$ref": "#/components/schemas/CheckRequest", "components": document["components"]}
    body = {"inputs": INPUTS, "claims": claims, "keep": False, "label": "homework", "tolerance": {"rtol": 0.1}}
    Draft202012Validator(schema).validate(body)
    assert not Draft202012Validator(schema).is_valid({**body, "claims": {"values": {"e": True}}})


# --- keep and label -----------------------------------------------------------------------------------------------


def test_a_check_that_is_not_kept(client: FlaskClient) -> None:
    graph = graph_of(client)
    body = {"inputs": INPUTS, "claims": {"gradients": {"a": 0.667, "d": 108}}}
    kept = created(client, f"/v1/graphs/{graph}/checks", body)
    before = [client.get(path).json for path in ("/v1/runs", "/v1/comparisons")]
    for _ in range(2):
        answer = created(
            client, f"/v1/graphs/{graph}/checks", {**body, "keep": False}, 200, headers={"Idempotency-Key": "unkept"}
        )
        assert (answer["id"], answer["baseline"], answer["candidate"], answer["next"]) == (None, None, None, None)
        changing = ("id", "baseline", "candidate", "created_at")
        assert {k: v for k, v in answer.items() if k not in changing} == {
            k: v for k, v in kept.items() if k not in changing
        }
    assert [client.get(path).json for path in ("/v1/runs", "/v1/comparisons")] == before


def test_a_check_that_is_not_kept_shows_all_its_figures(make_app: MakeApp) -> None:
    client = make_app(page=3).test_client()
    graph = graph_of(client)
    body = {"inputs": INPUTS, "claims": {"values": {"e": 6, "f": -12, "F": 4}}}
    assert len(created(client, f"/v1/graphs/{graph}/checks", body)["nodes"]) == 3
    answer = created(client, f"/v1/graphs/{graph}/checks", {**body, "keep": False}, 200)
    assert (len(answer["nodes"]), answer["next"]) == (7, None)


def test_a_check_may_be_labelled(client: FlaskClient) -> None:
    found = check(client, '{"gradients": {"a": 0.667}}', rest=', "label": "homework 3", "keep": true')
    labelled: Any = client.get("/v1/runs?label=homework%203").json
    assert [run["id"] for run in labelled["runs"]] == [found["candidate"]]


@pytest.mark.parametrize(("member", "value"), [("label", ""), ("label", 3), ("keep", "no"), ("keep", None)])
def test_a_label_and_keep_are_checked(client: FlaskClient, member: str, value: Any) -> None:
    body = {"inputs": INPUTS, "claims": {"values": {"e": 6}}, member: value}
    assert problem(client, f"/v1/graphs/{graph_of(client)}/checks", body)[0][0] == f"/{member}"


def test_inputs_and_seed_of_a_check_may_be_text(client: FlaskClient) -> None:
    found = check(
        client,
        '{"values": {"z": "2/3"}, "gradients": {"x": "1/2", "y": [1, "2/3"]}}',
        "z = x * 2; F = sum(y * z)",
        {"x": "1/3", "y": ["0.25", 1]},
        ', "seed": "1/5"',
    )
    assert nodes(found)["forward x"]["baseline"] == 1 / 3
    assert nodes(found)["backward x"]["baseline"] == 0.5
    response = client.post(f"/v1/graphs/{graph_of(client)}/checks", json={"inputs": {"a": "five"}, "claims": {}})
    assert response.status_code == 422
    assert response.json["errors"] == [
        {"pointer": "/inputs/a", "detail": "a number, or text such as 2/3 or 0.667, is expected, not the string 'five'"}
    ]


def test_what_is_right_though_it_does_not_follow_has_a_sentence(client: FlaskClient) -> None:
    found = check(client, '{"gradients": {"f": -3, "a": "2/3"}}')
    (compensated,) = found["compensated"]
    assert (compensated["phase"], compensated["node"]) == ("backward", "a")
    assert compensated["sentence"].startswith("∂F/∂a is right, 2/3, but does not follow from the other figures given")
