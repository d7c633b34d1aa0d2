"""What is told finite is finite at finite inputs: on every elementwise operation and on terms of several."""

import numpy as np
import pytest

from service.core.derivatives.gradient_graph import formula
from service.core.graph.graph import Graph
from service.core.rulebook.operation import Operation
from service.core.symbolic.finite import FiniteTerms
from service.core.symbolic.term import Literal, Variable, application
from tests.elementwise import attribute_samples, each_elementwise, operand_counts
from tests.expressions import graph_of_expression as graph_of


def finite_nodes(graph: Graph) -> list[bool]:
    """Of each node, whether it is told finite."""
    known = [
        Literal(value) if isinstance(value := node.attributes.get("value"), float) else Variable(node.name)
        for node in graph.nodes
    ]
    return list(map(FiniteTerms(graph, known).has, known))


@pytest.mark.parametrize(
    ("text", "is_finite"),
    [
        ("x", True),
        ("2 * x + y", True),
        ("x * y", False),
        ("tanh(x) * y", True),
        ("exp(x)", False),
        ("where(exp(x) > 1, y, 0)", True),
        ("where(y > 1, exp(x), 0)", False),
        ("sin(exp(x))", False),
        ("max(x, y) * floor(x)", False),
        ("sum(x)", True),
        ("sum(exp(x))", False),
        ("softmax(x)", False),
        ("expand_to(1, x) * y * x", False),
        ("expand_to(1, x) * y", True),
        ("x + [1, 2]", True),
        ("x * Constant(value=Infinity)", False),
    ],
)
def test_of_terms_of_several_operations(text: str, is_finite: bool) -> None:
    graph = graph_of(text)
    assert finite_nodes(graph)[-1] == is_finite
    inputs = [Variable(name) for name in graph.inputs]
    leaves = graph_of("; ".join(f"{name}_copy = {name}" for name in graph.inputs) or "x_copy = x")
    known = [Variable(node.name) for node in leaves.nodes]
    assert inputs == [each for each in known if each.name in graph.inputs]
    assert FiniteTerms(leaves, known).has(formula(graph, "output")) == is_finite


@each_elementwise
def test_an_operation_told_finite_is_so_at_finite_operands(operation: Operation) -> None:
    random = np.random.default_rng(0)
    for attributes in attribute_samples(operation):
        for count in operand_counts(operation):
            names = [f"x{number}" for number in range(count)]
            leaves = graph_of("; ".join(f"y{name} = {name}" for name in names))
            variables = [Variable(name) for name in names]
            known = [Variable(node.name) for node in leaves.nodes]
            if FiniteTerms(leaves, known).has(application(operation, variables, attributes)):
                sizes = 10.0 ** random.uniform(-300.0, 300.0, (count, 200))
                operands = list(sizes * random.choice([-1.0, 1.0], sizes.shape))
                with np.errstate(all="ignore"):
                    assert np.isfinite(operation.evaluate(operands, attributes)).all(), attributes
