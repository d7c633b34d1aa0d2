"""Check gradients against the forward pass; nothing is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from service.core.comparison.verdicts import Tolerance
from service.core.derivatives import gradient_check as core
from service.core.derivatives.gradient_check import CheckVerdict, NodeCheck
from service.core.derivatives.weights import weigh_check
from service.core.errors import Fault, InvalidRequest
from service.core.execution.passes import evaluate
from service.core.execution.weights import weigh_forward
from service.core.figures.figures import Figures, FloatArray, blank_figures
from service.core.graph.graph import Graph
from service.core.graph.selection import choose_output, gradient_faults, read_names
from service.usecases.comparisons import read_tolerance
from service.usecases.context import Context
from service.usecases.graphs import get_graph
from service.usecases.references import named_at
from service.usecases.runs import StoredRun, fit_to, get_run
from service.usecases.tensors import Given, load_arrays, with_weights
from service.usecases.weighing import JSON, WholeAnswer


@dataclass(frozen=True, slots=True)
class GradientCheck:
    """The verdict of a method on each node that was checked, inputs first."""

    method: str
    output: str
    nodes: tuple[NodeCheck, ...]

    @property
    def verdict(self) -> CheckVerdict:
        """The worst verdict of all nodes."""
        return core.worst_verdict(self.nodes)


def check_gradients(
    context: Context,
    graph_id: str,
    inputs: Mapping[str, Given],
    *,
    method: str = "taylor",
    nodes: Sequence[str] = (),
    output: str | None = None,
    run: str | None = None,
    gradients: Mapping[str, Given] | None = None,
    tolerance: object = None,
) -> GradientCheck:
    """Check the gradient of the output with respect to every input, and to `nodes`, by one of core's METHODS.

    `gradients`, and those of a recorded `run`, are checked instead of ours, and may be off by `tolerance`. The run says
    what the output, its seed and the inputs are. The graph's weights are the inputs that neither gives. All figures are
    computed in float64. Inputs of whole numbers have no gradient and are left out.

    Raises NotFound, InvalidInputs, InvalidRequest, LimitExceeded.
    """
    stored = get_graph(context, graph_id)
    graph = context.graph(stored.digest).in_float64()
    known = None if run is None else _read_run(context, run, stored.digest, output)
    if known is not None:
        given = {name: known.values[graph.position[name]] for name in graph.inputs}
        inputs = {**inputs, **{name: figure for name, figure in given.items() if figure is not None}}
        output = known.record.output
    target = choose_output(graph, output)
    asked = read_names(graph, nodes, "nodes") if nodes not in ([], ()) else ()
    limits = context.limits
    fitted = fit_to(context, graph, load_arrays(context, with_weights(stored, inputs), ("inputs",)))
    values = blank_figures(fitted.shapes, len(graph))
    claimed = _read_gradients(graph, values, load_arrays(context, gradients or {}, ("gradients",)))
    if known is not None and known.gradients is not None:
        recorded = {position: each for position, each in enumerate(known.gradients) if each is not None}
        if any(np.shape(each) != values.shape(position) for position, each in recorded.items()):
            raise InvalidRequest([Fault(("run",), "this run has a gradient of another shape than its node's value")])
        claimed = {**recorded, **claimed}
    positions = [graph.position[name] for name in dict.fromkeys([*graph.inputs, *asked])]
    if known is None or known.record.source == "recorded":
        positions = list(dict.fromkeys([*positions, *claimed]))
    positions = [position for position in positions if graph.nodes[position].has_gradient]
    weight = weigh_forward(graph, fitted.shapes) + weigh_check(graph, values, target, positions, method)
    context.admit(weight, _answer(values, positions, method))
    checks = core.check_gradients(
        graph,
        evaluate(fitted),
        target,
        positions,
        method,
        seed=1.0 if known is None or known.record.seed is None else known.record.seed,
        claimed=_with_slack(claimed, read_tolerance(_tolerance(tolerance, known))),
        max_elements=limits.run_elements,
    )
    return GradientCheck(method, target, checks)


def _answer(values: Figures, positions: Sequence[int], method: str) -> WholeAnswer:
    """Of each node its gradient and the estimate: of each element, unless the method moves along one direction."""
    each = [1 if method == "taylor" else prod(values.shape(position)) for position in positions]
    return WholeAnswer(JSON, 2 * sum(each), len(each), other_form=False)


def _read_run(context: Context, run_id: str, digest: str, output: str | None) -> StoredRun:
    """The run of this graph whose gradients to check; raises NotFound, InvalidRequest."""
    with named_at("run"):
        run = get_run(context, run_id)
    wrong = None
    if run.record.graph_digest != digest:
        wrong = "this run is of another graph"
    elif run.gradients is None:
        wrong = "this run has no gradients"
    elif output not in (None, run.record.output):
        raise InvalidRequest([Fault(("output",), f"the gradients of this run are of {run.record.output!r}")])
    if wrong:
        raise InvalidRequest([Fault(("run",), wrong)])
    return run


def _read_gradients(graph: Graph, values: Figures, given: Mapping[str, FloatArray]) -> dict[int, FloatArray]:
    """The gradients to check, by position; raises InvalidRequest where there is no such gradient, or another shape."""
    faults = []
    for name, gradient in given.items():
        location = ("gradients", name)
        wrong = gradient_faults(graph, name, location)
        faults += wrong
        shape = () if wrong else values.shape(graph.position[name])
        if not wrong and np.shape(gradient) != shape:
            detail = f"{name!r} has shape {list(shape)}; the gradient has {list(np.shape(gradient))}"
            faults.append(Fault(location, detail))
    if faults:
        raise InvalidRequest(faults)
    return {graph.position[name]: gradient for name, gradient in given.items()}


def _tolerance(given: object, run: StoredRun | None) -> object:
    if given is not None:
        return given
    return "float64" if run is None else run.record.dtype


def _with_slack(claimed: Mapping[int, FloatArray], tolerance: Tolerance) -> dict[int, core.ClaimedGradient]:
    """Each gradient with what each of its elements may be off by: rtol of it and of the largest one beside it, and atol
    of the largest of all, which counts as 1 at most."""

    def largest(gradient: FloatArray) -> float:
        return float(np.nan_to_num(np.absolute(gradient), nan=0.0).max(initial=0.0))

    least = tolerance.atol * min(1.0, max(map(largest, claimed.values()), default=0.0))
    return {
        position: (gradient, tolerance.rtol * (np.absolute(gradient) + largest(gradient)) + least)
        for position, gradient in claimed.items()
    }
