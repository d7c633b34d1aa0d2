"""Which node of one graph is which of another. What a comparison makes of it stands in test_comparison.py."""

import numpy as np
import pytest

from service.core.alignment.alignment import Alignment
from service.core.comparison.alignment import (
    absent,
    align,
    lay_out,
    redefined,
    repeats,
    used_by_others,
    used_otherwise,
)
from service.core.comparison.other_shapes import of_another_shape, shape_faults
from service.core.errors import InvalidRequest
from service.core.figures.figures import pack
from tests.planted import graph_of, judge, only, run_of

FIRST = "p = x * y; F = sin(p)"


def test_nodes_are_aligned_by_name_unless_they_are_mapped() -> None:
    first, second = graph_of(FIRST), graph_of("q = x * y; r = q + x; F = sin(r)")
    assert [first.nodes[position].name if position >= 0 else None for position in align(first, second, {})] == [
        "x",
        "y",
        None,
        None,
        "F",
    ]
    assert align(first, second, {"q": "p"}).tolist() == [0, 1, 2, -1, 3]
    # A name that is mapped to is taken: the candidate's own node of that name is another one.
    assert align(first, second, {"r": "F"}).tolist() == [0, 1, -1, 3, -1]
    assert align(first, first, {}).tolist() == [0, 1, 2, 3]
    assert absent(first, np.array([0, 3])) == ("y", "p")
    assert absent(first, np.arange(4)) == ()


def test_figures_are_laid_out_by_position() -> None:
    scalars = lay_out(pack([1.0, None, 3.0]), np.array([2, -1, 1, 0, -1]))
    assert scalars.present is not None
    assert scalars.present.tolist() == [True, False, False, True, False]
    assert [scalars[0], scalars[3]] == [3.0, 1.0]
    tensors = lay_out(pack([np.arange(2.0), None, 3.0]), np.array([2, -1, 1, 0, -1]))
    assert [None if figure is None else figure.tolist() for figure in tensors] == [3.0, None, None, [0.0, 1.0], None]
    same = pack([1.0, 2.0, 3.0, 4.0, 5.0])
    assert lay_out(same, np.arange(5)) is same


def test_each_shape_that_differs_is_a_fault() -> None:
    graph = graph_of(FIRST)
    theirs, own = pack([np.zeros(2), 1.0, np.zeros(2), np.zeros(2)]), pack([0.0, 1.0, None, np.zeros(3)])
    faults = shape_faults(graph, own, of_another_shape(own, theirs))
    assert [fault.detail for fault in faults] == [
        "'x' has shape []; in the baseline [2]",
        "'F' has shape [3]; in the baseline [2]",
    ]


@pytest.mark.parametrize(
    ("candidate", "names", "defined", "leading", "others"),
    [
        (FIRST, {}, "", "", ""),
        ("F = sin(p); p = x * y", {}, "", "", ""),
        ("p = y * x; F = sin(p)", {}, "p", "xy", "xy"),
        ("p = x + y; F = sin(p)", {}, "p", "xy", ""),
        ("p = x * x; F = sin(p); q = y + 1", {}, "p", "xy", "xy"),
        ("p = x * y; F = sin(p); G = cos(p)", {}, "", "", "p"),
        ("p = x * y; s = sin(p); F = 2 * s", {}, "F", "p", "p"),
        ("p = x * y; s = sin(p); F = 2 * s", {"s": "F"}, "", "", "s"),
        (FIRST, {"x": "y", "y": "x"}, "p", "xy", "xy"),
    ],
)
def test_definitions_and_uses(candidate: str, names: dict[str, str], defined: str, leading: str, others: str) -> None:
    first, second = graph_of(FIRST), graph_of(candidate)
    partners = align(first, second, names)
    cuts = redefined(first, second, partners)
    used = used_otherwise(first, second, Alignment(partners, {}, cuts, {}))
    shared = np.flatnonzero(used_by_others(first, second, partners))
    assert [{second.nodes[position].name for position in positions} for positions in (cuts, used, shared)] == [
        set(defined),
        set(leading),
        set(others),
    ]


def test_an_input_is_repeated_where_another_has_the_same_numbers() -> None:
    graph = graph_of("F = sum(x @ y) + z")
    square = np.arange(4.0).reshape(2, 2)
    run = run_of(graph, {"x": square, "y": square.T, "z": 1.0})
    places = [graph.position[name] for name in "xyz"]
    assert [repeats(run, place) for place in places] == [True, True, False]
    assert not any(repeats(only(run, values="xz"), place) for place in places)


def test_inputs_of_other_shapes_are_named_and_not_the_seeds_that_follow() -> None:
    graph = graph_of("F = x * y")
    first = run_of(graph, {"x": np.array([1.0, 2.0, 3.0]), "y": 2.0})
    second = run_of(graph_of("F = x * y + z"), {"x": np.array([1.0, 2.0]), "y": 2.0, "z": 0.0})
    for kept in ({"values": "xyF", "gradients": "xyF"}, {"values": "", "gradients": "xyF"}):
        with pytest.raises(InvalidRequest) as caught:
            judge(first, only(second, **kept))
        detail = "the inputs differ in shape: 'x' has [2]; in the baseline [3]"
        assert [(fault.location, fault.detail) for fault in caught.value.faults] == [(("candidate",), detail)]
