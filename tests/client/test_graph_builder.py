"""Graphs written by computing with symbols: the same code on symbols and on arrays gives the same figures."""

import math
import operator
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import basic_indices
from scipy import special

from service.client import Client, graph
from service.client.symbols import UFUNCS, writers
from service.core.execution.passes import forward_pass
from service.core.graph.building import build_graph
from service.core.rulebook.registry import find, operation_of_function

# --- the same code on arrays and on symbols --------------------------------------------------------------------------

X = np.array([[0.3, -1.2, 2.5], [0.7, 0.1, -0.4]])
Y = np.array([[1.5, 0.25, -0.75], [2.0, -1.0, 0.5]])
M = np.array([[2.0, 0.5], [0.5, 1.0]])
INDICES = np.array([1, 0, 1])


def network(x: Any, y: Any, m: Any, i: Any) -> Any:
    """Attention, layer normalization and cross entropy, as they are written with NumPy."""
    queries, keys = m @ x, y * 2
    scores = queries @ keys.T / np.sqrt(3)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    attended = x + weights / weights.sum(axis=-1, keepdims=True) @ y
    centred = attended - attended.mean(axis=1, keepdims=True)
    normed = centred / np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + 1e-5)
    logits = np.where(normed > 0, normed, 0.01 * normed)
    logarithms = logits - np.log(np.sum(np.exp(logits), axis=1))[:, None]
    return -logarithms[np.arange(2), i[:2]].mean()


CASES: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "operators": lambda x, y, m, i: +x - -y * 2 / (1 + abs(x)) ** 2 // 0.5 % 3 + 2**y - 1 / (3 + x),
    "reflected operators": lambda x, y, m, i: (1 - x) + (5 // (y + 3)) + 7 % (y + 3) + (X * x) + (Y @ x.T).sum(),
    "conditions": lambda x, y, m, i: ((x > 0) & (y <= 1)) | ~(x == y) | (x != y) & (x < y) & (x >= 1),
    "matrix product": lambda x, y, m, i: m @ x @ y.T,
    "dot": lambda x, y, m, i: np.dot(m, x) + m.dot(y),
    "mT": lambda x, y, m, i: x.mT + np.matrix_transpose(y) + np.linalg.matrix_transpose(y) + np.swapaxes(x, -1, -2),
    "swapaxes": lambda x, y, m, i: np.swapaxes(x[None], 1, 2)[0] + x[None].swapaxes(-1, -3)[..., 0] + x.swapaxes(0, 1),
    "trace": lambda x, y, m, i: np.trace(m) * x,
    "square": lambda x, y, m, i: np.square(x) + np.exp2(y) + np.fmod(x, y),
    "bitwise": lambda x, y, m, i: (
        np.bitwise_and(x > 0, y > 0) + 1.0 * np.bitwise_or(x > 0, y > 0) - 1.0 * np.invert(x > 0)
    ),
    "sum": lambda x, y, m, i: np.sum(x, axis=0) + x.sum() + np.sum(y, axis=(0, 1), keepdims=True),
    "sum over no axis": lambda x, y, m, i: np.sum(x, axis=()) + np.sum(y, axis=np.int64(0)),
    "mean": lambda x, y, m, i: np.mean(x, axis=-1) + x.mean(0)[:2],
    "prod": lambda x, y, m, i: np.prod(x, 1) + x.prod(),
    "max": lambda x, y, m, i: np.max(x, 1) - np.min(y, axis=1) + x.max() * y.min() + np.amax(x) + np.amin(y),
    "var": lambda x, y, m, i: np.var(x, axis=1, ddof=1) + x.std() + np.std(x, axis=(0, 1)) + y.var(),
    "norm": lambda x, y, m, i: np.linalg.norm(x) + np.linalg.norm(y, axis=1) + np.linalg.norm(y, 1, axis=np.int64(1)),
    "argmax": lambda x, y, m, i: np.argmax(x) + x.argmin(axis=np.int64(1)) + np.argmin(y) + np.argmax(y, 1),
    "axes of a shape": lambda x, y, m, i: x.reshape(np.int64(3), -1) + np.broadcast_to(y[0, 0], np.array([3, 2])),
    "cumsum": lambda x, y, m, i: np.cumsum(x) + x.cumsum() + np.cumprod(y, axis=1).ravel(),
    "sort": lambda x, y, m, i: np.sort(x) + np.argsort(x, axis=0) + np.sort(y, axis=None)[:3] + y.argsort(),
    "take": lambda x, y, m, i: np.take(x, i, axis=1) + np.take(x, i) + x.take([0, 2, 1], axis=1),
    "take along an axis": lambda x, y, m, i: np.take_along_axis(x, np.argsort(y, axis=1), axis=1),
    "flip": lambda x, y, m, i: np.flip(x, 1) + np.flip(y, (0, 1)),
    "diff": lambda x, y, m, i: np.diff(x) * np.diff(y, axis=0)[:, 1:] + np.diff(x, 2, axis=1),
    "split": lambda x, y, m, i: sum(np.split(x, 3, axis=1)) + np.split(x, np.array([1, 2]), axis=1)[np.int64(2)],
    "where": lambda x, y, m, i: np.where(x > y, x, 0.5),
    "clip": lambda x, y, m, i: np.clip(x, 0, None) + x.clip(-1, 1) + np.clip(x, None, y) + np.clip(x, min=y),
    "concatenate": lambda x, y, m, i: (
        np.concatenate([x, y, [[1, 2, 3]]]).sum()
        + np.concatenate((x, m), axis=1)[:, 4]
        + np.concatenate([x, m], axis=None)[:2]
    ),
    "stack": lambda x, y, m, i: np.stack([x, y, X], axis=-1),
    "vecdot": lambda x, y, m, i: np.vecdot(x, y),
    "outer": lambda x, y, m, i: np.outer(x, y) + np.outer(x, [1, 2, 3, 4, 5, 6]),
    "einsum": lambda x, y, m, i: np.einsum("ij,kj->ik", x, y),
    "solve": lambda x, y, m, i: np.linalg.solve(m, x) + np.linalg.inv(m)[:, :1] * np.linalg.det(m),
    "cholesky": lambda x, y, m, i: np.linalg.cholesky(m),
    "triangles": lambda x, y, m, i: np.tril(x) + np.triu(y, k=1),
    "reshape": lambda x, y, m, i: np.reshape(x, (3, 2)) + y.reshape(3, -1) + x.reshape([3, 2]) + np.reshape(y, -1)[0],
    "ravel": lambda x, y, m, i: np.ravel(x) + y.ravel() + x.flatten(),
    "transpose": lambda x, y, m, i: np.transpose(x) + y.T + x.transpose(1, 0) + y.transpose((1, 0)) + x.transpose(),
    "squeeze": lambda x, y, m, i: np.squeeze(np.expand_dims(x, (0, 2)), axis=0)[:, 0] + np.expand_dims(y, 0).squeeze(),
    "broadcast_to": lambda x, y, m, i: np.broadcast_to(x[:, :1], (2, 3)),
    "tile": lambda x, y, m, i: np.tile(x, (2, 1)),
    "pad": lambda x, y, m, i: np.pad(x, ((1, 0), (0, 2))) + np.pad(y, [(0, 1), (1, 1)], mode="reflect"),
    "likes": lambda x, y, m, i: np.zeros_like(x) + np.ones_like(x) * np.full_like(x, 0.3),
    "round": lambda x, y, m, i: np.round(x) + y.round() + np.around(x),
    "size": lambda x, y, m, i: x / np.size(x),
    "shape": lambda x, y, m, i: x / np.shape(x)[1] + np.ndim(x) + len(x),
    "astype": lambda x, y, m, i: x.astype("float32") + y.astype(np.float64),
    "one element": lambda x, y, m, i: x[0, 1] + x[-1, -1] + x[1][2],
    "ranges": lambda x, y, m, i: x[:, 1:] + y[:, :-1] + x[::-1, ::2] + x[..., -2:] + y[:, -3:-1],
    "new axes": lambda x, y, m, i: x[:, None] + x[None] + x[..., None, :] + x[:, 0, None, None] + x[None, ..., 0, None],
    "gathered": lambda x, y, m, i: x[i] + x[[0, 1, 1]] + x[:, i][0] + x[..., i][1] + x[1:, [2, 0, 1]],
    "single elements": lambda x, y, m, i: x[[0, 1, 1], i] + y[[[0], [-1]], [0, 1, 2]] + x.T[i, i],
    "a network": network,
    "the whole": lambda x, y, m, i: x[:] + x[...] + y[()],
}


def figures(code: Callable[[Any, Any, Any, Any], Any]) -> Any:
    """What the service computes for what the code writes."""
    with graph("written") as g:
        x, y, m, i = g.input("x", (2, 3)), g.input("y"), g.input("m"), g.input("i", dtype="int64")
        g.result = code(x, y, m, i)
    built = build_graph(g.nodes)
    given = {"x": X, "y": Y, "m": M, "i": INDICES.astype(float)}
    values = forward_pass(built, {name: given[name] for name in built.inputs})
    return dict(zip((node.name for node in built.nodes), values, strict=True))["result"]


@pytest.mark.parametrize("code", CASES.values(), ids=CASES)
def test_code_on_symbols_gives_the_figures_that_it_gives_on_arrays(code: Callable[[Any, Any, Any, Any], Any]) -> None:
    expected = code(X, Y, M, INDICES)
    np.testing.assert_allclose(figures(code), expected, rtol=1e-12, atol=1e-12, strict=False)
    assert np.shape(figures(code)) == np.shape(expected)


@given(key=basic_indices(X.shape, allow_newaxis=True, allow_ellipsis=True))
def test_ranges_are_numpys(key: Any) -> None:
    expected = X[key]
    found = figures(lambda x, *others: x[key])
    assert found.shape == expected.shape and np.array_equal(found, expected)


def test_every_function_that_makes_a_node_was_tried() -> None:
    tried: set[Any] = set()

    class Watched(np.ndarray[Any, Any]):
        def __array_function__(self, called: Any, *rest: Any) -> Any:
            tried.add(called)
            return super().__array_function__(called, *rest)

    for code in CASES.values():
        code(*(each.view(Watched) for each in (X, Y, M, INDICES)))
    assert {each for each in writers if not isinstance(each, np.ufunc)} <= tried | {operator.getitem, np.shape, np.ndim}


def test_every_function_of_the_rulebook_makes_a_node() -> None:
    declared = {
        called
        for module in (np, np.linalg)
        for called in vars(module).values()
        if callable(called) and not isinstance(called, np.ufunc) and operation_of_function(called)
    }
    assert len(declared) > 10
    assert declared <= writers.keys()


def test_every_universal_function_of_the_rulebook_makes_its_node() -> None:
    declared = {
        name: found[0].name
        for name, called in vars(np).items()
        if isinstance(called, np.ufunc) and called.__name__ == name and (found := operation_of_function(called))
    }
    fmod = declared.pop("fmod")
    assert fmod == "Mod" and np.fmod in writers
    assert {name: UFUNCS[name] for name in UFUNCS if hasattr(np, name)} == declared
    assert all(find(operation) for operation in UFUNCS.values())


def test_the_guide_lists_the_functions_that_make_nodes() -> None:
    page = (Path(__file__).parents[2] / "docs/from-python.md").read_text(encoding="utf-8")
    listed = re.findall(r"[\w.]+", page.partition("```text\n")[2].partition("```")[0])
    functions = {attrgetter(name)(np) for name in listed}
    assert functions & writers.keys() == writers.keys() - {operator.getitem}
    assert {each.__name__ for each in functions - writers.keys()} == {name for name in UFUNCS if hasattr(np, name)}


def test_scipys_universal_functions_make_nodes() -> None:
    code: dict[str, Callable[..., Any]] = {
        "expit": special.expit,
        "erf": special.erf,
        "erfc": special.erfc,
        "gammaln": special.gammaln,
        "psi": special.psi,
        "xlogy": lambda x: special.xlogy(np.abs(x), np.abs(x)),
    }
    assert code.keys() == {name for name in UFUNCS if not hasattr(np, name)}
    for name, call in code.items():
        np.testing.assert_allclose(figures(lambda x, *others, call=call: call(x)), call(X), rtol=1e-12, err_msg=name)


# --- names and parts -------------------------------------------------------------------------------------------------


@pytest.fixture
def service(service_url: str) -> Iterator[Client]:
    with Client(service_url) as client:
        yield client


def test_what_is_written_is_the_graph_of_the_expression(service: Client) -> None:
    """Nodes without names are numbered alike, so it is the same content: the version that is there."""
    with graph("neuron in Python") as g:
        w, x = g.inputs("w", "x")
        g.s = w * x + 1
        g.y = np.tanh(g.s) * 0.5 + np.mean(g.s, axis=0)
    written = service.create_graph(g, tags={"by": "hand"})
    assert (written.inputs, written.outputs, written.tags) == (("w", "x"), ("y",), {"by": "hand"})
    assert written == service.create_graph(g.name, expression="s = w * x + 1; y = tanh(s) * 0.5 + mean(s, axis=0)")


def test_inputs_keep_their_order_and_what_they_declare(service: Client) -> None:
    g = graph("declared")
    b, x = g.input("b", shape=(3,)), g.input("x", shape=(None, 3), dtype="float32")
    unused = g.input("unused")
    assert (b.shape, b.ndim, len(b), x.shape, unused.operation) == ((3,), 1, 3, (None, 3), "Input")
    g["layer1.out"] = x + b
    stored = service.create_graph(g)
    assert stored.inputs == ("b", "x", "unused")
    assert stored.nodes[1].attributes == {"shape": [None, 3], "dtype": "float32"}
    assert stored.outputs == ("layer1.out",)


def test_any_operation_and_any_stored_graph_is_applied_by_name(service: Client) -> None:
    service.create_graph("doubled", expression="y = 2 * x")
    with graph("applied") as g:
        (x,) = g.inputs("x")
        g.y = g.apply("softmax", g.apply("doubled", x), axis=0)
    run = service.create_run(service.create_graph(g), {"x": [0.0, np.log(2)]})
    np.testing.assert_allclose(run.values["y"], [0.2, 0.8])


def test_what_no_named_node_needs_is_left_out() -> None:
    g = graph("lean")
    (x,) = g.inputs("x")
    np.exp(x)
    g.h = x * 2
    g.y = g.h + g["h"]
    g.same = g.y
    g.k = 3
    assert [(node["name"], node["operation"]) for node in g.nodes] == [
        ("x", "Input"),
        ("constant_1", "Constant"),
        ("h", "Mul"),
        ("y", "Add"),
        ("same", "Identity"),
        ("k", "Constant"),
    ]


def test_unnamed_nodes_avoid_names_that_are_taken() -> None:
    g = graph("taken")
    (x,) = g.inputs("add_1")
    g.y = (x + x) * x
    assert [node["name"] for node in g.nodes] == ["add_1", "add_2", "y"]


def test_augmented_assignment_makes_another_node() -> None:
    g = graph("augmented")
    (x,) = g.inputs("x")
    h = x
    h += 1
    h *= x
    assert (x.operation, h.operation) == ("Input", "Mul")


# --- what makes no node ----------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "truth": (lambda x, y: x and y, "np.where chooses"),
    "chained comparison": (lambda x, y: 0 < x < 1, "np.where chooses"),
    "max": (max, "np.where chooses"),
    "float": (lambda x, y: math.tanh(x), "NumPy's functions take it, math's do not"),
    "iteration": (lambda x, y: list(x), "x\\[0\\] is the first"),
    "assignment": (lambda x, y: x.__setitem__(0, y), "a node never changes"),
    "array": (lambda x, y: np.array([x, y]), "np.stack makes one node"),
    "list": (lambda x, y: x * [x, y], "np.stack makes one node"),
    "function": (lambda x, y: np.median(x), "median makes no node"),
    "universal function": (lambda x, y: np.isnan(x), "isnan makes no node"),
    "reduction": (lambda x, y: np.add.reduce(x), "add.reduce makes no node"),
    "out": (lambda x, y: np.add(x, 1, out=np.zeros(3)), "add makes a node without out"),
    "dtype": (
        lambda x, y: np.sum(x, dtype=int),
        r"unexpected keyword argument 'dtype'; a node is made by sum\(x, axis=None, \*, keepdims=False\)",
    ),
    "text": (lambda x, y: x + "one", "nodes and real numbers; str is neither"),
    "complex": (lambda x, y: x * 1j, "complex is neither"),
    "shape": (lambda x, y: (x + y).shape, "only an Input that declares"),
    "length": (lambda x, y: len(y), "only an Input that declares"),
    "open length": (lambda x, y: len(x), "the length is known when"),
    "mask": (lambda x, y: x[x > 0], "np.where keeps all"),
    "subscript": (lambda x, y: x[0.5], "a subscript is a whole number"),
    "mixed subscripts": (lambda x, y: x[[0, 1], None], "use two steps"),
    "bits": (lambda x, y: x & y, "& combines conditions"),
    "axes": (lambda x, y: np.swapaxes(x, 0, -1), "both axes are counted from"),
    "norm": (lambda x, y: np.linalg.norm(x, "nuc"), "of the 2-norm"),
    "pad": (lambda x, y: np.pad(x, [(1, 1)], mode="mean"), "in the modes"),
    "attribute": (lambda x, y: np.sum(x, axis=y), "a node is no number"),
    "attribute by name": (lambda x, y: x.graph.apply("Clip", x, min=y), "those are known before"),
    "decimals": (lambda x, y: np.round(x, 2), "whole numbers"),
}


@pytest.mark.parametrize(("code", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_a_node_is_refused_at_its_line(code: Callable[[Any, Any], Any], said: str) -> None:
    g = graph("refused")
    x, y = g.input("x", (None, 3)), g.input("y")
    with pytest.raises(TypeError, match=said):
        code(x, y)


def test_ellipses_stand_once() -> None:
    with pytest.raises(IndexError, match="once"):
        graph("ellipses").input("x")[..., 0, ...]


def test_an_attribute_that_no_array_has_is_none() -> None:
    assert not hasattr(graph("attributes").input("x"), "foo")


def test_nodes_stay_in_their_graph() -> None:
    one, other = graph("one"), graph("other")
    with pytest.raises(TypeError, match=r"of graph\('other'\): Input> is no node of graph\('one'\)"):
        other.y = one.input("x") + other.input("x")


def test_names_are_given_once() -> None:
    g = graph("once")
    g.y = g.input("x") + 1
    for again in (lambda: g.input("y"), lambda: setattr(g, "y", 1)):
        with pytest.raises(ValueError, match="'y' is the name of a node already"):
            again()
    with pytest.raises(AttributeError, match=r"g\['inputs'\] = …"):
        g.inputs = 1
    with pytest.raises(AttributeError, match="no node of graph\\('once'\\) is named 'z'"):
        _ = g.z


def test_a_complete_graph_takes_no_more_nodes() -> None:
    with graph("complete") as g:
        g.y = g.input("x") + 1
    with pytest.raises(ValueError, match="its with block has ended"):
        _ = g.y * 2


def test_a_graph_computes_something(service: Client) -> None:
    g = graph("nothing")
    _ = g.input("x") + 1
    with pytest.raises(ValueError, match=r"g.y = … names a node"):
        service.create_graph(g)


def test_a_written_graph_takes_no_further_nodes(service: Client) -> None:
    g = graph("whole")
    g.y = g.input("x") + 1
    for more in ({"expression": "y = x"}, {"nodes": []}):
        with pytest.raises(TypeError, match="no further nodes"):
            service.create_graph(g, **more)  # type: ignore[arg-type]


def test_constants_are_numbers_and_arrays() -> None:
    g = graph("constants")
    x = g.input("x")
    g.y = x * np.float32(0.5) + [np.nan, True, 2] + Fraction(1, 4) + np.zeros((0, 3))
    constants = [node["attributes"]["value"] for node in g.nodes if node["operation"] == "Constant"]
    assert repr(constants) == "[0.5, [nan, 1.0, 2.0], 0.25, '0x3']"
