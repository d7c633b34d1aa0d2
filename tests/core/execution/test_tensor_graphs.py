"""Graphs of operations that are not elementwise: built, written, read again, passed through, refused."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.errors import InvalidGraph, InvalidInputs, LimitExceeded
from service.core.execution.passes import backward_pass, forward_pass, nondifferentiable_nodes
from service.core.figures.figures import Figures, Shape
from service.core.graph.building import assemble_graph, build_graph
from service.core.graph.graph import Graph, node_document
from service.core.graph.shapes import infer_shapes
from service.core.language.expression import parse_expression
from service.core.language.writing import write_expression
from service.core.rulebook import registry
from service.core.rulebook.attribute import Attribute, flag
from service.core.rulebook.operation import Operation
from service.core.rulebook.registry import define
from tests.examples import examples
from tests.passes import graph_of, run
from tests.tensors import arrays, each_tensor_operation, graph_around, samples


@each_tensor_operation
@settings(max_examples=examples(10))
@given(data=st.data())
def test_both_passes_and_every_way_of_writing(operation: Operation, data: st.DataObject) -> None:
    sample = data.draw(samples(operation))
    graph = graph_around(sample)
    inputs = {f"x{position}": operand for position, operand in enumerate(sample.operands)}
    values = forward_pass(graph, inputs, max_elements=10**6, max_tensor=10**6)
    with np.errstate(all="ignore"):
        expected = np.asarray(sample.value)
        seed = data.draw(arrays(expected.shape))
        # In rows, as a run keeps its figures: the last bits of a product of matrices depend on it.
        upstream, value, *operands = (np.array(each, order="C") for each in (seed, expected, *sample.operands))
        contributions = operation.propagate(upstream, operands, value, sample.attributes)
    at = graph.position
    near = {"rtol": 1e-14, "atol": 1e-15}  # what is contiguous may be summed in another order
    np.testing.assert_allclose(values[at["z"]], expected, **near)
    gradients = backward_pass(graph, values, "z", seed)
    for position, (operand, contribution) in enumerate(zip(sample.operands, contributions, strict=True)):
        right = np.zeros(operand.shape) if contribution is None else contribution
        np.testing.assert_allclose(gradients[at[f"x{position}"]], right, **near)
    assert set(nondifferentiable_nodes(graph, values)) <= {at["z"]}

    again = build_graph([node_document(node) for node in graph.nodes])
    assert again.digest == graph.digest
    assert repr([dict(node.attributes) for node in again.nodes]) == repr(
        [dict(node.attributes) for node in graph.nodes]
    )
    read = assemble_graph(parse_expression(str(write_expression(graph)), max_bytes=10_000, max_depth=10))
    assert read.digest == graph.digest


def test_a_network_of_reductions_and_shapes() -> None:
    """Centred rows, their norms, the largest: by hand."""
    text = "c = x - mean(x, axis=1, keepdims=1); n = norm(c, axis=1); F = max(n) + sum(transpose(x) * w)"
    values, gradients = run(text, {"x": [[1.0, 3.0], [2.0, 8.0]], "w": [[1.0, 0.0], [0.0, 2.0]]})
    assert values["c"] == [[-1.0, 1.0], [-3.0, 3.0]]
    assert values["n"] == pytest.approx([2**0.5, 18**0.5], rel=1e-15)
    assert values["F"] == pytest.approx(18**0.5 + 17.0, rel=1e-15)
    assert gradients["n"] == [0.0, 1.0]
    half = 0.5**0.5
    np.testing.assert_allclose(gradients["c"], [[0.0, 0.0], [-half, half]], rtol=1e-15)
    np.testing.assert_allclose(gradients["x"], [[1.0, 0.0], [-half, 2.0 + half]], rtol=1e-15)
    assert gradients["w"] == [[1.0, 2.0], [3.0, 8.0]]


def test_the_same_tensor_twice() -> None:
    values, gradients = run("F = sum(concat(x, x, axis=0) ^ 2)", {"x": [1.0, 2.0]})
    assert (values["F"], gradients["x"]) == (10.0, [4.0, 8.0])


# --- what is refused ------------------------------------------------------------------------------------------------


def test_a_mismatch_names_node_operation_and_shapes() -> None:
    graph = graph_of("y = concat(a, b, axis=0)")
    with pytest.raises(InvalidInputs) as caught:
        infer_shapes(graph, {"a": (2, 3), "b": (2, 4)})
    (fault,) = caught.value.faults
    assert fault.detail == "'y' (Concat) cannot take shapes [2, 3], [2, 4]: the shapes differ along another axis than 0"
    assert fault.location == ("inputs", "a")


@pytest.mark.parametrize(
    ("index", "fault"),
    [
        (5.0, "index 5 is out of range for axis 0 of length 3"),
        (-4.0, "index -4 is out of range for axis 0 of length 3"),
        (0.5, "index 0.5 is not an integer"),
        (np.nan, "index nan is not an integer"),
    ],
)
def test_a_wrong_index_names_its_node_forward_and_backward(index: float, fault: str) -> None:
    graph = graph_of("y = gather(x, i)")
    inputs = {"x": np.arange(3.0), "i": np.float64(index)}
    with pytest.raises(InvalidInputs, match=rf"'y' \(Gather\): {fault}"):
        forward_pass(graph, inputs)
    values = forward_pass(graph, {**inputs, "i": np.float64(1.0)})
    wrong = Figures(np.array([0.0, 1.0, 2.0, index, 1.0]), values.shapes)
    with pytest.raises(InvalidInputs, match=rf"'y' \(Gather\): {fault}"):
        backward_pass(graph, wrong, "y")


@pytest.mark.parametrize(
    "text",
    [
        "y = expand(x, shape=[100000, 100000])",
        "y = expand(x, shape=[4000000000000000000])",
        "y = expand(reshape(x, shape=[1, 1]), shape=[4000000000, 1]) + expand(x, shape=[4000000000])",
        "y = pad(reshape(x, shape=[1]), pads=[1000000000000, 0])",
        "y = pad(reshape(x, shape=[1, 1]), pads=[1000000000000, -1, 0, 0])",
        "y = expand(slice(reshape(x, shape=[1, 1]), starts=[1], ends=[1], axes=[1]), shape=[1000000000000, 1])",
        "y = gather(expand(x, shape=[100]), expand(x, shape=[100000000000]))",
    ],
)
def test_what_is_too_large_is_refused_before_it_is_made(text: str) -> None:
    with pytest.raises(LimitExceeded) as caught:
        forward_pass(graph_of(text), {"x": np.float64(0.0)}, max_elements=10**6, max_tensor=10**6)
    assert caught.value.limit == "tensor_elements"


@pytest.mark.parametrize(
    "text",
    [
        "y = split(reshape(x, shape=[1]), num_outputs=4000000000000000000, output=3000000000000000000)",
        "y = slice(reshape(x, shape=[1]), starts=[4000000000000000000], ends=[9000000000000000000])",
    ],
)
def test_large_numbers_cost_nothing(text: str) -> None:
    values = forward_pass(graph_of(text), {"x": np.float64(0.0)}, max_elements=10**6, max_tensor=10**6)
    assert values.shape(len(values) - 1) == (0,)


def test_more_axes_than_numpy_has() -> None:
    with pytest.raises(InvalidInputs, match=r"'y' \(Unsqueeze\)"):
        forward_pass(graph_of(f"y = unsqueeze(x, axes={list(range(70))})"), {"x": np.float64(0.0)})


# --- operands that may be left out, operands of any number ------------------------------------------------------------


@pytest.fixture
def own_operations(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """x·scale + bias, both of which may be left out; and the longest of any number of vectors."""
    for entries in ("_by_name", "_by_alias", "_by_function"):
        monkeypatch.setattr(registry, entries, dict(getattr(registry, entries)))

    def affine(x: Any, scale: Any, bias: Any, twice: int) -> Any:
        return (1 + twice) * x * (1.0 if scale is None else scale) + (0.0 if bias is None else bias)

    define(
        "OwnAffine",
        "x scale? bias?",
        attributes=[Attribute("twice", flag, 0), Attribute("free", lambda value: value)],
        forward=lambda x, scale, bias, twice, free: affine(x, scale, bias, twice),
        contributions=lambda upstream, x, scale, bias, z, twice, free: (
            (1 + twice) * upstream * (1.0 if scale is None else scale),
            (1 + twice) * upstream * x,
            upstream,
        ),
        infer_shape=lambda shapes, attributes: shapes[0],
    )

    def longest(shapes: Sequence[Shape], attributes: Mapping[str, Any]) -> Shape:
        return max(shapes, key=len)

    define(
        "OwnLongest",
        "*x",
        forward=lambda given: max(given, key=np.ndim),
        contributions=lambda upstream, given, z: [upstream if np.ndim(each) == np.ndim(z) else None for each in given],
        infer_shape=longest,
    )
    yield


def one_node(operation: str, *inputs: str, **attributes: Any) -> Graph:
    sources = [{"name": name, "operation": "Input"} for name in dict.fromkeys(inputs) if name]
    return build_graph(
        [*sources, {"name": "z", "operation": operation, "inputs": list(inputs), "attributes": attributes}]
    )


@pytest.mark.usefixtures("own_operations")
def test_operands_left_out_are_none() -> None:
    inputs = {"x": np.float64(3.0), "s": np.float64(5.0), "b": np.float64(7.0)}
    for names, value, gradient in [("x", 6.0, (2.0,)), ("xs", 30.0, (10.0, 6.0)), ("xsb", 37.0, (10.0, 6.0, 1.0))]:
        graph = one_node("OwnAffine", *names, twice=1)
        values = forward_pass(graph, {name: inputs[name] for name in names})
        assert values.flat[-1] == value
        assert tuple(backward_pass(graph, values, "z").flat[: len(names)]) == gradient


@pytest.mark.usefixtures("own_operations")
def test_what_is_left_out_at_the_end_need_not_be_listed() -> None:
    graph = one_node("OwnAffine", "x", "s")
    assert graph.nodes[-1].inputs == ("x", "s")
    assert one_node("OwnAffine", "x", "s", "").digest == graph.digest
    assert one_node("OwnAffine", "x", "").digest == one_node("OwnAffine", "x", "", "").digest != graph.digest
    assert node_document(one_node("OwnAffine", "x", "", "").nodes[-1])["inputs"] == ["x"]
    assert write_expression(graph) == "z = ownaffine(x, s)"


@pytest.mark.usefixtures("own_operations")
@pytest.mark.parametrize(
    ("operation", "inputs", "faults"),
    [
        ("OwnAffine", ["x", "", "b"], [(("nodes", 2, "inputs", 1), "only the last inputs may be left out")]),
        (
            "OwnAffine",
            [""],
            [
                (
                    ("nodes", 0, "inputs"),
                    "OwnAffine takes 1 to 3 inputs; 0 given; its form is OwnAffine(x, scale, bias, twice=0, free=None)",
                )
            ],
        ),
        (
            "OwnAffine",
            ["x"] * 4,
            [
                (
                    ("nodes", 1, "inputs"),
                    "OwnAffine takes 1 to 3 inputs; 4 given; its form is OwnAffine(x, scale, bias, twice=0, free=None)",
                )
            ],
        ),
        (
            "OwnLongest",
            [],
            [(("nodes", 0, "inputs"), "OwnLongest takes 1 or more inputs; 0 given; its form is OwnLongest(x, …)")],
        ),
        ("Add", ["x", ""], [(("nodes", 1, "inputs"), "Add takes 2 inputs; 1 given; its form is Add(x, y)")]),
    ],
)
def test_inputs_that_cannot_be_left_out(operation: str, inputs: list[str], faults: list[Any]) -> None:
    with pytest.raises(InvalidGraph) as caught:
        one_node(operation, *inputs)
    assert [(fault.location, fault.detail) for fault in caught.value.faults] == faults


@pytest.mark.usefixtures("own_operations")
def test_operands_of_any_number_are_one_tuple() -> None:
    graph = one_node("OwnLongest", "a", "b", "c")
    values = forward_pass(graph, {"a": np.float64(1.0), "b": np.array([2.0, 3.0]), "c": np.float64(4.0)})
    assert values[3].tolist() == [2.0, 3.0]  # type: ignore[union-attr]
    gradients = backward_pass(graph, values, "z", np.array([5.0, 7.0]))
    assert [figure.tolist() for figure in gradients if figure is not None] == [0.0, [5.0, 7.0], 0.0, [5.0, 7.0]]


@pytest.mark.usefixtures("own_operations")
def test_an_attribute_without_a_default_may_be_null() -> None:
    assert one_node("OwnAffine", "x", free=None).digest == one_node("OwnAffine", "x").digest
    with pytest.raises(InvalidGraph, match="0 or 1 is expected"):
        one_node("OwnAffine", "x", twice=None)
