"""Where an edge is closed the names of libraries do what those do, held against them where they are installed."""

from typing import Any

import numpy as np
import pytest

from service.core.execution.passes import backward_pass, forward_pass
from tests.passes import arrays_of, graph_of

NAN, INFINITY = np.nan, np.inf

# Expression, x, and the gradient by PyTorch 2.13 and by JAX 0.10.2.
ROWS: list[tuple[str, float, float, float]] = [
    ("sqrt(relu(x))", -1, 0, 0),
    ("sqrt(relu(x))", 0, 0, 0),
    ("where(x > 0, sqrt(x), 0)", -1, NAN, NAN),
    ("where(x > 0, sqrt(x), 0)", 0, NAN, NAN),
    ("where(x > 1, 1/x, x)", 0, NAN, NAN),
    ("sqrt(maximum(x, 0))", -1, 0, NAN),
    ("sqrt(maximum(x, 0))", 0, INFINITY, INFINITY),
    ("sqrt(clip(x, min=0, max=1))", -1, 0, NAN),
    ("sqrt(floor(x))", 0.5, 0, 0),
    ("sqrt(floor(x))", 0, 0, 0),
    ("sqrt(floor(sqrt(x)))", 0, NAN, 0),
]


@pytest.mark.parametrize(("text", "x", "torch", "jax"), ROWS)
def test_a_librarys_name_does_what_the_library_does(text: str, x: float, torch: float, jax: float) -> None:
    for convention, expected in (("torch", torch), ("jax", jax)):
        graph = graph_of(text).with_convention(convention)
        values = forward_pass(graph, arrays_of({"x": x}))
        (gradient,) = np.atleast_1d(backward_pass(graph, values, graph.outputs[0])[graph.position["x"]])
        np.testing.assert_array_equal(gradient, expected, err_msg=convention)


def evaluated(text: str, names: dict[str, Any]) -> Any:
    return eval(text.replace("0)", "0.0)"), {}, names)


@pytest.mark.peers
@pytest.mark.parametrize(("text", "x", "expected"), [(text, x, torch) for text, x, torch, _ in ROWS])
def test_against_pytorch(text: str, x: float, expected: float) -> None:
    torch = pytest.importorskip("torch", reason="left to `make test-peers`")
    point = torch.tensor(float(x), dtype=torch.float64, requires_grad=True)
    called = {"maximum": lambda x, y: torch.maximum(x, torch.full_like(x, y)), "relu": torch.relu, "clip": torch.clamp}
    names = {name: getattr(torch, name) for name in ("sqrt", "floor", "where")}
    evaluated(text, {**names, **called, "x": point}).backward()
    np.testing.assert_array_equal(point.grad.item(), expected)


@pytest.mark.peers
@pytest.mark.parametrize(("text", "x", "expected"), [(text, x, jax) for text, x, _, jax in ROWS])
def test_against_jax(text: str, x: float, expected: float) -> None:
    jax = pytest.importorskip("jax", reason="left to `make test-peers`")
    names = {name: getattr(jax.numpy, name) for name in ("sqrt", "floor", "where", "maximum", "clip")}
    gradient = jax.grad(lambda x: evaluated(text, {**names, "relu": jax.nn.relu, "x": x}))(float(x))
    np.testing.assert_array_equal(float(gradient), expected)
