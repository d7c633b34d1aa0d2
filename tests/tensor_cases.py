"""Random shapes and attributes for the operations on shapes, and for the reductions."""

from typing import Any

from hypothesis import strategies as st

from service.core.operation import Shape
from tests.tensors import Drawn, draws, shapes


@st.composite
def broadcasting(draw: st.DrawFn) -> tuple[Shape, Shape]:
    """A shape and one that broadcasts to it."""
    whole = draw(shapes())
    kept = whole[draw(st.integers(0, len(whole))) :]
    return whole, tuple(draw(st.sampled_from([length, 1])) for length in kept)


def axes_of(count: int, least: int = 0) -> st.SearchStrategy[list[int]]:
    """Different axes among `count`, some counted from the end."""
    places = st.lists(st.integers(0, count - 1), min_size=least, max_size=count, unique=True) if count else st.just([])
    return places.flatmap(lambda chosen: st.tuples(*[st.sampled_from([place, place - count]) for place in chosen])).map(
        list
    )


@draws("SumTo")
def _sum_to(draw: st.DrawFn) -> Drawn:
    return draw(broadcasting()), {}


@draws("ExpandTo")
def _expand_to(draw: st.DrawFn) -> Drawn:
    return draw(broadcasting())[::-1], {}


@draws("ReshapeTo")
def _reshape_to(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes())
    return (shape, draw(st.permutations(shape).map(tuple))), {}


@draws("ReduceSum")
def reduction(draw: st.DrawFn) -> Drawn:
    """A reduction along any axes."""
    shape = draw(shapes())
    given: dict[str, Any] = {}
    if draw(st.booleans()):
        given["axes"] = draw(axes_of(len(shape)))
    for name in ("keepdims", "noop_with_empty_axes"):
        if draw(st.booleans()):
            given[name] = draw(st.integers(0, 1))
    return [shape], given


@draws("Transpose")
def _transpose(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes())
    return [shape], draw(st.sampled_from([{}, {"perm": draw(st.permutations(range(len(shape))))}]))


@draws("Unsqueeze")
def _unsqueeze(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes())
    added = draw(st.integers(1, 2))
    axes = draw(axes_of(len(shape) + added, least=added))[:added]
    return [shape], {"axes": axes}
