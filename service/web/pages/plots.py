"""Plots of a graph: a node over one input, the others held at a run's point, with the tangent there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from service.api.http.request import context
from service.core.errors import Fault, GradbookError, InvalidInputs
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Graph, Node
from service.usecases import runs
from service.usecases.runs import StoredRun
from service.web.pages.figures import spoken
from service.web.pages.forms import read_number
from service.web.plot import Curve, Mark, draw_plot, sample

_MOST_NODES = 60  # among which the plotted one is chosen
_LEAST_REACH, _SHARE = 2.0, 2 / 3  # on both sides of the point: two, or this share of it


@dataclass(frozen=True, slots=True)
class FunctionPlot:
    """What is plotted and what may be, the inputs that are held, and the plot, or what is wrong with the range."""

    of: str
    over: str
    low: str
    high: str
    nodes: Sequence[str]
    inputs: Sequence[str]
    held: Sequence[tuple[str, str]]
    drawn: Markup | None = None
    fault: str = ""


def draw_function(graph: Graph, run: StoredRun, asked: Mapping[str, str]) -> FunctionPlot | None:
    """Plot the node `plot` over the input `over`, from `low` to `high`; None for a graph that is not of scalars."""
    point = inputs_of(run)
    if not graph.inputs or not _is_scalar(graph, point):
        return None
    computed = [node.name for node in reversed(graph.nodes) if is_computed(node)]
    nodes, inputs = list(dict.fromkeys([*graph.outputs, *computed]))[:_MOST_NODES], list(graph.inputs)
    of = chosen(asked.get("plot"), nodes, run.record.output)
    over = chosen(asked.get("over"), inputs, inputs[-1])
    at = float(np.nan_to_num(point[over], posinf=0.0, neginf=0.0))
    reach = max(_LEAST_REACH, _SHARE * abs(at))
    ends = (_rounded(at - reach), _rounded(at + reach))
    kept = asked if asked.get("was", over) == over else {}  # a range that was given for another input is not meant
    low, high = (kept.get(name) or end for name, end in zip(("low", "high"), ends, strict=True))
    held = [(name, spoken(figure)) for name, figure in point.items() if name != over]
    shown = FunctionPlot(of, over, low, high, nodes, inputs, held)
    try:
        return replace(shown, drawn=_draw(run, shown, point))
    except GradbookError as error:
        return replace(shown, fault=error.detail)


def inputs_of(run: StoredRun) -> dict[str, FloatArray]:
    """The inputs of a run, those that it has."""
    figures = {name: run.values[run.graph.position[name]] for name in run.graph.inputs}
    return {name: figure for name, figure in figures.items() if figure is not None}


def evaluate_at(run: StoredRun, of: str) -> StoredRun | None:
    """The graph at a run's point, with gradients of any node; None where the point is not known or it is too much."""
    point = inputs_of(run)
    if len(point) < len(run.graph.inputs):
        return None
    graph_id, convention = run.record.graph_id, run.record.convention
    try:
        return runs.create_run(context(), graph_id, point, output=of, convention=convention, tags={}, keep=False)
    except GradbookError:
        return None


def _draw(run: StoredRun, shown: FunctionPlot, point: Mapping[str, FloatArray]) -> Markup:
    low, high = read_number(shown.low), read_number(shown.high)
    if not low < high:
        raise InvalidInputs([Fault((), f"“from” must be below “to”: {shown.low} is not below {shown.high}")])
    x = sample(low, high)
    given = {**point, shown.over: x}
    batch = runs.create_run(context(), run.record.graph_id, given, backward=False, tags={}, keep=False)
    y = batch.values[run.graph.position[shown.of]]
    assert y is not None
    curve = Curve(x, np.broadcast_to(y, x.shape))
    return draw_plot([curve], over=shown.over, of=shown.of, mark=_mark(run, shown, low, high))


def _mark(run: StoredRun, shown: FunctionPlot, low: float, high: float) -> Mark | None:
    """The run's point on the curve and its slope, where the plot shows it."""
    made = evaluate_at(run, shown.of)
    if made is None or made.gradients is None:
        return None
    at, there = (made.values[made.graph.position[name]] for name in (shown.over, shown.of))
    slope = made.gradients[made.graph.position[shown.over]]
    assert at is not None and there is not None and slope is not None
    return Mark(float(at), float(there), float(slope)) if low <= at <= high else None


def _is_scalar(graph: Graph, point: Mapping[str, FloatArray]) -> bool:
    """Whether each node is a number at the point, and stays one at each of many points."""
    return len(point) == len(graph.inputs) and all(
        not point[node.name].ndim
        if node.operation.is_input
        else node.operation.is_elementwise
        if is_computed(node)
        else not np.ndim(node.attributes["value"])
        for node in graph.nodes
    )


def is_computed(node: Node) -> bool:
    """Whether a node is neither an Input nor a Constant."""
    return not node.operation.is_input and not node.operation.is_constant


def chosen(asked: str | None, among: Sequence[str], default: str | None = None) -> str:
    """What is asked for, if it may be; else the default, if that may be; else the first."""
    return next((name for name in (asked, default) if name is not None and name in among), among[0])


def _rounded(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
