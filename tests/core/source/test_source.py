"""The code of a graph: the whole registry in every language, names that are code themselves, and what is refused."""

import ast
import ctypes
import math
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service import example
from service.core.derivatives.gradient_graph import gradient_graph
from service.core.errors import InvalidRequest
from service.core.graph.building import assemble_graph, build_graph
from service.core.graph.graph import Graph, node_document
from service.core.language.expression import parse_expression
from service.core.source.identifiers import Identifiers, commented
from service.core.source.writing import LANGUAGES, Origin, write_source
from tests.sources import ORIGIN, agrees, elementwise_graph, elementwise_points, load, wrong_cases

# Along several directions.
REFUSED = {"CofactorsAlong"}


def graph_of(expression: str) -> Graph:
    nodes = parse_expression(expression, max_bytes=10_000, max_depth=100)
    return assemble_graph(nodes, None, None, max_nodes=1000, max_tensor=1000)


def test_numpy_computes_what_we_do() -> None:
    wrong, refused, count = wrong_cases("numpy", 2)
    assert wrong == []
    assert set(refused) <= REFUSED and count > 150


@pytest.mark.slow
def test_numpy_computes_what_we_do_for_more_samples() -> None:
    wrong, refused, count = wrong_cases("numpy", 6)
    assert wrong == []
    assert set(refused) <= REFUSED and count > 250


@pytest.mark.peers
def test_pytorch_computes_what_we_do() -> None:
    pytest.importorskip("torch", reason="left to `make test-peers`")
    wrong, refused, count = wrong_cases("torch", 3, lambda found: found.detach().numpy())
    assert wrong == []
    assert set(refused) <= REFUSED and count > 200


@pytest.mark.peers
def test_pytorch_takes_constants_in_float64_and_keeps_its_own_default() -> None:
    torch = pytest.importorskip("torch", reason="left to `make test-peers`")
    graph = graph_of("y = [0.1, 0.2] * x + where(x > 0, sqrt(2), 0.7)")
    computed = load(write_source(graph, "torch", ORIGIN))(0.3)
    assert computed.tolist() == [0.1 * 0.3 + math.sqrt(2), 0.2 * 0.3 + math.sqrt(2)]
    assert torch.get_default_dtype() is torch.float32


@pytest.mark.peers
def test_jax_computes_what_we_do() -> None:
    pytest.importorskip("jax", reason="left to `make test-peers`")
    wrong, refused, count = wrong_cases("jax", 1)
    assert wrong == []
    assert set(refused) <= REFUSED and count > 130


@pytest.mark.compilation
def test_c_computes_what_we_do(tmp_path: Path) -> None:
    graph, points = elementwise_graph("c"), elementwise_points()
    (tmp_path / "tried.c").write_text(write_source(graph, "c", ORIGIN))
    flags = "-std=c99 -O1 -Wall -Wextra -Werror -shared -fPIC -o tried.so tried.c -lm"
    subprocess.run(["cc", *flags.split()], cwd=tmp_path, check=True)
    tried: Any = ctypes.CDLL(str(tmp_path / "tried.so")).tried
    results = np.empty((points.shape[1], len(graph.outputs)))
    for point, row in zip(points.T, results, strict=True):
        tried(*map(ctypes.c_double, point), row.ctypes.data_as(ctypes.POINTER(ctypes.c_double)))
    wrong = []
    with np.errstate(all="ignore"):
        for name, found in zip(graph.outputs, results.T, strict=True):
            node = graph.nodes[graph.position[name]]
            expected = node.operation.evaluate(list(points[: len(node.inputs)]), node.attributes)
            if not agrees(found, np.broadcast_to(expected, found.shape)):
                wrong.append(name)
    assert wrong == []


def test_the_tutorials_gradients() -> None:
    graph = graph_of(example.EXPRESSION)
    text = write_source(gradient_graph(graph, "F", list("abcd")), "numpy", Origin("tried", 3, {"a": "sha256:00"}))
    assert load(text)(5, 1, -2, -3) == pytest.approx([2 / 3, 2 / 3, -2, 4 / 3])
    assert (
        'def tried(a, b, c, d):\n    """tried@3, a graph of Gradbook.' in text and "    a: weights sha256:00\n" in text
    )
    assert "    f = e * c\n    F = f / d\n    return F\n" in write_source(graph, "numpy", ORIGIN)
    assert "    const double F = f / d;\n    return F;\n}\n" in write_source(graph, "c", ORIGIN)


def test_a_networks_gradients_and_float32() -> None:
    graph = graph_of("L = -sum(log(softmax(max(x @ W, 0), axis=1)[:,0])) + sum(cumsum(x, axis=0)[::-2, 1:])")
    nodes = [{"name": "x", "operation": "Input", "attributes": {"dtype": "float32"}}, *_documents(graph)[1:]]
    generator = np.random.default_rng(0)
    inputs = [generator.normal(size=(4, 3)), generator.normal(size=(3, 5))]
    found = load(write_source(gradient_graph(graph, "L", ["x", "W"]), "numpy", ORIGIN))(*inputs)
    (value,) = (load(write_source(graph, "numpy", ORIGIN)),)
    for number, gradient in enumerate(found):
        for index in np.ndindex(gradient.shape):
            moved = [each.copy() for each in inputs]
            moved[number][index] += 1e-6
            assert gradient[index] == pytest.approx((value(*moved) - value(*inputs)) / 1e-6, abs=1e-4)
    assert "x = np.asarray(x, dtype=np.float32)" in write_source(build_graph(nodes), "numpy", ORIGIN)


def _documents(graph: Graph) -> list[dict[str, Any]]:
    return [node_document(node) for node in graph.nodes]


HOSTILE = [
    *(
        '"""',
        "'''",
        "\\",
        '\\"""',
        "*/",
        "*\\/",
        "??/",
        "//",
        "/*",
        "# x",
        "a\u2028import os",
        "\ud800",
        "lambda",
        "x;y",
    ),
    *("{0}", "%(0)s", "__debug__", "_Bool", "__FILE__", "exp", "y1", "np", "torch", "jnp", "linux", "NAN", "results"),
    *("take", "sum_to", "maximum", "θ", "Θ", "日本", "e\u0301", "x_", "x-", "x.", "9", "1.0", "tried", "None", "print"),
    *('"); import os; os.abort() #', "a b", "a_b", "a.b", "a*/ abort(); /*", "x" * 256, "x" * 255 + "y", "\u202e", "`"),
]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_name_stays_in_its_comment(language: str) -> None:
    names = [name for name in HOSTILE if "`" not in name]
    inputs = [{"name": name, "operation": "Input"} for name in names]
    total = {"name": "*/ abort(); \\", "operation": "Sum", "inputs": names}
    graph = build_graph([*inputs, total, {"name": "exp ", "operation": "Exp", "inputs": ["*/ abort(); \\"]}])
    for title in HOSTILE:
        text = write_source(graph, language, Origin(title, 1, {names[0]: '"""*/'}))
        if language == "c":
            code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
            assert re.fullmatch(r"[\w\s(),;={}*+<>.]*", code.replace("#include <math.h>", "")), code
            assert code.count(";") == 3 and not re.search(r"\babort\(", code)
            continue
        (function,) = [each for each in ast.parse(text).body if isinstance(each, ast.FunctionDef)]
        kinds = {type(each) for each in function.body[1:-1]}
        assert kinds == {ast.Assign} and len(function.body) == len(graph) + 2
        assert len({argument.arg for argument in function.args.args}) == len(names)
    if language == "numpy":
        assert load(write_source(graph, language, ORIGIN))(*[0.0] * (len(names) - 1), 1.0) == pytest.approx(np.e)


def test_identifiers_are_distinct_and_near_to_their_names() -> None:
    made = Identifiers({"np"})
    names = ["a.b", "a_b", "a b", "/block/MatMul_out:0", "np", "9", "θ", "日", "x_", "_x", "W1"]
    expected = ["a_b", "a_b_2", "a_b_3", "block_MatMul_out_0", "np_2", "n9", "node", "node_2", "x_", "x", "W1"]
    assert [made.make(name) for name in names] == expected
    assert commented('a"b\\\u2028*/') == 'a\\"b\\\\\\u2028* /'


def test_what_a_language_cannot_say_is_refused_by_name_all_at_once() -> None:
    graph = graph_of("y = softmax(x, axis=0); z = sum(y); c = sum([1, 2])")
    with pytest.raises(InvalidRequest) as caught:
        write_source(graph, "c", ORIGIN)
    details = [fault.detail for fault in caught.value.faults]
    assert len(details) == 3 and all("C is written of numbers alone" in detail for detail in details)
    assert details[0].startswith("C has no words here for Softmax, which 'y' is")
    assert [detail.split(",")[0].rpartition(" for ")[2] for detail in details] == [
        *("Softmax", "ReduceSum", "Constant of a tensor")
    ]
    declared = build_graph([{"name": "x", "operation": "Input", "attributes": {"shape": [2]}}])
    with pytest.raises(InvalidRequest, match="Input of a tensor, which 'x' is"):
        write_source(declared, "c", ORIGIN)


@pytest.mark.parametrize("function", ["sum", "max"])
def test_as_many_operands_as_a_language_can_read(function: str) -> None:
    def wide(count: int) -> Graph:
        return graph_of(f"y = {function}({', '.join(f'x{index}' for index in range(count))})")

    with np.errstate(all="raise"):
        assert load(write_source(wide(180), "numpy", ORIGIN))(*range(180)) in (179, 180 * 179 / 2)
    for language in LANGUAGES:
        with pytest.raises(InvalidRequest, match=r"has no words here for (Sum|Max), which 'y' is"):
            write_source(wide(900), language, ORIGIN)
