"""Stored graphs as nodes of other graphs."""

import json
import re
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from service.client import Client
from tests.api.test_graphs import HEADER, SEED_NODES, STATEMENTS, create, edges
from tests.cli.command import gradbook

INPUTS = [{"name": name, "operation": "Input"} for name in "xyzw"]
EXPANDED = [
    ("h1/e", "Add", "x", "y"),
    ("h1/f", "Mul", "h1/e", "z"),
    ("h1", "Div", "h1/f", "w"),
    ("g", "Tanh", "h1"),
]


@pytest.fixture
def client(make_app: Any) -> FlaskClient:
    """A client of an application with a database of its own, in which every name is free."""
    made: FlaskClient = make_app().test_client()
    return made


def use(name: str, operation: str, *inputs: str, **more: Any) -> dict[str, Any]:
    """A node document."""
    return {"name": name, "operation": operation, "inputs": list(inputs), **more}


def refused(client: FlaskClient, **body: Any) -> dict[str, str]:
    """The faults of a graph that is refused, by their places."""
    response = client.post("/v1/graphs", json={"name": "refused", **body})
    assert response.status_code == 422, response.text
    assert response.json is not None
    return {fault["pointer"]: fault["detail"] for fault in response.json["errors"]}


def test_a_stored_graph_is_a_node(client: FlaskClient) -> None:
    blog = create(client, "blog", expression=STATEMENTS)
    nodes = [*INPUTS, use("h1", "blog@1", *"xyzw"), use("g", "Tanh", "h1")]
    made = create(client, "by nodes", nodes=nodes)
    assert edges(made)[4:] == EXPANDED
    assert made["parts"] == [{"name": "h1", "operation": "blog@1", "graph": blog["digest"]}]
    assert [node.get("part_of") for node in made["nodes"]] == [None] * 4 + ["h1"] * 3 + [None]
    assert client.get(f"/v1/graphs/{made['id']}").json == made
    assert client.get(f"/v1/graphs/{made['id']}/nodes").json["nodes"] == made["nodes"]  # type: ignore[index]
    for number, text in enumerate(
        [
            "h1 = blog(x, y, z, w); g = tanh(h1)",
            "g = tanh(h1); h1 = blog@1(x, y, z, w)",
            "h1 = `blog@1`(x, y, z, w); g = tanh(h1)",
            f"h1 = `{blog['id']}`(x, y, z, w); g = tanh(h1)",
            "h1 = blog(x, y, z, w).F; g = tanh(h1)",
        ]
    ):
        again = create(client, f"by text {number}", expression=text)
        assert again["digest"] == made["digest"], text
    plain = create(client, "by plain nodes", nodes=made["nodes"])
    assert plain["digest"] == made["digest"] and "parts" not in plain
    kept = create(client, "by nodes", 200, nodes=made["nodes"])
    assert kept == made  # equal content is that version, with its parts


def test_nothing_breaks_when_the_graph_that_was_used_is_deleted(client: FlaskClient) -> None:
    blog = create(client, "blog", expression=STATEMENTS)
    made = create(client, "user", expression="h1 = blog(x, y, z, w); h2 = blog(h1, h1, z, w)")
    assert client.delete(f"/v1/graphs/{blog['id']}").status_code == 204
    assert client.get(f"/v1/graphs/{made['id']}").json == made
    run = client.post(f"/v1/graphs/{made['id']}/runs", json={"inputs": {"x": 5, "y": 1, "z": -2, "w": -3}}).json
    assert run is not None and run["outputs"] == {"h2": 4 * 2 * -2 / -3}
    assert refused(client, expression="blog(x, y, z, w)") == {
        "/expression": 'line 1, column 1: there is no operation "blog"; near it are log, log2, xlogy'
    }


def test_the_newest_version_unless_another_is_named_and_an_operation_before_a_graph(client: FlaskClient) -> None:
    create(client, "f", expression="y = x + 1")
    create(client, "f", expression="y = x * 2")
    create(client, "f@1", expression="y = x ^ 3")  # a whole name comes before name@version
    create(client, "add", expression="y = -x")
    texts = {"z = f(x)": "Mul", "z = f@2(x)": "Mul", "z = f@1(x)": "Pow", "z = `add`(x)": "Neg", "z = add(x, x)": "Add"}
    for number, (text, operation) in enumerate(texts.items()):
        assert edges(create(client, f"user {number}", expression=text))[-1][:2] == ("z", operation), text
    assert edges(create(client, "user", nodes=[INPUTS[0], use("z", "add@1", "x")]))[-1][:2] == ("z", "Neg")


def test_one_of_several_outputs_takes_the_name_and_brings_what_it_needs(client: FlaskClient) -> None:
    create(client, "pair", expression="s = a + b; p = s * 2; q = s * b", outputs=["p", "q", "a"])
    made = create(client, "p", expression="u = pair(x, y).p; v = pair(x, u).q + pair(y, x).a")
    assert edges(made)[2:] == [
        ("u/s", "Add", "x", "y"),
        ("u/constant_1", "Constant"),
        ("u", "Mul", "u/s", "u/constant_1"),
        ("pair_1/s", "Add", "x", "u"),
        ("pair_1", "Mul", "pair_1/s", "u"),
        ("pair_2", "Identity", "y"),
        ("v", "Add", "pair_1", "pair_2"),
    ]
    assert [part["name"] for part in made["parts"]] == ["u", "pair_1", "pair_2"]
    by_node = create(client, "q", nodes=[*INPUTS[:2], use("v", "pair", "x", "y", attributes={"output": "q"})])
    assert edges(by_node)[-1] == ("v", "Mul", "v/s", "y")
    assert refused(client, nodes=[*INPUTS[:2], use("v", "pair", "x", "y", attributes={"output": "r"})]) == {
        "/nodes/2/attributes/output": "one of 'p', 'q', 'a' is expected"
    }
    missing = refused(client, nodes=[*INPUTS[:2], use("v", "pair", "x", "y")])
    assert missing == {"/nodes/2/attributes": "pair needs the attribute 'output'; its form is pair(a, b, output)"}


def test_parts_of_parts_and_nodes_added_later(client: FlaskClient) -> None:
    create(client, "inner", expression="t = x + 1; y = t * t")
    create(client, "outer", expression="m = inner(x); y = m + x")
    made = create(client, "user", expression="h = outer(x)")
    assert [(part["name"], part["operation"]) for part in made["parts"]] == [("h", "outer"), ("h/m", "inner")]
    found = {node["name"]: node.get("part_of") for node in made["nodes"]}
    assert found == {
        **{"x": None, "h/m/constant_1": "h/m", "h/m/t": "h/m"},
        **{"h/m": "h/m", "h": "h"},
    }
    more = client.post(f"/v1/graphs/{made['id']}/nodes", json={"nodes": [use("k", "inner", "h")]}).json
    assert more is not None and [part["name"] for part in more["parts"]] == ["h", "h/m", "k"]
    clash = client.post(f"/v1/graphs/{made['id']}/nodes", json={"nodes": [use("h/n", "inner", "h")]}).json
    assert clash is not None and clash["errors"][0]["pointer"] == "/nodes/0/name"


def test_every_fault_has_its_place(client: FlaskClient) -> None:
    create(client, "blog", expression=HEADER)
    long = "n" * 252
    faults = refused(
        client,
        nodes=[
            *INPUTS,
            use("h", "blog", "x", "y", "z"),
            use("h1", "blog", *"xyzw", attributes={"alpha": 1}),
            use("h2/own", "Tanh", "x"),
            use("h2", "blog", "x", "y", "z", "v"),
            use(long, "blog", *"xyzw"),
            use("h2/in", "blog", *"xyzw"),
            use("h2", "blog@7", *"xyzw"),
        ],
    )
    assert faults == {
        "/nodes/4/inputs": "blog takes 4 inputs; 3 given; its form is blog(a, b, c, d, output='F')",
        "/nodes/5/attributes/alpha": "blog has no attribute 'alpha'; its form is blog(a, b, c, d, output='F')",
        "/nodes/6/name": "names that begin with 'h2/' are those of the part 'h2'; 'h2/own' is one",
        "/nodes/7/inputs/3": "'h2' reads 'v', which is not a node",
        "/nodes/8/name": f"a node of {long!r} would be named '{'n' * 40}…', of 258 characters; at most 256 are allowed",
        "/nodes/9/name": "names that begin with 'h2/' are those of the part 'h2'; 'h2/in' is one",
        "/nodes/10/operation": "there is no operation 'blog@7'; near it are Log, Log2",
        "/nodes/10/name": "the name 'h2' is already used by node 7",
    }
    for odd in ("a\0b", "x" * 1000, "blog@99999999999999999999", "blog@²", "\ud800"):
        body = json.dumps({"name": "odd", "nodes": [use("h", odd)]})
        assert client.post("/v1/graphs", data=body, content_type="application/json").status_code in (400, 422), odd
    cycle = refused(client, nodes=[*INPUTS, use("h", "blog", "g", *"yzw"), use("g", "Tanh", "h")])
    assert set(cycle) == {"/nodes/4", "/nodes/5"}


def test_a_fault_in_a_text_has_line_and_column(client: FlaskClient) -> None:
    create(client, "blog", expression=STATEMENTS)
    for text, column, detail in [
        ("x + blog(x, y)", 5, "blog takes 4 inputs; 2 given; it is written blog(a, b, c, d, output='F')"),
        ("blog(x, y, z, w).G", 17, "one of 'F' is expected"),
        ("blog@3(x)", 1, 'there is no graph "blog@3"'),
        ("`blog@3`(x)", 1, '"`blog@3`" names a node, and only an operation can be called'),
        ("sin(x).F", 7, "Sin has no attribute 'output'"),
        ("(x + y).F", 8, "a dot stands only within a number and in .T"),
        ("blog(x, y, z, w).sum()", 17, "a method is written as a function: sum("),
        ("h = blog(x, y, z, w); `h/e` = x", 5, "names that begin with 'h/' are those of the part 'h'"),
    ]:
        (found,) = refused(client, expression=text).values()
        assert found.startswith(f"line 1, column {column}: {detail}"), text


def test_graphs_that_use_the_last_one_twice_end_at_the_limit_of_nodes(make_app: Any) -> None:
    client = make_app(nodes=1000).test_client()
    create(client, "g0", expression="y = x + 1")
    for number in range(1, 9):
        create(client, f"g{number}", expression=f"y = g{number - 1}(g{number - 1}(x))")
    answer = client.post("/v1/graphs", json={"name": "g9", "expression": "y = g8(g8(x))"})
    assert answer.status_code == 422 and answer.json["type"].endswith("limit-exceeded")
    assert (answer.json["limit"], answer.json["maximum"], answer.json["estimate"]) == ("nodes", 1000, 1025)


def test_a_graph_is_a_node_over_a_real_service(service_url: str) -> None:
    with Client(service_url) as service:
        service.create_graph("parts blog", expression=STATEMENTS)
        made = service.create_graph("parts user", expression="h = `parts blog`(x, x, z, w); L = h * h")
        run = service.create_run(made, {"x": 3, "z": -2, "w": -3})
        assert made.parts == {"h": "parts blog"} and made.nodes[-2].part_of == "h" and made.nodes[-1].part_of is None
    text = "k = `parts user`(x, z, w)"
    assert "parts user" in gradbook(service_url, "graph", "create", "parts of parts", text, expect=0)
    shown = gradbook(service_url, "graph", "show", "parts of parts", expect=0)
    assert "part of" in shown and "k/h, parts blog" in shown, shown
    assert run.values["L"] == 16.0 and run.gradients["x"] == 2 * 4 * 2 * (-2 / -3)
    assert run.gradients["h/f"] == 8 / -3
    assert [node["operation"] for node in SEED_NODES][4:] == ["Add", "Mul", "Div"]


def test_a_part_is_drawn_as_one_node_until_it_is_opened(client: FlaskClient) -> None:
    create(client, "blog", expression=STATEMENTS)
    create(client, "outer", expression="u = blog(x, y, z, w); v = u * x")
    made = create(client, "drawn", expression="h1 = outer(x, y, z, w); g = tanh(h1)")
    page, picture = f"/graphs/{made['id']}", f"/v1/graphs/{made['id']}/picture"
    client.post(f"/v1/graphs/{made['id']}/runs", json={"inputs": {"x": 5, "y": 1, "z": -2, "w": -3}})
    for query, names in {
        "": {"h1", "g"},
        "?open=h1": {"h1", "h1/u", "g"},
        "?open=h1&open=h1/u": {"h1", "h1/u", "h1/u/e", "h1/u/f", "g"},
        "?open=h1/u": {"h1", "g"},  # what lies in a closed part is closed
    }.items():
        for text in (client.get(picture + query).text, client.get(page + query).text):
            drawn = set(re.findall(r'data-node="([^"]*)"', text))
            assert drawn - set("xyzw") == names, query
    assert '<a href="?open=h1#parts">open<' in client.get(page).text
    assert "outer" in client.get(picture).text and "blog" in client.get(f"{picture}?open=h1").text
    assert '<a href="?open=h1&amp;open=h1%2Fu#parts">open<' in client.get(f"{page}?open=h1").text


def test_weights_that_are_left_out_come_with_the_graph_that_is_used(service_url: str) -> None:
    with Client(service_url) as service:
        weight, bias = np.array([2.0, 3.0]), np.array([10.0, 20.0])
        digests = {"w": service.put_tensor(weight), "b": service.put_tensor(bias)}
        service.create_graph("weighted layer", expression="F(x, w, b) = x * w + b", weights=digests)
        made = service.create_graph("two layers", expression="h = `weighted layer`(x); g = `weighted layer`(h, v)")
        assert made.inputs == ("x", "v", "h/w", "h/b", "g/b")
        run = service.create_run(made, {"x": 1.0, "v": 5.0})
        np.testing.assert_array_equal(run.values["g"], (weight + bias) * 5 + bias)
        more = service.add_nodes(made, [use("k", "weighted layer", "g")])
        run = service.create_run(more, {"x": 1.0, "v": 5.0})
        np.testing.assert_array_equal(run.values["k"], ((weight + bias) * 5 + bias) * weight + bias)
