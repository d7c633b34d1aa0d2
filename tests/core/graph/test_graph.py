"""Graphs: every fault named with its place, a stable order, and a digest of the content alone."""

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.core.errors import Fault, InvalidGraph, LimitExceeded
from service.core.graph.building import build_graph, extend_graph
from service.core.graph.graph import Graph, node_document, written_attribute
from tests.random_graphs import Point, points

Document = dict[str, Any]


def node(name: object, operation: object = "Input", *inputs: object, **attributes: object) -> Document:
    """A node document as a caller would write it."""
    document: Document = {"name": name, "operation": operation}
    if inputs:
        document["inputs"] = list(inputs)
    if attributes:
        document["attributes"] = attributes
    return document


SEED_EXAMPLE = [
    *(node(name) for name in "abcd"),
    node("e", "Add", "a", "b"),
    node("f", "Mul", "e", "c"),
    node("F", "Div", "f", "d"),
]


def faults_of(nodes: object, **options: Any) -> list[Fault]:
    """All that is wrong with what `build_graph` is given."""
    with pytest.raises(InvalidGraph) as caught:
        build_graph(nodes, **options)
    return list(caught.value.faults)


# --- what is built ------------------------------------------------------------------------------------------------


def test_the_seed_example() -> None:
    graph = build_graph(SEED_EXAMPLE)
    assert [each.name for each in graph.nodes] == list("abcdefF")
    assert (graph.inputs, graph.outputs, len(graph)) == (("a", "b", "c", "d"), ("F",), 7)
    assert graph.operands == ((), (), (), (), (0, 1), (4, 2), (5, 3))
    assert [node_document(each) for each in graph.nodes] == SEED_EXAMPLE


def test_out_edges_are_listed_in_order_and_twice_where_an_input_is_given_twice() -> None:
    graph = build_graph([node("x"), node("y", "Mul", "x", "x"), node("z", "Add", "y", "x")])
    assert tuple(graph.consumers) == (((1, 0), (1, 1), (2, 1)), ((2, 0),), ())


def test_names_of_other_programs_are_kept_as_they_are() -> None:
    names = ["layer1.0.weight", "/block/MatMul_out:0", "naïve", "100%", "a b", "x" * 256]
    graph = build_graph([node(name) for name in names])
    assert [each.name for each in graph.nodes] == names


def test_attributes_are_read_and_defaults_filled_in() -> None:
    graph = build_graph([node("x"), node("y", "Clip", "x", max=2), node("z", "Relu", "y")])
    assert dict(graph.nodes[1].attributes) == {"min": -math.inf, "max": 2.0}
    assert node_document(graph.nodes[1])["attributes"] == {"min": "-Infinity", "max": 2.0}


def test_attributes_in_json() -> None:
    assert written_attribute([1, (math.nan, math.inf), "text", None]) == [1, ["NaN", "Infinity"], "text", None]


def test_aliases_make_the_same_graph() -> None:
    signs = {"Add": "+", "Mul": "×", "Div": "÷", "Input": "input"}
    written = [{**document, "operation": signs[document["operation"]]} for document in SEED_EXAMPLE]
    graph = build_graph(written)
    assert graph.digest == build_graph(SEED_EXAMPLE).digest
    assert [each.operation.name for each in graph.nodes[4:]] == ["Add", "Mul", "Div"]


def test_outputs_left_out_are_the_operations_that_no_other_node_uses() -> None:
    assert build_graph([node("x"), node("q", "Exp", "x"), node("p", "Sin", "x"), node("u")]).outputs == ("q", "p")


def test_outputs_left_out_of_a_graph_without_operations() -> None:
    assert build_graph([node("x"), node("c", "Constant", value=1)]).outputs == ("x", "c")


def test_any_nodes_may_be_outputs_in_any_order() -> None:
    assert build_graph(SEED_EXAMPLE, outputs=["F", "a", "e"]).outputs == ("F", "a", "e")


def test_inputs_stand_as_a_reading_from_the_outputs_meets_them() -> None:
    nodes = [node("c"), node("b"), node("a"), node("unused"), node("s", "Sub", "a", "b"), node("p", "Mul", "s", "c")]
    assert build_graph(nodes).inputs == ("a", "b", "c", "unused")
    assert build_graph(nodes, inputs=["c", "unused", "a", "b"]).inputs == ("c", "unused", "a", "b")


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "location", "detail"),
    [
        (node("y", "Ad", "x"), ("operation",), "there is no operation 'Ad'; near it are And, Add"),
        ({"name": "y", "operation": "", "attributes": "s"}, ("operation",), "there is no operation ''"),
        (node("y", 3, "x"), ("operation",), "an operation is given by its name"),
        ({"name": "y", "inputs": ["x"]}, ("operation",), "a node needs an operation"),
        (node("y", "Exp"), ("inputs",), "Exp takes 1 input; 0 given; its form is Exp(x)"),
        (node("y", "Add", "x", "x", "x"), ("inputs",), "Add takes 2 inputs; 3 given; its form is Add(x, y)"),
        (node("y", "Max"), ("inputs",), "Max takes 1 or more inputs; 0 given; its form is Max(x, …)"),
        (
            node("y", "Input", "x"),
            ("inputs",),
            "Input takes 0 inputs; 1 given; its form is Input(shape=None, dtype='float64')",
        ),
        (node("y", "Add", "x", "u"), ("inputs", 1), "'y' reads 'u', which is not a node"),
        (node("y", "Add", "x", 7), ("inputs", 1), "an input is the name of a node"),
        ({"name": "y", "operation": "Exp", "inputs": "x"}, ("inputs",), "inputs are a list of node names"),
        (node("x", "Exp", "x"), ("name",), "the name 'x' is already used by node 0"),
        (node("y", "Exp", "x", base=2), ("attributes", "base"), "Exp has no attribute 'base'; its form is Exp(x)"),
        (node("y", "Elu", "x", alpha="1"), ("attributes", "alpha"), "a number is expected"),
        (node("y", "Elu", "x", alpha=True), ("attributes", "alpha"), "a number is expected"),
        (node("y", "Constant", value=10**400), ("attributes", "value"), "the number is out of float64's range"),
        (node("y", "Constant"), ("attributes",), "Constant needs the attribute 'value'; its form is Constant(value)"),
        (
            {**node("y", "Elu", "x"), "attributes": [1]},
            ("attributes",),
            "attributes are an object; its form is Elu(x, alpha=1.0)",
        ),
        (
            {**node("y", "Exp", "x"), "attributes": None},
            ("attributes",),
            "attributes are an object; its form is Exp(x)",
        ),
        (
            {**node("y", "Exp", "x"), "shape": [1]},
            ("shape",),
            "unknown member `shape`; known: attributes, inputs, name, operation",
        ),
        ({"operation": "Input"}, ("name",), "a node needs a name"),
        (node(""), ("name",), "a node's name has 1 to 256 characters; this one has 0"),
        (node("x" * 257), ("name",), "a node's name has 1 to 256 characters; this one has 257"),
        (node("a\nb"), ("name",), "a node's name has no control characters"),
        (node("a\x85b"), ("name",), "a node's name has no control characters"),
        (node("a`b"), ("name",), "a node's name has no backquote"),
        (node(5), ("name",), "a node's name is a string"),
        ("y", (), "a node is an object with name, operation and inputs"),
    ],
)
def test_a_fault_is_named_with_its_place(wrong: object, location: tuple[str | int, ...], detail: str) -> None:
    assert faults_of([node("x"), wrong]) == [Fault(("nodes", 1, *location), detail)]


@pytest.mark.parametrize(
    ("options", "location", "detail"),
    [
        ({"outputs": []}, ("outputs",), "a graph has at least one output"),
        ({"outputs": ["G"]}, ("outputs", 0), "'G' is not a node of the graph"),
        ({"outputs": ["F", ["e"]]}, ("outputs", 1), "the name of a node is expected, a string"),
        ({"outputs": ["e", "F", "e"]}, ("outputs", 2), "'e' appears twice in outputs"),
        ({"outputs": "F"}, ("outputs",), "outputs is a list of node names"),
        ({"inputs": ["a", "b", "c"]}, ("inputs",), "the Input node 'd' is missing"),
        ({"inputs": ["a", "b", "c", "d", "e"]}, ("inputs", 4), "'e' is not an Input node"),
        ({"inputs": ["a", "b", "c", "d", "g"]}, ("inputs", 4), "'g' is not a node of the graph"),
        ({"inputs": 4}, ("inputs",), "inputs is a list of node names"),
    ],
)
def test_wrong_outputs_and_inputs_are_named(options: Any, location: tuple[str | int, ...], detail: str) -> None:
    assert faults_of(SEED_EXAMPLE, **options) == [Fault(location, detail)]


def test_a_graph_has_nodes() -> None:
    assert faults_of([]) == [Fault(("nodes",), "a graph has at least one node")]
    assert faults_of({"a": {}}) == [Fault(("nodes",), "a list of nodes is expected")]


def test_every_fault_is_named_at_once_and_no_node_is_blamed_for_another() -> None:
    nodes = [node("x"), node("y", "Ad", "x"), node("z", "Exp", "y", "x"), node("x"), node("w", "Sin", "v"), node("")]
    assert [fault.location for fault in faults_of(nodes, outputs=["z", "q"])] == [
        ("nodes", 1, "operation"),
        ("nodes", 2, "inputs"),
        ("nodes", 3, "name"),
        ("nodes", 5, "name"),
        ("nodes", 4, "inputs", 0),
        ("outputs", 1),
    ]


def test_the_summary_of_several_faults_counts_them() -> None:
    with pytest.raises(
        InvalidGraph, match=r"^2 faults; the first: unknown member `kind`; known: attributes, inputs, name, operation$"
    ):
        build_graph([{"name": "x", "operation": "Input", "kind": 1, "type": 2}])


def test_a_cycle_is_named_with_its_nodes_in_the_order_of_its_edges() -> None:
    nodes = [
        node("r", "Exp", "q"),
        node("x"),
        node("p", "Add", "x", "r"),
        node("q", "Sin", "p"),
        node("after", "Cos", "r"),
    ]
    faults = faults_of(nodes)
    assert [fault.location for fault in faults] == [("nodes", 2), ("nodes", 3), ("nodes", 0)]
    assert [fault.detail for fault in faults] == [f"{name!r} is in a cycle: p → q → r → p" for name in "pqr"]


def test_a_node_that_reads_itself_is_a_cycle() -> None:
    assert faults_of([node("x", "Exp", "x")]) == [Fault(("nodes", 0), "'x' is in a cycle: x → x")]


def test_a_long_cycle_is_named_in_linear_space() -> None:
    count = 20_000
    faults = faults_of([node(f"n{position}", "Exp", f"n{(position + 1) % count}") for position in range(count)])
    assert len({fault.location for fault in faults}) == count
    assert all(fault.detail.endswith("→ …") and len(fault.detail) < 300 for fault in faults)


def test_each_of_many_faults_is_named() -> None:
    count = 5_000
    names = [f"n{position}" for position in range(count)]
    assert len(faults_of([node(name, "Exp", "nowhere") for name in names])) == count
    assert len(faults_of([node("x")] * count)) == count - 1
    assert len(faults_of([node(name) for name in names], outputs=names + names)) == count
    assert len(faults_of([node(name) for name in names], inputs=[names[0]])) == count - 1


def test_more_nodes_than_allowed() -> None:
    assert len(build_graph(SEED_EXAMPLE, max_nodes=7)) == 7
    with pytest.raises(LimitExceeded, match="a graph has at most 6 nodes; this one has 7") as caught:
        build_graph(SEED_EXAMPLE, max_nodes=6)
    assert (caught.value.limit, caught.value.maximum, caught.value.actual) == ("nodes", 6, 7)


# --- the order ----------------------------------------------------------------------------------------------------


@given(points(), st.randoms(use_true_random=False))
def test_nodes_stand_after_what_they_read(point: Point, random: Any) -> None:
    documents = [node_document(each) for each in point.graph.nodes]
    random.shuffle(documents)
    graph = build_graph(documents)
    for position, operands in enumerate(graph.operands):
        assert all(operand < position for operand in operands)
        assert [graph.nodes[operand].name for operand in operands] == list(graph.nodes[position].inputs)
    assert sorted(graph.position) == sorted(document["name"] for document in documents)


@given(points(largest_graph=15))
def test_a_list_in_order_keeps_its_order(point: Point) -> None:
    documents = [node_document(each) for each in point.graph.nodes]
    assert [each.name for each in build_graph(documents).nodes] == [document["name"] for document in documents]


def test_of_the_nodes_that_are_ready_the_one_listed_first_goes_first() -> None:
    nodes = [node("z", "Add", "y", "x"), node("y", "Exp", "x"), node("x"), node("c", "Constant", value=1)]
    assert [each.name for each in build_graph(nodes).nodes] == ["x", "y", "z", "c"]


def test_a_chain_of_20_000_nodes_listed_backwards() -> None:
    chain = [node("n0"), *(node(f"n{position}", "Sin", f"n{position - 1}") for position in range(1, 20_000))]
    graph = build_graph(chain[::-1])
    assert [each.name for each in graph.nodes] == [document["name"] for document in chain]
    assert (graph.inputs, graph.outputs) == (("n0",), ("n19999",))
    assert len(graph.digest) == 64


# --- the digest ---------------------------------------------------------------------------------------------------


@given(points(), st.randoms(use_true_random=False))
def test_the_digest_does_not_depend_on_the_order_of_listing(point: Point, random: Any) -> None:
    documents = [node_document(each) for each in point.graph.nodes]
    random.shuffle(documents)
    graph = build_graph(documents, outputs=[point.output])
    assert graph.digest == point.graph.digest
    assert (graph.inputs, graph.outputs) == (point.graph.inputs, point.graph.outputs)


def documents_of(graph: Graph) -> list[Document]:
    """The nodes as documents that a test may change."""
    return [node_document(each) for each in graph.nodes]


def renamed(documents: Sequence[Document], old: str, new: str) -> list[Document]:
    """The same graph but for one name."""
    names = {old: new}
    changed = []
    for document in documents:
        inputs = [names.get(source, source) for source in document.get("inputs", ())]
        changed.append({**document, "name": names.get(document["name"], document["name"]), "inputs": inputs})
    return changed


@given(points(), st.data())
def test_the_digest_depends_on_each_name(point: Point, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(point.graph.position)))
    changed = renamed(documents_of(point.graph), name, "another")
    outputs = ["another" if output == name else output for output in point.graph.outputs]
    assert build_graph(changed, outputs=outputs).digest != point.graph.digest


@given(points(), st.data())
def test_the_digest_depends_on_each_operation(point: Point, data: st.DataObject) -> None:
    documents = documents_of(point.graph)
    changeable = [document for document in documents if document.get("inputs")]
    assume(changeable)
    changed = data.draw(st.sampled_from(changeable))
    changed["operation"] = "Sum" if changed["operation"] != "Sum" else "Mean"
    changed.pop("attributes", None)
    assert build_graph(documents, outputs=point.graph.outputs).digest != point.graph.digest


@given(points(), st.data())
def test_the_digest_depends_on_each_edge(point: Point, data: st.DataObject) -> None:
    documents = [*documents_of(point.graph), node("another")]
    before = build_graph(documents, outputs=point.graph.outputs)
    changeable = [document for document in documents if document.get("inputs")]
    assume(changeable)
    inputs = data.draw(st.sampled_from(changeable))["inputs"]
    inputs[data.draw(st.integers(0, len(inputs) - 1))] = "another"
    order = [name for name in before.inputs if name != "another"] + ["another"]
    assert build_graph(documents, before.outputs, order).digest != build_graph_again(before, order).digest


def build_graph_again(graph: Graph, inputs: Sequence[str]) -> Graph:
    """The same graph with its inputs in that order."""
    return build_graph(documents_of(graph), graph.outputs, inputs)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (node("z", "Sub", "x", "y"), node("z", "Sub", "y", "x")),
        (node("z", "Max", "x", "y"), node("z", "Max", "x", "y", "y")),
        (node("z", "Elu", "x", alpha=1.0), node("z", "Elu", "x", alpha=1.0000000000000002)),
        (node("z", "Clip", "x", min=0.0), node("z", "Clip", "x", min=-0.0)),
        (node("z", "Clip", "x", min="-Infinity"), node("z", "Clip", "x", min="NaN")),
        (node("z", "Selu", "x", alpha=1, gamma=2), node("z", "Selu", "x", alpha=2, gamma=1)),
    ],
)
def test_the_digest_depends_on_the_order_of_operands_and_on_attributes(one: Document, other: Document) -> None:
    graphs = [build_graph([node("x"), node("y"), changed], inputs=["x", "y"]) for changed in (one, other)]
    assert graphs[0].digest != graphs[1].digest


@pytest.mark.parametrize("member", ["inputs", "outputs"])
def test_the_digest_depends_on_the_order_of_inputs_and_of_outputs(member: str) -> None:
    names = ["a", "b", "c", "d"]
    orders: list[dict[str, Any]] = [{member: names}, {member: names[::-1]}]
    digests = {build_graph(SEED_EXAMPLE, **order).digest for order in orders}
    assert len(digests | {build_graph(SEED_EXAMPLE, outputs=["e"]).digest}) == 3


def test_a_default_written_out_does_not_change_the_digest() -> None:
    nodes = [node("x"), node("y", "Elu", "x")]
    written = [node("x"), node("y", "Elu", "x", alpha=1)]
    assert build_graph(nodes).digest == build_graph(written).digest


def test_the_digest_is_a_sha256_that_stays() -> None:
    """Stored graphs are found by it: whoever changes the canonical form must carry the stored ones over."""
    assert build_graph(SEED_EXAMPLE).digest == "4f09528cc3a9207273d442457bb83df4598778f4773e62cfe4cfae1abe556bf0"


@pytest.mark.parametrize("count", [999, 1000, 1001, 2001])
def test_the_digest_is_that_of_one_canonical_text_although_it_is_taken_of_pieces(count: int) -> None:
    graph = build_graph([node("x"), *(node(f"é{number}", "Exp", "x") for number in range(count - 1))])
    documents = sorted([each.name, each.operation.name, each.inputs, {}] for each in graph.nodes)
    canonical = json.dumps([documents, graph.inputs, graph.outputs], separators=(",", ":"))
    assert graph.digest == hashlib.sha256(canonical.encode()).hexdigest()


def test_nodes_without_attributes_of_their_own_share_one_mapping() -> None:
    first, second, other = build_graph([node("a"), node("b"), node("c", shape=[2])]).nodes
    assert first.attributes is second.attributes is not other.attributes


def test_an_attribute_that_came_later_changes_no_digest_where_it_is_as_by_default() -> None:
    """The digest is that of graphs that were stored before MaxPool had ceil_mode."""
    old = build_graph([node("x"), node("y", "MaxPool", "x", kernel_shape=[2])])
    assert old.digest == "dfcdfc43f550f139e2c4d27b8a846eae74b1b03e0902a4985be3f0fce697c792"
    assert old.nodes[1].attributes["ceil_mode"] == 0
    assert "ceil_mode" not in node_document(old.nodes[1])["attributes"]
    new = build_graph([node("x"), node("y", "MaxPool", "x", kernel_shape=[2], ceil_mode=1)])
    assert new.digest != old.digest
    assert node_document(new.nodes[1])["attributes"]["ceil_mode"] == 1


# --- adding nodes -------------------------------------------------------------------------------------------------


def test_nodes_are_added_and_the_old_graph_stands() -> None:
    graph = build_graph(SEED_EXAMPLE, inputs=["d", "c", "b", "a"])
    longer = extend_graph(graph, [node("h", "Add", "F", "k"), node("k")])
    assert (longer.inputs, longer.outputs) == (("d", "c", "b", "a", "k"), ("h",))
    assert [each.name for each in longer.nodes] == [*"abcdefF", "k", "h"]
    assert (len(graph), graph.outputs) == (7, ("F",))


def test_outputs_of_the_longer_graph_may_be_given() -> None:
    longer = extend_graph(build_graph(SEED_EXAMPLE), [node("h", "Exp", "F")], outputs=["F", "h"])
    assert longer.outputs == ("F", "h")


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        (node("e", "Exp", "F"), Fault(("nodes", 0, "name"), "the name 'e' is already in the graph")),
        (node("h", "Exp", "G"), Fault(("nodes", 0, "inputs", 0), "'h' reads 'G', which is not a node")),
        (node("h", "Exp", "h"), Fault(("nodes", 0), "'h' is in a cycle: h → h")),
    ],
)
def test_faults_among_added_nodes(added: Document, fault: Fault) -> None:
    with pytest.raises(InvalidGraph) as caught:
        extend_graph(build_graph(SEED_EXAMPLE), [added])
    assert caught.value.faults == (fault,)


def test_added_nodes_count_against_the_limit_together_with_the_old() -> None:
    with pytest.raises(LimitExceeded):
        extend_graph(build_graph(SEED_EXAMPLE), [node("k")], max_nodes=7)


@given(points(largest_graph=15), st.data())
def test_a_graph_built_in_two_parts_is_the_graph_built_at_once(point: Point, data: st.DataObject) -> None:
    documents = documents_of(point.graph)
    cut = data.draw(st.integers(1, len(documents)))
    first = build_graph(documents[:cut])
    longer = extend_graph(first, documents[cut:], outputs=point.graph.outputs)
    assert longer.digest == build_graph(documents, point.graph.outputs, longer.inputs).digest


def test_the_nearest_names_are_looked_up_for_the_first_faults_of_a_request() -> None:
    """A lookup takes a millisecond, and a request may hold 250,000 nodes."""
    with pytest.raises(InvalidGraph) as caught:
        build_graph([node(f"y{number}", "Tanhh") for number in range(30)])
    details = [fault.detail for fault in caught.value.faults]
    assert details[0] == "there is no operation 'Tanhh'; near it are Tanh, Tan, Atanh"
    assert details[-1] == "there is no operation 'Tanhh'"
