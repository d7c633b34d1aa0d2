"""Plan a sweep: everything that is wrong with it is found before anything is computed."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from service.core.comparison.verdicts import Tolerance
from service.core.errors import Fault, InvalidInputs, InvalidRequest, LimitExceeded, unknown_names
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Graph
from service.core.graph.selection import choose_output, read_nodes
from service.core.rulebook.input_types import read_input
from service.core.rulebook.operation import MINIMUM_NORM
from service.core.sweeps.axes import Axis, Normal, Uniform, Values
from service.core.sweeps.chunks import first_shapes
from service.core.sweeps.sweep import CHUNK, REDUCTIONS, Against, Sweep
from service.core.sweeps.weights import choose_chunk


def plan_sweep(
    graph: Graph,
    inputs: Mapping[str, Axis | FloatArray],
    *,
    mode: str = "grid",
    outputs: Sequence[str] | None = None,
    gradients: bool = False,
    output: str | None = None,
    convention: str = MINIMUM_NORM,
    reduce: Sequence[str] | None = None,
    against: tuple[Graph, Mapping[str, str], Tolerance] | None = None,
    check: bool = False,
    chunk: int | None = None,
    max_points: int | None = None,
) -> Sweep:
    """The sweep of a graph over these inputs; see `Sweep`.

    The values of the graph's outputs are kept unless other nodes are named. With `gradients`, or `check`, those of
    `output`, by default the graph's only one, with respect to each scalar Input that has a gradient are kept too.
    `against` is a second graph with Inputs of the same names, the names of its nodes that stand for the first one's
    outputs where they are not the same, and how far the two may differ. A chunk has `chunk` points, by default as many
    as `choose_chunk` says.

    Raises InvalidInputs where an input is missing or unknown, an axis is empty, axes side by side are not equally long,
    or shapes do not fit; InvalidRequest where an output is unknown, not named though there are several, or no scalar,
    where a reduction is unknown, and where the two graphs have no such inputs or outputs in common; LimitExceeded for
    more than `max_points`.
    """
    if faults := list(_faults_of_axes(inputs, mode)):
        raise InvalidInputs(faults)
    if unknown := [name for name in reduce or () if name not in REDUCTIONS]:
        raise InvalidRequest([Fault(("reduce",), f"a reduction is one of {', '.join(REDUCTIONS)}, not {unknown[0]!r}")])
    kept = tuple(graph.outputs if outputs is None else read_nodes(graph, outputs, "outputs"))
    target = choose_output(graph, output) if gradients or check else None
    used = [*kept, *([] if target is None or target in kept else [target])]
    sweep = Sweep(
        dict(inputs),
        mode,
        kept,
        target,
        (),
        convention,
        None if reduce is None else tuple(reduce),
        chunk or CHUNK,
        against and Against({name: against[1].get(name, name) for name in used}, against[2]),
        check,
    )
    if max_points is not None and sweep.points > max_points:
        detail = f"a sweep has at most {max_points} points; this one would have {sweep.points}"
        raise LimitExceeded("sweep_points", max_points, sweep.points, detail)
    _check_outputs(graph, sweep, used, ("outputs",))
    if sweep.against and against:
        _check_named(graph, against[0], against[1], used)
        _check_outputs(against[0], sweep, [*sweep.against.outputs.values()], ("against", "outputs"))
    graphs = [graph, against[0]] if against else [graph]
    for each in graphs:
        _check_numbers(each, sweep)
    if target is not None:
        sweep = replace(sweep, wrt=tuple(_differentiable(graph, sweep)))
    _check_columns(sweep)
    return sweep if chunk else replace(sweep, chunk=choose_chunk(graphs, sweep))


def _differentiable(graph: Graph, sweep: Sweep) -> Sequence[str]:
    """The scalar Inputs that have a gradient; raises InvalidRequest if there is none."""
    scalars = [name for name in sweep.inputs if name in sweep.axes or not sweep.fixed[name].ndim]
    found = [name for name in scalars if graph.nodes[graph.position[name]].has_gradient]
    if not found:
        detail = "there is nothing to differentiate with respect to: no Input that is a scalar has a gradient"
        raise InvalidRequest([Fault(("gradients",), detail)])
    return found


def _check_named(graph: Graph, other: Graph, outputs: Mapping[str, str], used: Sequence[str]) -> None:
    """Raise InvalidRequest where the graph that another is held against takes other inputs, or has nodes named for
    outputs that are not `used`."""
    if set(other.inputs) != set(graph.inputs):
        theirs, ours = (", ".join(map(repr, each.inputs)) for each in (other, graph))
        detail = f"the graphs take other inputs: this one {ours}, and that one {theirs}"
        raise InvalidRequest([Fault(("against", "graph"), detail)])
    if unknown := [name for name in outputs if name not in used]:
        detail = f"{unknown[0]!r} is none of the outputs of the sweep"
        raise InvalidRequest([Fault(("against", "outputs", unknown[0]), detail)])


def _check_outputs(graph: Graph, sweep: Sweep, outputs: Sequence[str], location: tuple[str, ...]) -> None:
    """Raise InvalidRequest where an output is unknown or no scalar, InvalidInputs where the inputs do not fit."""
    if unknown := list(unknown_names(outputs, graph.position, "the graph has no node")):
        raise InvalidRequest([Fault(location, detail) for _, detail in unknown])
    shapes = first_shapes(graph, sweep)
    for name in outputs:
        if shape := shapes[graph.position[name]]:
            detail = f"{name!r} has shape {list(shape)}: a sweep keeps scalars, such as the sum or the mean of it"
            if len(shape) == 1:
                detail += "; where an input is to take one number after the other, these are its `values`"
            raise InvalidRequest([Fault(location, detail)])


def _faults_of_axes(inputs: Mapping[str, Axis | FloatArray], mode: str) -> Iterator[Fault]:
    counts: dict[str, int] = {}
    for name, axis in inputs.items():
        if isinstance(axis, np.ndarray):
            continue
        if axis.count < 1:
            yield Fault(("inputs", name, _kind(axis)), f"{name!r} has no value: a count is 1 or more")
        elif isinstance(axis, Normal) and axis.deviation < 0.0:
            yield Fault(("inputs", name, "normal", 1), "a standard deviation is 0 or more")
        elif isinstance(axis, Uniform) and axis.low > axis.high:
            yield Fault(("inputs", name, "uniform"), f"numbers between {axis.low} and {axis.high}: there are none")
        elif mode == "zip" and counts and axis.count not in counts.values():
            first, count = next(iter(counts.items()))
            detail = f"side by side all have the same number of values: {first!r} has {count}, {name!r} {axis.count}"
            yield Fault(("inputs", name, _kind(axis)), detail)
        else:
            counts[name] = axis.count


def _check_columns(sweep: Sweep) -> None:
    """Raise InvalidRequest where two figures of a point would have one name, as a node does that is called dF/da."""
    named = Counter([*sweep.columns, *(name for name in sweep.inputs if name not in sweep.outputs)])
    for name, count in named.items():
        if count > 1:
            raise InvalidRequest([Fault(("outputs",), f"two figures of each point would be called {name!r}")])


def _check_numbers(graph: Graph, sweep: Sweep) -> None:
    """Raise InvalidInputs where an axis leaves the range of float64, or is not of the whole numbers that it should be.

    Of a vector all numbers are looked at; else the first, the last and one between, which tell.
    """
    faults = []
    for name, axis in sweep.axes.items():
        listed = isinstance(axis, Values)
        numbers = axis.at(name, np.arange(axis.count) if listed else np.array([0, axis.count // 2, axis.count - 1]))
        if not listed and not np.isfinite(numbers).all():
            faults.append(Fault(("inputs", name, _kind(axis)), f"{name!r} leaves the range of float64"))
        else:
            read_input(name, {**graph.nodes[graph.position[name]].attributes, "shape": None}, numbers)
    if faults:
        raise InvalidInputs(faults)


def _kind(axis: Axis) -> str:
    """The member that says how an input varies."""
    return type(axis).__name__.lower()
