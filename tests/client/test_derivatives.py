"""Derivatives through the client, over real HTTP."""

from collections.abc import Iterator

import numpy as np
import pytest

from service.client import Client, Problem


@pytest.fixture
def gradbook(service_url: str) -> Iterator[Client]:
    with Client(service_url) as client:
        yield client


def test_derivatives_are_typed_and_read_again(gradbook: Client) -> None:
    graph = gradbook.create_graph("derivatives", expression="y = exp(x) * w; z = x + w")
    point = {"x": np.array([0.0, 1.0]), "w": 2.0}
    made = gradbook.create_derivatives(graph, "jacobian", point)
    slopes = 2 * np.exp(point["x"])
    np.testing.assert_array_equal(made.blocks["y", "x"], np.diag(slopes))
    np.testing.assert_array_equal(made.blocks["y", "w"], slopes / 2)
    np.testing.assert_array_equal(made.blocks["z", "x"], np.eye(2))
    assert (made.kind, made.outputs, made.wrt, made.vector) == ("jacobian", ("y", "z"), ("x", "w"), None)
    assert made.inputs["w"] == 2.0 and made.graph_id == graph.id and made.created_at.utcoffset() is not None
    again = gradbook.get_derivatives(made)
    assert again.document == made.document == gradbook.get_derivatives(made.id).document


def test_the_hessian_of_rosenbrocks_function_over_http(gradbook: Client) -> None:
    graph = gradbook.create_graph("rosenbrock", expression="f(x, y) = (1 - x)^2 + 100 * (y - x^2)^2")
    found = gradbook.create_derivatives(graph, "hessian", {"x": -1.2, "y": 1})
    assert dict(found.blocks) == pytest.approx(
        {("x", "x"): 1330, ("x", "y"): 480, ("y", "x"): 480, ("y", "y"): 200}, rel=1e-14
    )
    along = gradbook.create_derivatives(graph, "hvp", {"x": -1.2, "y": 1}, vector={"x": 1, "y": -1})
    assert dict(along.blocks) == pytest.approx({("x", None): 850, ("y", None): 280}, rel=1e-14)
    assert along.vector == {"x": 1, "y": -1}


def test_one_array_is_vector_enough_where_there_is_one_node(gradbook: Client) -> None:
    graph = gradbook.create_graph("one node", expression="y = x * x")
    pushed = gradbook.create_derivatives(graph, "jvp", {"x": [1, 2]}, vector=np.array([1, np.nan]))
    np.testing.assert_array_equal(pushed.blocks["y", "x"], [2, np.nan])
    pulled = gradbook.create_derivatives(graph, "vjp", {"x": [1, 2]}, vector=3, key="a vjp")
    np.testing.assert_array_equal(pulled.blocks["y", "x"], [6, 12])
    assert gradbook.create_derivatives(graph, "vjp", {"x": [1, 2]}, vector=3, key="a vjp").id == pulled.id


def test_a_refusal_is_a_problem(gradbook: Client) -> None:
    graph = gradbook.create_graph("one node", expression="y = x * x")
    with pytest.raises(Problem) as caught:
        gradbook.create_derivatives(graph, "hessian", {"x": 1}, wrt=["z"])
    assert (caught.value.status, caught.value.errors[0]["pointer"]) == (422, "/wrt/0")
