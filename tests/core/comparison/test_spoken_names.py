"""What sentences call the nodes whose names were generated."""

import pytest

from service.core.comparison.spoken_names import bracketed, quoted, spoken
from tests.planted import graph_of


@pytest.mark.parametrize(
    ("text", "node", "said"),
    [
        ("F = 2 * x", "constant_1", "2"),
        ("F = x * [1, 2, 3]", "constant_1", "[1, 2, 3]"),
        ("F = x * [1, 2, 3, 4, 5]", "constant_1", "[1, 2, 3, 4, …]"),
        ("F = x * [[1, 2], [3, 4]]", "constant_1", "constant_1"),
        ("F = sin(x^2)", "pow_1", "x²"),
        ("F = (a + b) * c / d", "mul_1", "(a + b)·c"),
        ("F = sum(x[0])", "squeeze_1", "x[0]"),
        ("F = sum(x[:, 1:3])", "slice_1", "x[:, 1:3]"),
        ("F = sum(x[..., 0])", "slice_1", "slice_1"),
        ("F = sum(x[::2])", "slice_1", "slice_1"),
        ("F = sum([a, b])", "unsqueeze_1", "[a]"),
        ("F = sin(x[:])", "identity_1", "x"),
        ("F = sin(max(a, b, c, d, e))", "max_1", "max_1"),
        ("F = sin(sin(sin(sin(sin(sin(x))))))", "sin_5", "sin(sin(sin(sin(sin_1))))"),
        ("F = sin(first_long_name * second_long_name + third_name)", "add_1", "add_1"),
        ("u = x + 1; F = u * 2", "u", "u"),
    ],
)
def test_a_generated_name_is_said_as_what_it_stands_for(text: str, node: str, said: str) -> None:
    graph = graph_of(text)
    assert spoken(graph, graph.position[node]) == said


def test_names_are_quoted_and_sums_bracketed() -> None:
    graph = graph_of("u = x + 1; F = (u + y) * 2")
    assert [quoted(graph, graph.position[name]) for name in ("u", "add_1")] == ["'u'", "u + y"]
    assert [bracketed(graph, graph.position[name]) for name in ("u", "add_1")] == ["u", "(u + y)"]
