"""Plan a sweep: everything that is wrong with it is found before anything is computed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from service.core.errors import Fault, InvalidInputs, InvalidRequest, unknown_names
from service.core.execution.passes import fit_inputs
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Graph
from service.core.rulebook.operation import MINIMUM_NORM
from service.core.sweeps.axes import Axis
from service.core.sweeps.sweep import CHUNK, Sweep


def plan_sweep(
    graph: Graph,
    inputs: Mapping[str, Axis | FloatArray],
    *,
    mode: str = "grid",
    outputs: Sequence[str] | None = None,
    gradients: bool = False,
    output: str | None = None,
    convention: str = MINIMUM_NORM,
    chunk: int = CHUNK,
) -> Sweep:
    """The sweep of a graph over these inputs.

    The values of the graph's outputs are kept unless other nodes are named. With `gradients`, those of `output`, by
    default the only one of the outputs, with respect to each scalar Input that has a gradient are kept too.

    Raises InvalidInputs where an input is missing or unknown, an axis is empty, axes side by side are not equally long,
    shapes do not fit, or an output is no scalar; InvalidRequest where an output is unknown or not named.
    """
    if faults := list(_faults_of_axes(inputs, mode)):
        raise InvalidInputs(faults)
    kept = tuple(graph.outputs if outputs is None else outputs)
    _check_names(graph, kept, ("outputs",))
    target = None
    if gradients:
        if output is None and len(kept) != 1:
            raise InvalidRequest([Fault(("output",), f"name the output to differentiate, one of {', '.join(kept)}")])
        target = kept[0] if output is None else output
        _check_names(graph, [target], ("output",))
    scalars = [name for name, given in inputs.items() if not isinstance(given, np.ndarray) or not given.ndim]
    sweep = Sweep(dict(inputs), mode, kept, target, (), convention, None, chunk)
    tensors = {name: given for name, given in inputs.items() if isinstance(given, np.ndarray) and given.ndim}
    first = {name: column[0, ...] for name, column in sweep.at(np.zeros(1, dtype=np.int64)).items()}
    shapes = fit_inputs(graph, {**tensors, **first}).shapes
    for name in kept if target is None else dict.fromkeys([*kept, target]):
        if shapes is not None and (shape := shapes[graph.position[name]]):
            detail = f"{name!r} has shape {list(shape)}; a sweep keeps scalars, such as its sum"
            raise InvalidInputs([Fault(("outputs",), detail)])
    wrt = tuple(name for name in scalars if target is not None and graph.nodes[graph.position[name]].has_gradient)
    return replace(sweep, wrt=wrt)


def _faults_of_axes(inputs: Mapping[str, Axis | FloatArray], mode: str) -> Iterator[Fault]:
    counts: dict[str, int] = {}
    for name, axis in inputs.items():
        if isinstance(axis, np.ndarray):
            continue
        if axis.count < 1:
            yield Fault(("inputs", name, _kind(axis)), f"{name!r} has no value: a count is 1 or more")
        elif mode == "zip" and counts and axis.count not in counts.values():
            first, count = next(iter(counts.items()))
            detail = f"side by side all have the same number of values: {first!r} has {count}, {name!r} {axis.count}"
            yield Fault(("inputs", name, _kind(axis)), detail)
        else:
            counts[name] = axis.count


def _kind(axis: Axis) -> str:
    """The member that says how an input varies."""
    return type(axis).__name__.lower()


def _check_names(graph: Graph, names: Sequence[str], location: tuple[str, ...]) -> None:
    faults = [Fault(location, detail) for _, detail in unknown_names(names, graph.position, "the graph has no node")]
    if faults:
        raise InvalidRequest(faults)
