"""The contract of comparisons, checks and recorded runs."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.api.conftest import MakeApp
from tests.api.story import EXAMPLES

CHECK_REQUEST = json.loads(EXAMPLES.read_text(encoding="utf-8"))["check_claims"]["request"]

SEED = "e = a + b; f = e * c; F = f / d"
INPUTS = {"a": 5, "b": 1, "c": -2, "d": -3}
SLIP = {"F": 1, "f": -3, "d": 108, "e": 6, "c": -18, "a": 6, "b": 6}


def created(client: FlaskClient, path: str, body: Any, status: int = 201, **options: Any) -> Any:
    """What a POST answers."""
    response = client.post(path, json=body, **options)
    assert response.status_code == status, response.text
    return response.json


def graph_of(client: FlaskClient, expression: str = SEED) -> str:
    """A graph's id."""
    graph: Any = client.post("/v1/graphs", json={"name": "g", "expression": expression}).json
    return str(graph["id"])


def run_of(client: FlaskClient, graph: str, inputs: Any = INPUTS, **body: Any) -> str:
    """The id of a run."""
    return str(created(client, f"/v1/graphs/{graph}/runs", {"inputs": inputs, **body})["id"])


def recorded(client: FlaskClient, graph: str, inputs: Any = INPUTS, **figures: Any) -> str:
    """The id of a recorded run."""
    return run_of(client, graph, inputs, recorded={"by": "the tutorial", **figures})


def compare(client: FlaskClient, baseline: str, candidate: str, **body: Any) -> Any:
    """The answer to a comparison."""
    return created(client, "/v1/comparisons", {"baseline": baseline, "candidate": candidate, **body})


def problem(client: FlaskClient, path: str, body: Any, status: int = 422) -> list[tuple[str, str]]:
    """The faults of a refused request."""
    answer = created(client, path, body, status)
    return [(fault["pointer"], fault["detail"]) for fault in answer.get("errors", ())]


def nodes(document: Any) -> dict[str, Any]:
    """A comparison's figures by phase and name."""
    return {f"{node['phase']} {node['name']}": node for node in document["nodes"]}


# --- the tutorial's slip ------------------------------------------------------------------------------------------


def test_the_tutorials_slip(client: FlaskClient) -> None:
    graph = graph_of(client)
    response = client.post(f"/v1/graphs/{graph}/checks", json=CHECK_REQUEST)
    found: Any = response.json
    assert response.status_code == 201
    assert response.headers["Location"] == f"/v1/comparisons/{found['id']}"
    assert client.get(response.headers["Location"]).json == found
    assert found["verdict"] == "differ"
    assert found["compared"] == {"values": 4, "gradients": 7}
    assert found["counts"] == {"same": 5, "origin": 2, "inherited": 4, "compensated": 0, "convention": 0}
    assert [(origin["phase"], origin["node"]) for origin in found["origins"]] == [("backward", "f"), ("backward", "d")]
    assert found["inherited"] == [{"phase": "backward", "node": name} for name in "ecba"]
    assert (found["compensated"], found["only_in_baseline"], found["only_in_candidate"]) == ([], [], [])
    assert found["first_difference"] == found["origins"][0]
    hypotheses = [{each["name"]: each["sentence"] for each in origin["hypotheses"]} for origin in found["origins"]]
    assert hypotheses[0]["reciprocal of the local gradient"] == (
        "∂F/∂f is −3; it should be 1 × 1/d = −1/3. −3 is the reciprocal of the right local gradient."
    )
    for node, each in zip("fd", hypotheses, strict=True):
        said = each["operand taken as its reciprocal"]
        assert said.startswith(f"∂F/∂{node} is ")
        assert said.endswith("In the local gradient 1/d was taken for d: −1/3 for −3.")
    assert nodes(found)["backward d"] == {
        "name": "d",
        "phase": "backward",
        "baseline": 4 / 3,
        "candidate": 108.0,
        "expected": 4 / 3,
        "absolute_error": 108.0 - 4 / 3,
        "relative_error": (108.0 - 4 / 3) / (4 / 3),
        "ulps": 28616622632250027,
        "verdict": "origin",
    }
    assert [node["name"] for node in found["nodes"]] == [*"abcd", *"Ffedcba"]
    assert nodes(found)["backward e"]["expected"] == pytest.approx(6.0)
    assert (found["tolerance"], found["names"], found["next"]) == ("float64", {}, None)
    assert found["minimum_tolerance"] == {"rtol": pytest.approx(80.0), "atol": pytest.approx(320 / 3)}
    runs = [client.get(f"/v1/runs/{found[side]}").json for side in ("baseline", "candidate")]
    assert [run["source"] for run in runs if run] == ["computed", "recorded"]


def test_a_difference_that_a_convention_explains_is_called_so_and_named(client: FlaskClient) -> None:
    graph = graph_of(client, "y = w * x; k = abs(y); F = exp(k)")
    inputs = {"w": 0, "x": 3}
    ours, theirs = run_of(client, graph, inputs), run_of(client, graph, inputs, conventions="jax")
    for found in (
        compare(client, ours, theirs),
        compare(client, ours, recorded(client, graph, inputs, gradients={"F": 1, "k": 1, "y": 1, "w": 3, "x": 0})),
    ):
        assert (found["verdict"], found["origins"]) == ("differ", [])
        assert found["counts"] | {"same": 0} == {
            "same": 0, "origin": 0, "inherited": 1, "compensated": 0, "convention": 1
        }  # fmt: skip
        assert nodes(found)["backward y"]["verdict"] == "convention"
        assert nodes(found)["backward y"]["conventions"] == ["jax"]
        (hypothesis,) = found["first_difference"]["hypotheses"]
        assert (found["first_difference"]["node"], hypothesis["name"]) == ("y", "convention")
        assert "JAX" in hypothesis["sentence"] and "k" in hypothesis["sentence"]
        assert client.get(f"/v1/comparisons/{found['id']}").json == found
    back = compare(client, theirs, ours)
    assert nodes(back)["backward y"]["conventions"] == ["minimum-norm", "torch", "tensorflow"]
    assert compare(client, theirs, theirs)["verdict"] == "same"


def test_a_check_is_what_its_three_steps_are(client: FlaskClient) -> None:
    graph = graph_of(client)
    stepwise = compare(client, run_of(client, graph), recorded(client, graph, gradients=SLIP))
    at_once = created(client, f"/v1/graphs/{graph}/checks", CHECK_REQUEST)
    own = ("id", "baseline", "candidate", "created_at")
    assert {name: at_once[name] for name in at_once if name not in own} == {
        name: stepwise[name] for name in stepwise if name not in own
    }


def test_a_missing_path_and_an_overwritten_gradient(client: FlaskClient) -> None:
    graph = graph_of(client, "F = (a + b) * (b + 1)")
    checks = f"/v1/graphs/{graph}/checks"
    for claim, names in (
        (2, {"contribution missing": "b + 1, 3, is", "only the last contribution kept": "a + b"}),
        (3, {"contribution missing": "a + b, 2, is"}),
    ):
        found = created(client, checks, {"inputs": {"a": 2, "b": 1}, "claims": {"gradients": {"b": claim, "a": 2}}})
        (origin,) = found["origins"]
        said = {each["name"]: each["sentence"] for each in origin["hypotheses"]}
        assert origin["node"] == "b" and said.keys() >= names.keys()
        assert all(what in said[name] for name, what in names.items())


# --- recorded runs ------------------------------------------------------------------------------------------------


def test_a_recorded_run_is_shown_like_any_run(client: FlaskClient) -> None:
    graph = graph_of(client)
    body = {
        "inputs": {"a": 5, "b": "NaN"},
        "recorded": {
            "by": "somebody else",
            "dtype": "float32",
            "values": {"e": -0.0, "F": "-Infinity"},
            "gradients": {"f": 5e-324},
        },
        "label": "theirs",
        "tags": {"framework": "none"},
    }
    made = created(client, f"/v1/graphs/{graph}/runs", body)
    assert client.get(f"/v1/runs/{made['id']}").json == made
    shown = {node["name"]: (node["value"], node["gradient"]) for node in made["nodes"]}
    assert shown == {
        **{"a": (5.0, None), "b": ("NaN", None), "e": (0.0, None), "F": ("-Infinity", None), "f": (None, 5e-324)},
        **dict.fromkeys("cd", (None, None)),
    }
    assert str(shown["e"][0]) == "-0.0"
    assert (made["source"], made["recorded_by"], made["dtype"]) == ("recorded", "somebody else", "float32")
    assert (made["label"], made["tags"], made["seed"]) == ("theirs", {"framework": "none"}, 1.0)
    kinds = {"infinity": {"forward": "F", "backward": None}, "nan": {"forward": "b", "backward": None}}
    assert made["nonfinite"] == {"forward": "b", "backward": None, **kinds}
    listed: Any = client.get("/v1/runs", query_string={"recorded_by": "somebody else"}).json
    assert [run["id"] for run in listed["runs"]] == [made["id"]]
    node: Any = client.get(f"/v1/runs/{made['id']}/nodes/f").json
    assert (node["value"], node["gradient"]) == (None, 5e-324)
    assert client.post(f"/v1/runs/{made['id']}/backward", json={}).status_code == 409


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"inputs": {}, "recorded": {"by": "x", "gradients": {"f": 3, "zz": 3}}}, ["/recorded/gradients/zz"]),
        ({"inputs": {"e": 1}, "recorded": {"by": "x", "values": {"~/": 3}}}, ["/inputs/e", "/recorded/values/~0~1"]),
        ({"inputs": {}, "recorded": {"by": "x"}}, ["/recorded"]),
        ({"inputs": {}, "recorded": {"values": {"e": 1}}}, ["/recorded/by"]),
        ({"inputs": {}, "recorded": {"by": "x", "values": {"e": "2/3"}}}, ["/recorded/values/e"]),
        ({"inputs": {}, "recorded": {"by": "x", "values": {"e": [1, [2]]}}}, ["/recorded/values/e/1"]),
        ({"inputs": {}, "recorded": {"by": "x", "values": {"e": 1}, "dtype": "float8"}}, ["/recorded/dtype"]),
        ({"inputs": {}, "recorded": {"by": "x", "values": {"e": 1}}, "keep": False}, ["/recorded"]),
        ({"inputs": {"a": 1, "b": [1, 2]}, "recorded": {"by": "x", "values": {"e": 1}}}, ["/recorded/values/e"]),
        ({"inputs": {}, "recorded": {"by": "x", "gradients": {"e": 1}}, "output": "G"}, ["/output"]),
        ({"inputs": {}, "recorded": {"by": "x", "gradients": {"e": 1}}, "seed": [1, 2]}, ["/seed"]),
    ],
)
def test_recordings_that_are_refused(client: FlaskClient, body: Any, pointers: list[str]) -> None:
    graph = graph_of(client)
    before = client.get("/v1/runs").json
    assert [pointer for pointer, _ in problem(client, f"/v1/graphs/{graph}/runs", body)] == pointers
    assert client.get("/v1/runs").json == before


# --- claims -------------------------------------------------------------------------------------------------------


def test_claims_may_be_text(client: FlaskClient) -> None:
    graph = graph_of(client)
    claims = {
        "values": {"e": "6.0", "f": "-12", "F": "4e0"},
        "gradients": {"f": "-1/3", "d": "1.3", "e": "0.667", "c": "−2", "a": "0.66", "b": "6.7e-1"},
    }
    found = created(client, f"/v1/graphs/{graph}/checks", {"inputs": INPUTS, "claims": claims})
    assert [(origin["phase"], origin["node"]) for origin in found["origins"]] == [("backward", "a")]
    assert found["counts"]["same"] == 4 + 3 + 5
    run: Any = client.get(f"/v1/runs/{found['candidate']}").json
    assert run["recorded_by"] == "a claim"


def test_claims_of_tensors_may_be_text(client: FlaskClient) -> None:
    graph = graph_of(client, "F = x / y")
    body = {"inputs": {"x": [1, 2, 4], "y": 3}, "claims": {"values": {"F": ["0.33", "0.66", "4/3"]}}}
    found = created(client, f"/v1/graphs/{graph}/checks", body)
    figure = nodes(found)["forward F"]
    assert (figure["verdict"], figure["worst"]) == ("origin", [1])
    assert figure["absolute_error"] == pytest.approx(2 / 3 - 0.66)
    assert (figure["candidate"][0], figure["candidate"][2]) == (1 / 3, 4 / 3)


@pytest.mark.parametrize(
    ("claims", "pointer"),
    [
        ({"values": {"zz": 1}}, "/claims/values/zz"),
        ({"gradients": {"zz": 1}}, "/claims/gradients/zz"),
        ({"values": {"e": "about 6"}}, "/claims/values/e"),
        ({"values": {"e": "2/0"}}, "/claims/values/e"),
        ({"values": {"e": "0e999"}}, "/claims/values/e"),
        ({"values": {"e": ["1", "2", True]}}, "/claims/values/e/2"),
        ({"values": {"e": {}}}, "/claims/values/e"),
        ({"values": {"e": [1, 2]}}, "/claims/values/e"),
        ({"values": {"e": 6}, "by": ""}, "/claims/by"),
        ({"values": 6}, "/claims/values"),
        ({}, "/claims"),
        ({"value": {"e": 6}}, "/claims/value"),
    ],
)
def test_claims_that_are_refused(client: FlaskClient, claims: Any, pointer: str) -> None:
    graph = graph_of(client)
    before = client.get("/v1/runs").json
    body = {"inputs": INPUTS, "claims": claims}
    assert [position for position, _ in problem(client, f"/v1/graphs/{graph}/checks", body)] == [pointer]
    assert client.get("/v1/runs").json == before


def test_the_rest_of_a_check_may_be_refused(client: FlaskClient) -> None:
    graph = graph_of(client)
    path, claims = f"/v1/graphs/{graph}/checks", {"gradients": {"e": 6}}
    assert problem(client, path, {"inputs": {"a": 1}, "claims": claims})[0][0] == "/inputs"
    assert problem(client, path, {"inputs": INPUTS, "claims": claims, "output": "G"})[0][0] == "/output"
    assert problem(client, path, {"inputs": INPUTS, "claims": claims, "seed": "x"})[0][0] == "/seed"
    assert problem(client, path, {"inputs": INPUTS, "claims": claims, "tolerance": "x"})[0][0] == "/tolerance"
    assert problem(client, path, {"inputs": INPUTS}) == [("/claims", "the member `claims` is missing")]
    assert problem(client, "/v1/graphs/nothing/checks", {"inputs": {}, "claims": claims}, 404) == []


# --- comparisons --------------------------------------------------------------------------------------------------


def test_special_figures_are_written_as_strings(client: FlaskClient) -> None:
    graph = graph_of(client, "y = x")
    given = ["NaN", "Infinity", "-Infinity", -0.0, 1]
    first, second = (run_of(client, graph, {"x": figures}) for figures in (given, given))
    assert compare(client, first, second, tolerance="exact")["verdict"] == "same"
    other = run_of(client, graph, {"x": [1, "Infinity", "-Infinity", 0.0, 1]})
    found = compare(client, first, other)
    figure = nodes(found)["forward x"]
    assert figure["baseline"] == given and figure["verdict"] == "origin"
    assert (figure["absolute_error"], figure["relative_error"], figure["ulps"]) == ("Infinity", "Infinity", None)
    assert figure["worst"] == [0]
    assert found["minimum_tolerance"] == {"rtol": None, "atol": None}
    signs = compare(client, *(run_of(client, graph, {"x": x}) for x in (0.0, -0.0)), tolerance="exact")
    assert (signs["verdict"], nodes(signs)["forward x"]["ulps"], signs["minimum_tolerance"]["atol"]) == (
        "differ",
        0,
        0.0,
    )


def test_units_in_the_last_place_beyond_what_json_readers_hold_exactly(client: FlaskClient) -> None:
    graph = graph_of(client, "y = x")
    found = compare(client, *(run_of(client, graph, {"x": x}) for x in ("-Infinity", "Infinity")))
    assert nodes(found)["forward x"]["ulps"] == 2 * 0x7FF0_0000_0000_0000


def test_a_large_tensor_is_null_in_the_list_and_its_worst_element_is_told(client: FlaskClient) -> None:
    graph = graph_of(client, "y = x * 2")
    for size, hidden in ((10_000, False), (10_001, True)):
        x = [1.0] * size
        wrong = [2.0] * (size - 1) + [3.0]
        document = compare(
            client, run_of(client, graph, {"x": x}), recorded(client, graph, {"x": x}, values={"y": wrong})
        )
        node = nodes(document)["forward y"]
        sides = [node[side] for side in ("baseline", "candidate", "expected")]
        assert sides == ([None] * 3 if hidden else [[2.0] * size, wrong, [2.0] * size])
        assert (node["verdict"], node["absolute_error"], node["worst"]) == ("origin", 1.0, [size - 1])


def test_an_empty_batch_has_no_worst_element(client: FlaskClient) -> None:
    graph = graph_of(client, "y = x")
    figure = nodes(compare(client, *(run_of(client, graph, {"x": []}) for _ in range(2))))["forward y"]
    assert "worst" not in figure
    assert (figure["absolute_error"], figure["relative_error"], figure["ulps"], figure["verdict"]) == (0, 0, 0, "same")


@pytest.mark.parametrize(
    ("tolerance", "verdict"),
    [
        (None, "differ"),
        ("exact", "differ"),
        ("float64", "differ"),
        ("float32", "same"),
        ({"rtol": 1.1e-7}, "same"),
        ({"rtol": 0.9e-7}, "differ"),
        ({"atol": 1.5e-6, "rtol": 0}, "same"),
    ],
)
def test_tolerances(client: FlaskClient, tolerance: Any, verdict: str) -> None:
    graph = graph_of(client)
    runs = [recorded(client, graph, INPUTS, values={"F": figure}) for figure in (4.0, 4.0000004)]
    found = compare(client, *runs, **({} if tolerance is None else {"tolerance": tolerance}))
    assert (found["verdict"], found["tolerance"]) == (verdict, tolerance or "float64")


def test_the_minimum_tolerance_may_be_used(client: FlaskClient) -> None:
    graph = graph_of(client)
    runs = run_of(client, graph), recorded(client, graph, gradients=SLIP)
    least = compare(client, *runs)["minimum_tolerance"]
    for name, bound in least.items():
        assert compare(client, *runs, tolerance={name: bound})["verdict"] == "same"
        assert compare(client, *runs, tolerance={name: bound * (1 - 1e-15)})["verdict"] == "differ"


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"tolerance": "float8"}, ["/tolerance"]),
        ({"tolerance": {"rtol": -1}}, ["/tolerance/rtol"]),
        ({"tolerance": {"ulps": 1}}, ["/tolerance"]),
        ({"tolerance": None}, ["/tolerance"]),
        ({"names": {"x": "a"}}, ["/names/x"]),
        ({"names": {"a": "y"}}, ["/names/a"]),
        ({"names": {"a": 5}}, ["/names/a"]),
        ({"names": {"a": "e", "b": "e"}}, ["/names"]),
        ({"names": ["a"]}, ["/names"]),
        ({"candidate": None}, ["/candidate"]),
        ({"more": 1}, ["/more"]),
    ],
)
def test_comparisons_that_are_refused(client: FlaskClient, body: Any, pointers: list[str]) -> None:
    run = run_of(client, graph_of(client))
    before = client.get("/v1/comparisons").json
    asked = {"baseline": run, "candidate": run, **body}
    assert [position for position, _ in problem(client, "/v1/comparisons", asked)] == pointers
    assert client.get("/v1/comparisons").json == before


def test_runs_that_cannot_be_compared(client: FlaskClient) -> None:
    graph = graph_of(client)
    run = run_of(client, graph)

    def refused(candidate: str, baseline: str = run) -> list[tuple[str, str]]:
        return problem(client, "/v1/comparisons", {"baseline": baseline, "candidate": candidate})

    seeds = [("/candidate", "the two runs' gradients have different seeds")]
    assert refused(run_of(client, graph, seed=2)) == seeds
    assert refused(run_of(client, graph, output="e")) == [
        ("/candidate", "the candidate's gradients are of 'e', the baseline's of 'F'")
    ]
    assert ("/candidate", "'e' has shape [2]; in the baseline []") in refused(
        run_of(client, graph, INPUTS | {"a": [5, 6]})
    )
    apart = recorded(client, graph, {}, values={"e": 6}), recorded(client, graph, {}, values={"f": -12})
    assert refused(*apart) == [("/candidate", "the two runs give no figure in common")]
    ((pointer, _),) = problem(client, "/v1/comparisons", {"baseline": run, "candidate": "nothing"}, 404)
    assert pointer == "/candidate"
    assert client.get("/v1/comparisons/nothing").status_code == 404
    assert client.get("/v1/comparisons/nothing/nodes").status_code == 404


def test_two_versions_of_a_graph(client: FlaskClient) -> None:
    first, second = graph_of(client), graph_of(client, "s = a + b; f = s + c; F = f / d; extra = F * 2; G = extra + F")
    second_run = run_of(client, second, output="F")
    found = compare(client, run_of(client, first), second_run, names={"s": "e"})
    assert found["names"] == {"s": "e"}
    assert (found["only_in_baseline"], found["only_in_candidate"]) == ([], ["constant_1", "extra", "G"])
    origin = found["origins"][0]
    assert (origin["node"], [each["name"] for each in origin["hypotheses"]]) == ("f", ["definition"])
    assert origin["hypotheses"][0]["error"] is None
    unmapped = compare(client, run_of(client, first), second_run)
    assert unmapped["only_in_baseline"] == ["e"]


def test_only_gradients_of_one_node(client: FlaskClient) -> None:
    graph = graph_of(client)
    found = compare(client, run_of(client, graph), recorded(client, graph, {}, gradients={"e": 6}))
    assert (found["compared"], found["counts"]["origin"]) == ({"values": 0, "gradients": 1}, 1)
    assert [node["name"] for node in found["nodes"]] == ["e"]
    assert nodes(found)["backward e"]["expected"] == pytest.approx(2 / 3)


def test_two_recordings_without_inputs(client: FlaskClient) -> None:
    graph = graph_of(client)
    figures = [{"f": [1, 2], "e": [2, 3]}, {"f": [1, 2], "e": [2, 4]}]
    for kind in ("values", "gradients"):
        found = compare(client, *(recorded(client, graph, {}, **{kind: each}) for each in figures))
        assert [origin["node"] for origin in found["origins"]] == ["e"]
        assert next(node for node in found["nodes"] if node["name"] == "e")["worst"] == [1]


# --- views --------------------------------------------------------------------------------------------------------


def test_views(client: FlaskClient) -> None:
    graph = graph_of(client)
    slip = compare(client, run_of(client, graph), recorded(client, graph, gradients=SLIP))
    path = f"/v1/comparisons/{slip['id']}"

    def shown(query: str) -> list[str]:
        document: Any = client.get(path + query).json
        assert {name: document[name] for name in document if name != "nodes"} == {
            name: slip[name] for name in slip if name != "nodes"
        }
        assert nodes(client.get(f"{path}/nodes{query}").json) == nodes(document)
        return [node["name"] for node in document["nodes"]]

    assert shown("") == [*"abcd", *"Ffedcba"]
    assert shown("?only=differences") == [*"fedcba"]
    assert shown("?only=origins") == ["f", "d"]
    assert shown("?only=origins&order=relative_error") == ["d", "f"]
    assert shown("?order=topological") == shown("")
    assert shown("?order=relative_error")[0] == "d"
    for query in ("?only=same", "?order=name", "?limit=3"):
        assert client.get(path + query).status_code == 422
    assert client.get(f"{path}/nodes?cursor=x").status_code == 422


def test_pages(client: FlaskClient) -> None:
    graph = graph_of(client)
    slip = compare(client, run_of(client, graph), recorded(client, graph, gradients=SLIP))
    query: str | None = f"/v1/comparisons/{slip['id']}/nodes?only=differences&order=relative_error&limit=4"
    pages = []
    while query:
        response = client.get(query)
        page: Any = response.json
        pages.append(page["nodes"])
        link = response.headers.get("Link")
        assert (link is None) == (page["next"] is None)
        query = link and link[1 : link.index(">")]
    assert [len(page) for page in pages] == [4, 2]
    whole: Any = client.get(f"/v1/comparisons/{slip['id']}?only=differences&order=relative_error").json
    assert pages[0] + pages[1] == whole["nodes"]


def test_lists_stop_at_a_page(make_app: MakeApp) -> None:
    client = make_app(page=3).test_client()
    graph = graph_of(client)
    found = compare(client, run_of(client, graph), recorded(client, graph, gradients=SLIP))
    assert len(found["inherited"]) == 3 and found["counts"]["inherited"] == 4
    assert [node["name"] for node in found["nodes"]] == ["a", "b", "c"]
    rest: Any = client.get(f"/v1/comparisons/{found['id']}/nodes?cursor={found['next']}").json
    assert [node["name"] for node in rest["nodes"]] == ["d", "F", "f"]


def test_lists_of_comparisons(make_app: MakeApp) -> None:
    client = make_app().test_client()
    graph = graph_of(client)
    runs = [run_of(client, graph) for _ in range(3)]
    made = [compare(client, *pair) for pair in ((runs[0], runs[1]), (runs[1], runs[2]), (runs[2], runs[0]))]

    def listed(query: str = "") -> list[str]:
        document: Any = client.get(f"/v1/comparisons{query}").json
        return [each["id"] for each in document["comparisons"]]

    ids = [each["id"] for each in made]
    assert listed() == ids[::-1]
    assert listed(f"?run={runs[0]}") == [ids[2], ids[0]]
    page: Any = client.get("/v1/comparisons?limit=2").json
    assert [each["id"] for each in page["comparisons"]] == ids[:0:-1]
    assert listed(f"?limit=2&cursor={page['next']}") == ids[:1]
    summary = page["comparisons"][0]
    assert {name: made[2][name] for name in summary} == summary
    assert "nodes" not in summary


# --- repeated requests, caches ------------------------------------------------------------------------------------


def test_repeated_requests_take_effect_once(make_app: MakeApp) -> None:
    client = make_app().test_client()
    graph = graph_of(client)
    run = run_of(client, graph)
    for path, body in (
        ("/v1/comparisons", {"baseline": run, "candidate": run}),
        (f"/v1/graphs/{graph}/checks", CHECK_REQUEST),
        (f"/v1/graphs/{graph}/runs", {"inputs": {}, "recorded": {"by": "x", "values": {"e": 6}}}),
    ):
        headers = {"Idempotency-Key": path}
        counted = [client.get("/v1/runs").json, client.get("/v1/comparisons").json]
        first = created(client, path, body, headers=headers)
        after = [client.get("/v1/runs").json, client.get("/v1/comparisons").json]
        assert after != counted
        assert created(client, path, body, headers=headers) == first
        assert [client.get("/v1/runs").json, client.get("/v1/comparisons").json] == after
        other = client.post(path, json={**body, "more": 1}, headers=headers)
        assert other.status_code == 422
        changed = client.post(
            path, json={**body, **({"tolerance": "exact"} if "runs" not in path else {"label": "l"})}, headers=headers
        )
        assert (changed.status_code, changed.json["type"]) == (422, "urn:gradbook:problem:idempotency-key-reused")


def test_a_comparison_does_not_change(client: FlaskClient) -> None:
    graph = graph_of(client)
    runs = [run_of(client, graph, backward=False) for _ in range(2)]
    made = compare(client, *runs)
    path = f"/v1/comparisons/{made['id']}"
    tag = client.get(path).headers["ETag"]
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
    for run in runs:
        assert client.post(f"/v1/runs/{run}/backward", json={}).status_code == 200
    again = client.get(path)
    assert (again.json, again.headers["ETag"]) == (made, tag)
    assert compare(client, *runs)["compared"] == {"values": 7, "gradients": 7}


# --- float32 ------------------------------------------------------------------------------------------------------


def test_a_float32_run_is_the_same_as_itself(client: FlaskClient) -> None:
    """Its replay overflows where the run overflowed, and not only beyond float64."""
    graph_nodes = [
        {"name": "x", "operation": "Input", "attributes": {"dtype": "float32"}},
        {"name": "y", "operation": "Mul", "inputs": ["x", "x"]},
    ]
    graph = created(client, "/v1/graphs", {"name": "overflow", "nodes": graph_nodes})["id"]
    run = created(client, f"/v1/graphs/{graph}/runs", {"inputs": {"x": 1e30}})
    assert (run["dtype"], run["outputs"]) == ("float32", {"y": "Infinity"})
    found = compare(client, run["id"], run["id"])
    assert found["verdict"] == "same"
    assert {node["verdict"] for node in found["nodes"]} <= {"same"}
    assert (found["counts"]["same"], found["compensated"]) == (4, [])
    figures = {"values": {"y": "Infinity"}, "gradients": {"x": run["gradients"]["x"]}}
    claimed = created(client, f"/v1/graphs/{graph}/checks", {"inputs": {"x": 1e30}, "claims": figures})
    assert claimed["compensated"] == []
    assert claimed["verdict"] == "same"


@pytest.mark.parametrize("inputs", [INPUTS, INPUTS | {"a": [5, 6]}])
def test_a_figure_recorded_as_none_is_missing_unless_it_is_0(client: FlaskClient, inputs: Any) -> None:
    graph = graph_of(client, SEED + "; unused = a * 2")
    ours = run_of(client, graph, inputs, output="F")
    right = client.get(f"/v1/runs/{ours}").json
    assert right is not None
    gradients = {node["name"]: node["gradient"] for node in right["nodes"] if node["name"] != "c"}
    # Our run gives 0 to what does not reach the output, PyTorch none.
    theirs = run_of(
        client,
        graph,
        inputs,
        recorded={"by": "a port", "gradients": {**gradients, "b": None, "unused": None}},
        output="F",
    )
    stored = {node["name"]: node["gradient"] for node in client.get(f"/v1/runs/{theirs}").json["nodes"]}
    assert stored["b"] is None and stored["unused"] is None and stored["c"] is None
    found = compare(client, ours, theirs)
    assert found["verdict"] == "same"
    # Of the forward phase it records nothing but the inputs.
    assert found["missing"] == [
        {"phase": "backward", "node": "c", "given": "absent"},
        {"phase": "backward", "node": "b", "given": "none"},
    ]
    assert nodes(found)["backward unused"]["candidate"] is None
    assert nodes(found)["backward unused"]["verdict"] == "same"
    assert client.get(f"/v1/comparisons/{found['id']}").json == found


def test_null_claims_that_there_is_no_figure(client: FlaskClient) -> None:
    graph = graph_of(client, SEED + "; unused = a * 2")
    for tolerance in ({}, {"tolerance": "float64"}):
        claims = {"values": {"e": None, "F": 4}, "gradients": {"F": 1, "f": "-1/3", "b": None, "unused": None}}
        body = {"inputs": INPUTS, "claims": claims, "output": "F", **tolerance}
        found = created(client, f"/v1/graphs/{graph}/checks", body)
        assert (found["verdict"], found["compared"]) == ("same", {"values": 5, "gradients": 3})
        assert {"phase": "forward", "node": "e", "given": "none"} in found["missing"]
        assert {"phase": "backward", "node": "b", "given": "none"} in found["missing"]
        assert nodes(found)["backward unused"]["verdict"] == "same"
        assert client.get(f"/v1/comparisons/{found['id']}").json == found
        assert (
            created(client, f"/v1/graphs/{graph}/checks", {**body, "keep": False}, 200)["missing"] == found["missing"]
        )
    problems = problem(client, f"/v1/graphs/{graph}/checks", {"inputs": INPUTS, "claims": {"values": {"e": [None]}}})
    assert [pointer for pointer, _ in problems] == ["/claims/values/e/0"]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_the_tolerance_left_out_is_the_coarser_dtypes(client: FlaskClient, dtype: str) -> None:
    graph = graph_of(client)
    theirs = recorded(client, graph, dtype=dtype, gradients={"f": -1 / 3})
    stored: Any = client.get(f"/v1/runs/{theirs}").json
    assert stored["dtype"] == dtype
    found = compare(client, run_of(client, graph), theirs)
    assert (found["tolerance"], found["verdict"]) == (dtype, "same")
    assert compare(client, theirs, theirs, tolerance="exact")["tolerance"] == "exact"


def test_a_tolerance_of_any_size_is_answered(client: FlaskClient, seed: dict[str, Any]) -> None:
    run = seed["run"]["id"]
    asked = {"baseline": run, "candidate": run, "tolerance": {"rtol": 10**30, "atol": 0}}
    made = client.post("/v1/comparisons", json=asked)
    assert made.status_code == 201 and made.json is not None and made.json["tolerance"] == {"rtol": 1e30, "atol": 0.0}
