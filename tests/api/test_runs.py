"""The contract of each route of runs."""

from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from service.core.execution import kernel

SEED_INPUTS = {"a": 5, "b": 1, "c": -2, "d": -3}
SEED_FIGURES = {  # value, gradient: of the design's section 2, not of the service
    "a": (5, 2 / 3),
    "b": (1, 2 / 3),
    "c": (-2, -2),
    "d": (-3, 4 / 3),
    "e": (6, 2 / 3),
    "f": (-12, -1 / 3),
    "F": (4, 1),
}
SEED_FORMS: dict[str, Any] = {
    "header": {"expression": "F(a, b, c, d) = ((a + b) * c) / d"},
    "statements": {"expression": "e = a + b; f = e * c; F = f / d"},
    "nodes": {
        "nodes": [
            {"name": "F", "operation": "÷", "inputs": ["f", "d"]},
            {"name": "f", "operation": "mul", "inputs": ["e", "c"]},
            {"name": "e", "operation": "Add", "inputs": ["a", "b"]},
            *({"name": name, "operation": "Input"} for name in "abcd"),
        ]
    },
}


def create(client: FlaskClient, expression: str, name: str = "g", **body: Any) -> str:
    """Build a graph; its id."""
    graph: Any = client.post("/v1/graphs", json={"name": name, "expression": expression, **body}).json
    return str(graph["id"])


def run(
    client: FlaskClient, graph: str, inputs: dict[str, Any], status: int = 201, query: str = "", **body: Any
) -> Any:
    """Run a graph; the answer."""
    response = client.post(f"/v1/graphs/{graph}/runs{query}", json={"inputs": inputs, **body})
    assert response.status_code == status, response.text
    return response.json


def by_name(document: Any) -> dict[str, Any]:
    """The nodes of a run by their names."""
    return {node["name"]: node for node in document["nodes"]}


@pytest.mark.parametrize("form", SEED_FORMS)
def test_the_seeds_fourteen_figures(client: FlaskClient, form: str) -> None:
    graph: Any = client.post("/v1/graphs", json={"name": form, **SEED_FORMS[form]}).json
    made = run(client, graph["id"], SEED_INPUTS, label="the seed", tags={"from": "the tutorial"})
    assert made == client.get(f"/v1/runs/{made['id']}").json
    renamed = {"add_1": "e", "mul_1": "f"} if form == "header" else {}
    nodes = {renamed.get(node["name"], node["name"]): node for node in made["nodes"]}
    assert sorted(nodes) == sorted(SEED_FIGURES)
    for name, (value, gradient) in SEED_FIGURES.items():
        assert nodes[name]["value"] == value
        assert nodes[name]["gradient"] == pytest.approx(gradient, rel=1e-15)
        assert "shape" not in nodes[name] and "nondifferentiable" not in nodes[name]
    rest = {
        "graph_id": graph["id"],
        "graph_name": graph["name"],
        "graph_version": graph["version"],
        "graph_digest": graph["digest"],
        "source": "computed",
        "inputs": SEED_INPUTS,
        "output": "F",
        "seed": 1.0,
        "outputs": {"F": 4.0},
        "gradients": {name: nodes[name]["gradient"] for name in "abcd"},
        "nonfinite": {"forward": None, "backward": None},
        "label": "the seed",
        "tags": {"from": "the tutorial"},
        "next": None,
    }
    assert {name: made[name] for name in rest} == rest


def test_a_run_that_is_not_kept(client: FlaskClient) -> None:
    graph = create(client, "; ".join(f"y{k} = x + {k}" for k in range(600)), outputs=["y599"])
    kept = run(client, graph, {"x": 1})
    passing = run(client, graph, {"x": 1}, 200, keep=False)
    assert (passing["id"], passing["next"]) == (None, None)
    assert len(passing["nodes"]) == 1201 and len(kept["nodes"]) == 1000 and kept["next"]
    assert passing["nodes"][:1000] == kept["nodes"]
    listed: Any = client.get(f"/v1/runs?graph={graph}").json
    assert [found["id"] for found in listed["runs"]] == [kept["id"]]
    wide = run(client, create(client, "y = x * 2"), {"x": [1.0] * 10_001}, 200, keep=False, seed=[0.5] * 10_001)
    assert by_name(wide)["y"]["value"] == [2.0] * 10_001 and wide["gradients"]["x"] == [1.0] * 10_001


def test_only_the_gradients_of_the_inputs(client: FlaskClient) -> None:
    graph = create(client, "F = a * b")
    for body in ({}, {"keep": False}):
        made = run(client, graph, {"a": 2, "b": 3}, 201 if not body else 200, "?gradients=inputs", **body)
        assert "nodes" not in made and "next" not in made
        assert (made["outputs"], made["gradients"]) == ({"F": 6.0}, {"a": 3.0, "b": 2.0})
        if made["id"]:
            assert client.get(f"/v1/runs/{made['id']}?gradients=inputs").json == made
            assert by_name(client.get(f"/v1/runs/{made['id']}").json)["F"]["value"] == 6.0
    wide = run(client, graph, {"a": [2.0] * 10_001, "b": 3}, query="?gradients=inputs")
    assert wide["gradients"]["a"] == [3.0] * 10_001
    problem: Any = client.get(f"/v1/runs/{wide['id']}?gradients=all").json
    assert problem["status"] == 422 and problem["errors"][0]["parameter"] == "gradients"


def test_backward_later(client: FlaskClient) -> None:
    graph = create(client, "F = a * b")
    made = run(client, graph, {"a": 2, "b": 3}, backward=False)
    assert made["gradients"] is None and made["seed"] is None
    assert all(node["gradient"] is None for node in made["nodes"])
    path = f"/v1/runs/{made['id']}"
    before = client.get(path).headers["ETag"]
    response = client.post(f"{path}/backward", json={"seed": 10})
    after: Any = response.json
    assert response.status_code == 200 and after["id"] == made["id"] and after["seed"] == 10.0
    assert after["gradients"] == {"a": 30.0, "b": 20.0}
    read = client.get(path)
    assert read.json == after and read.headers["ETag"] == response.headers["ETag"] != before
    assert client.get(path, headers={"If-None-Match": before}).status_code == 200
    for again in (client.post(f"{path}/backward"), client.post(f"{path}/backward", json={"output": "none"})):
        assert again.status_code == 409
    assert client.get(path).json == after


def test_a_baseline_keeps_its_figures_and_has_a_new_etag(client: FlaskClient) -> None:
    graph = create(client, "F = a * b", name="a baseline")
    before, after = run(client, graph, {"a": 2, "b": 3}, label="main"), run(client, graph, {"a": 4, "b": 3})
    seen = client.get(f"/v1/runs/{before['id']}").headers["ETag"]
    given: Any = client.post(f"/v1/runs/{after['id']}/baseline").json
    assert after | given == after | {"label": "main"} and "nodes" not in given
    again: Any = client.get(f"/v1/runs/{before['id']}", headers={"If-None-Match": seen})
    assert (again.status_code, again.json) == (200, before | {"label": None})
    named: Any = client.post(f"/v1/runs/{before['id']}/baseline", json={"label": "v1.2"})
    assert (named.status_code, named.json["label"]) == (200, "v1.2")
    for body, pointer in (({"label": ""}, "/label"), ({"name": "main"}, "/name")):
        refused: Any = client.post(f"/v1/runs/{before['id']}/baseline", json=body)
        assert (refused.status_code, refused.json["errors"][0]["pointer"]) == (422, pointer)
    assert client.post("/v1/runs/x/baseline").status_code == 404


def test_backward_needs_no_body(client: FlaskClient) -> None:
    made = run(client, create(client, "F = a * b"), {"a": 2, "b": 3}, backward=False)
    assert client.post(f"/v1/runs/{made['id']}/backward").json == client.get(f"/v1/runs/{made['id']}").json


def test_output_and_seed(client: FlaskClient) -> None:
    graph = create(client, "s = a + b; p = s * s; F = p * c")
    made = run(client, graph, {"a": 1, "b": 2, "c": 5}, output="p", seed=-0.5)
    assert (made["output"], made["seed"], made["outputs"]) == ("p", -0.5, {"F": 45.0})
    gradients = {name: node["gradient"] for name, node in by_name(made).items()}
    assert gradients == {"a": -3.0, "b": -3.0, "c": 0.0, "s": -3.0, "p": -0.5, "F": 0.0}
    at_input = run(client, graph, {"a": 1, "b": 2, "c": 5}, output="a")
    assert at_input["gradients"] == {"a": 1.0, "b": 0.0, "c": 0.0}
    problem = run(client, graph, {"a": 1, "b": 2, "c": 5}, 422, output="q")
    assert problem["errors"] == [{"pointer": "/output", "detail": "the graph has no node 'q'"}]


@pytest.mark.parametrize(
    ("seed", "shown", "gradient"),
    [
        (2, 2.0, [2.0, 4.0]),
        ([1, -1], [1.0, -1.0], [1.0, -2.0]),
        (-0.0, -0.0, [-0.0, -0.0]),
        ([0.0, -0.0], [0.0, -0.0], [0.0, -0.0]),
        ("NaN", "NaN", ["NaN", "NaN"]),
        (["NaN", 1], ["NaN", 1.0], ["NaN", 2.0]),
        ("-Infinity", "-Infinity", ["-Infinity", "-Infinity"]),
    ],
)
def test_a_scalar_seed_spreads_and_an_array_has_the_outputs_shape(
    client: FlaskClient, seed: Any, shown: Any, gradient: Any
) -> None:
    graph = create(client, "F = x * y")
    made = run(client, graph, {"x": [5, 6], "y": [1, 2]}, seed=seed)
    assert (repr(made["seed"]), repr(made["gradients"]["x"])) == (repr(shown), repr(gradient))
    assert client.get(f"/v1/runs/{made['id']}").json == made


def test_a_seed_of_another_shape(client: FlaskClient) -> None:
    problem = run(client, create(client, "F = x * 2"), {"x": [5, 6]}, 422, seed=[1, 2, 3])
    assert problem["errors"] == [{"pointer": "/seed", "detail": "the seed has shape [3]; the output has [2]"}]


def test_several_outputs_need_a_name_unless_there_is_no_backward_pass(client: FlaskClient) -> None:
    graph = create(client, "F = a + b; G = a * b")
    problem = run(client, graph, {"a": 1, "b": 2}, 422)
    assert problem["errors"][0]["pointer"] == "/output"
    assert "'F', 'G'" in problem["detail"]
    assert client.get(f"/v1/runs?graph={graph}").json["runs"] == []
    made = run(client, graph, {"a": 1, "b": 2}, backward=False)
    assert (made["output"], made["outputs"]) == (None, {"F": 3.0, "G": 2.0})
    assert client.post(f"/v1/runs/{made['id']}/backward").status_code == 422
    later: Any = client.post(f"/v1/runs/{made['id']}/backward", json={"output": "G"}).json
    assert (later["output"], later["gradients"]) == ("G", {"a": 2.0, "b": 1.0})


def test_missing_and_extra_inputs_are_all_named(client: FlaskClient) -> None:
    problem = run(client, create(client, "F(a, b, c) = a + b + c"), {"b": 1, "x/y": 2, "z": 3}, 422)
    assert problem["type"].endswith(":invalid-inputs")
    assert [(fault["pointer"], fault["detail"]) for fault in problem["errors"]] == [
        ("/inputs", "the input 'a' is missing"),
        ("/inputs", "the input 'c' is missing"),
        ("/inputs/x~1y", "the graph has no input 'x/y'"),
        ("/inputs/z", "the graph has no input 'z'"),
    ]


def test_shapes_that_do_not_fit_name_the_node(client: FlaskClient) -> None:
    problem = run(client, create(client, "y = a * 2; F = y + b"), {"a": [1, 2], "b": [1, 2, 3]}, 422)
    assert "'F' (Add) cannot take shapes [2], [3]" in problem["detail"]


def test_a_batch_of_points(client: FlaskClient) -> None:
    graph = create(client, "e = a + b; f = e * c; F = f / d", "batch")
    points = {"a": [5, 1, 0.5], "b": 1, "c": [-2, 3, 7], "d": -3}
    batch = run(client, graph, points)
    singles = [
        run(client, graph, {name: figure[k] if isinstance(figure, list) else figure for name, figure in points.items()})
        for k in range(3)
    ]
    for name, node in by_name(batch).items():
        alone = [by_name(single)[name] for single in singles]
        if name in ("b", "d"):
            assert "shape" not in node
            assert node["gradient"] == pytest.approx(sum(point["gradient"] for point in alone), rel=1e-14)
        else:
            assert node["shape"] == [3]
            assert node["value"] == [point["value"] for point in alone]
            assert node["gradient"] == [point["gradient"] for point in alone]
    assert by_name(batch)["a"]["gradient"][0] == pytest.approx(2 / 3)


def test_two_axes_broadcast_as_in_numpy(client: FlaskClient) -> None:
    made = run(client, create(client, "F = x * y"), {"x": [[1], [2]], "y": [10, 20, 30]})
    nodes = by_name(made)
    assert nodes["F"]["shape"] == [2, 3] and nodes["F"]["value"] == [[10, 20, 30], [20, 40, 60]]
    assert nodes["x"]["shape"] == [2, 1] and nodes["x"]["gradient"] == [[60], [60]]
    assert nodes["y"]["shape"] == [3] and nodes["y"]["gradient"] == [3, 3, 3]


def test_an_empty_batch(client: FlaskClient) -> None:
    made = run(client, create(client, "F = x * y"), {"x": [], "y": 2})
    assert (made["outputs"], made["gradients"]) == ({"F": []}, {"x": [], "y": 0.0})
    assert by_name(made)["F"]["shape"] == [0]


def test_a_large_tensor_is_null_in_lists_and_whole_by_itself(client: FlaskClient) -> None:
    graph = create(client, "y = x * 2; F = y + b", "large")
    for size, hidden in ((10_000, False), (10_001, True)):
        x = [k / 8 for k in range(size)]
        made = run(client, graph, {"x": x, "b": 1})
        for answer in (made, client.get(f"/v1/runs/{made['id']}").json):
            node = by_name(answer)["y"]
            assert node["shape"] == [size] and (node["value"] is None) == (node["gradient"] is None) == hidden
            assert (answer["inputs"]["x"] is None) == (answer["outputs"]["F"] is None) == hidden
            assert (answer["gradients"]["x"] is None) == hidden and answer["gradients"]["b"] == size
        whole: Any = client.get(f"/v1/runs/{made['id']}/nodes/y").json
        assert whole["value"] == [2 * item for item in x] and whole["gradient"] == [1.0] * size
        page: Any = client.get(f"/v1/runs/{made['id']}/nodes").json
        assert (by_name(page)["y"]["value"] is None) == hidden


NAMES = [
    "/block/MatMul_out:0",
    "//",
    "/",
    "layer1.0.weight",
    "a%b",
    "%2F",
    "100%",
    "a/",
    "a//b",
    "a/../b",
    ".",
    "..",
    "?",
    "#",
    "a b",
    " ",
    "+",
    "&=;,@",
    "a\\b",
    '"',
    "é ü",
    "∂F/∂x",
    "日本",
    "😀",
    "nodes",
    "x" * 256,
]


def test_any_name_in_a_path(client: FlaskClient) -> None:
    nodes = [{"name": name, "operation": "Input"} for name in NAMES]
    document = {"name": "names", "nodes": [*nodes, {"name": "s", "operation": "Sum", "inputs": NAMES}]}
    graph: Any = client.post("/v1/graphs", json=document).json
    made = run(client, graph["id"], {name: position for position, name in enumerate(NAMES)})
    for position, name in enumerate(NAMES):
        node: Any = client.get(f"/v1/runs/{made['id']}/nodes/{quote(name, safe='')}").json
        assert (node["name"], node["value"], node["gradient"]) == (name, position, 1.0)
    assert client.get(f"/v1/runs/{made['id']}/nodes/absent").status_code == 404
    again: Any = client.post("/v1/graphs", json={"name": "names", "expression": graph["expression"]}).json
    assert again["id"] == graph["id"]


def test_the_first_nonfinite_figures_are_named(client: FlaskClient) -> None:
    graph = create(client, "y = log(x); z = y * w; F = z + 1", "nonfinite")
    made = run(client, graph, {"x": 0, "w": 2})
    both = {"forward": "y", "backward": "w"}
    infinities = {"infinity": both, "nan": {"forward": None, "backward": None}}
    assert made["nonfinite"] == both | infinities
    assert made["outputs"] == {"F": "-Infinity"} and made["gradients"] == {"x": "Infinity", "w": "-Infinity"}
    assert run(client, graph, {"x": -1, "w": "NaN"})["nonfinite"] == {
        **{"forward": "w", "backward": "y"},
        "infinity": {"forward": None, "backward": None},
        "nan": {"forward": "w", "backward": "y"},
    }
    assert run(client, graph, {"x": 1, "w": 2})["nonfinite"] == {"forward": None, "backward": None}
    forward = run(client, graph, {"x": 0, "w": 2}, backward=False)
    alone = {"forward": "y", "backward": None}
    assert forward["nonfinite"] == alone | {"infinity": alone, "nan": {"forward": None, "backward": None}}
    later: Any = client.post(f"/v1/runs/{forward['id']}/backward").json
    assert later["nonfinite"] == both | infinities
    assert client.get(f"/v1/runs/{forward['id']}").json == later


def test_where_no_derivative_exists_the_node_is_marked(client: FlaskClient) -> None:
    graph = create(client, "r = relu(x); m = max(x, y); F = r + m", "kinks")
    made = run(client, graph, {"x": 0, "y": 0})
    marked = [node["name"] for node in made["nodes"] if node.get("nondifferentiable")]
    assert marked == ["r", "m"] and made["gradients"] == {"x": 0.5, "y": 0.5}
    assert all(node.get("nondifferentiable") in (None, True) for node in made["nodes"])
    assert client.get(f"/v1/runs/{made['id']}/nodes/m").json["nondifferentiable"] is True
    page: Any = client.get(f"/v1/runs/{made['id']}/nodes?limit=4").json
    assert [node.get("nondifferentiable") for node in page["nodes"]] == [None, None, True, True]
    smooth = run(client, graph, {"x": [1, 2], "y": 0})
    assert not any("nondifferentiable" in node for node in smooth["nodes"])
    assert by_name(run(client, graph, {"x": [1, 0], "y": -1}))["r"]["nondifferentiable"] is True


def test_one_sided_derivatives_stand_at_a_node_without_a_derivative(client: FlaskClient) -> None:
    graph = create(client, "r = relu(x); s = sqrt(x); m = max(x, y); F = r + s + m", "one-sided")
    made = run(client, graph, {"x": 0, "y": 0})
    nodes = by_name(made)
    assert nodes["r"]["one_sided"] == [{"operand": "x", "left": 0, "right": 1}]
    assert nodes["s"]["one_sided"] == [{"operand": "x", "left": "NaN", "right": "Infinity"}]
    assert [slope["operand"] for slope in nodes["m"]["one_sided"]] == ["x", "y"]
    assert "one_sided" not in nodes["F"]
    assert client.get(f"/v1/runs/{made['id']}/nodes/s").json == nodes["s"]
    first: Any = client.get(f"/v1/runs/{made['id']}/nodes?limit=3").json
    rest: Any = client.get(f"/v1/runs/{made['id']}/nodes?limit=3&cursor={first['next']}").json
    assert [*first["nodes"], *rest["nodes"]] == made["nodes"][:6]
    batch = by_name(run(client, graph, {"x": [0, 2], "y": 9}))["r"]
    assert batch["one_sided"] == [{"operand": "x", "left": [0, 1], "right": [1, 1]}]
    given = run(client, graph, {"x": 0, "y": 0}, recorded={"by": "a port", "values": {"r": 0}})
    assert by_name(given)["r"]["one_sided"] == nodes["r"]["one_sided"]


def test_closed_operands_stand_at_a_node(client: FlaskClient) -> None:
    graph = create(client, "r = relu(x); m = max(x, y); F = sqrt(r) + m", "closed")
    made = run(client, graph, {"x": -1, "y": 2})
    nodes = by_name(made)
    assert nodes["r"]["closed"] == nodes["m"]["closed"] == ["x"] and made["gradients"]["x"] == 0
    assert [name for name, node in nodes.items() if "closed" in node] == ["r", "m"]
    assert client.get(f"/v1/runs/{made['id']}/nodes/m").json == nodes["m"]
    first: Any = client.get(f"/v1/runs/{made['id']}/nodes?limit=3").json
    rest: Any = client.get(f"/v1/runs/{made['id']}/nodes?limit=3&cursor={first['next']}").json
    assert [*first["nodes"], *rest["nodes"]] == made["nodes"]
    assert not any("closed" in node for node in run(client, graph, {"x": 3, "y": 2}, backward=False)["nodes"][:3])
    batch = by_name(run(client, graph, {"x": [-1, 3], "y": [2, 9]}))
    assert "closed" not in batch["r"] and batch["m"]["closed"] == ["x"]


def test_a_run_may_return_another_librarys_choice_and_says_so(client: FlaskClient) -> None:
    graph = create(client, "y = w * x; k = abs(y); F = exp(k)", "another library")
    ours = run(client, graph, {"w": 0, "x": 3})
    theirs = run(client, graph, {"w": 0, "x": 3}, conventions="jax")
    assert (ours["conventions"], ours["gradients"]) == ("minimum-norm", {"w": 0, "x": 0})
    assert (theirs["conventions"], theirs["gradients"]) == ("jax", {"w": 3, "x": 0})
    assert client.get(f"/v1/runs/{theirs['id']}").json == theirs
    forward = run(client, graph, {"w": 0, "x": 3}, backward=False)
    later: Any = client.post(f"/v1/runs/{forward['id']}/backward", json={"conventions": "jax"}).json
    assert (later["conventions"], later["gradients"]) == ("jax", theirs["gradients"])
    assert client.get(f"/v1/runs/{forward['id']}").json == later
    begun = run(client, graph, {"w": 0, "x": 3}, backward=False, conventions="jax")
    assert client.post(f"/v1/runs/{begun['id']}/backward").json["gradients"] == theirs["gradients"]
    wrong = run(client, graph, {"w": 0, "x": 3}, 422, conventions="mxnet")
    assert wrong["errors"][0]["pointer"] == "/conventions"
    recorded = run(client, graph, {"w": 0, "x": 3}, 422, conventions="jax", recorded={"by": "a port"})
    assert recorded["errors"][0]["pointer"] == "/conventions"


def test_a_constant_has_no_gradient_and_an_unused_input_zero(client: FlaskClient) -> None:
    nodes = [
        {"name": "x", "operation": "Input"},
        {"name": "unused", "operation": "Input"},
        {"name": "two", "operation": "Constant", "attributes": {"value": 2}},
        {"name": "F", "operation": "Mul", "inputs": ["x", "two"]},
    ]
    graph: Any = client.post("/v1/graphs", json={"name": "constant", "nodes": nodes}).json
    assert graph["nodes"][2] == {"name": "two", "operation": "Constant", "inputs": [], "attributes": {"value": 2.0}}
    made = run(client, graph["id"], {"x": 3, "unused": [1, 2]})
    figures = {name: (node["value"], node["gradient"]) for name, node in by_name(made).items()}
    assert figures == {"x": (3.0, 2.0), "unused": ([1.0, 2.0], [0.0, 0.0]), "two": (2.0, None), "F": (6.0, 1.0)}


def test_runs_are_listed_by_graph_label_and_tag(client: FlaskClient) -> None:
    graphs = [create(client, text, "listed") for text in ("F = p + 1", "F = p + 2")]
    made = [
        run(client, graphs[0], {"p": 0}, label="nightly", tags={"team": "red", "x": "a:b", "http://y": "z:"}),
        run(client, graphs[0], {"p": [1, 2]}, label="nightly", backward=False),
        run(client, graphs[1], {"p": 2}, tags={"team": "red"}),
    ]
    summaries = [{key: made_run[key] for key in made_run if key not in ("nodes", "next")} for made_run in made]

    def listed(**query: str) -> list[int]:
        page: Any = client.get("/v1/runs", query_string=query).json
        return [summaries.index(found) for found in page["runs"] if found["graph_id"] in graphs]

    assert listed() == [2, 1, 0]
    assert listed(graph=graphs[0]) == [1, 0]
    assert listed(label="nightly") == [1, 0]
    assert listed(tag="team:red") == [2, 0]
    assert listed(tag="team:red", graph=graphs[1]) == [2]
    assert listed(tag="x:a:b") == listed(tag="http://y:z:") == [0]
    assert listed(tag="x:a") == listed(tag="http://y") == listed(tag=":" * 1000) == []
    assert listed(recorded_by="somebody") == listed(label="none") == []


def test_the_pages_of_a_large_run_make_no_nodes_but_their_own(client: FlaskClient) -> None:
    """With closed edges, whose operands are named; to make all nodes takes a second for a million."""
    kernel.warm()
    later = [{"name": f"y{k}", "operation": "Relu", "inputs": [f"y{k - 1}"]} for k in range(1, 3000)]
    body = {"name": "chain", "nodes": [{"name": "y0", "operation": "Input"}, *later]}
    made: Any = client.post("/v1/graphs", json=body).json
    run: Any = client.post(f"/v1/graphs/{made['id']}/runs", json={"inputs": {"y0": -1.0}}).json
    assert run["nodes"][1]["closed"] == ["y0"]
    for _ in range(3):
        assert client.get(f"/v1/graphs/{made['id']}").status_code == 200
        client.post(f"/v1/graphs/{made['id']}/runs", json={"inputs": {"y0": -1.0}})
    graph = client.application.extensions["gradbook"].compact_graph(made["digest"])
    assert graph.is_compact
