"""Record a run that another program or a person computed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Connection

from service.core.errors import Fault, InvalidInputs, LimitExceeded, unknown_names
from service.core.execution.misshapen import is_misshapen, set_aside_misshapen
from service.core.execution.nonfinite import first_nonfinite_gradient, first_nonfinite_value
from service.core.execution.passes import nondifferentiable_nodes, spread_seed
from service.core.execution.run import Run
from service.core.figures.figures import Figures, FloatArray, Shape, pack
from service.core.figures.weight import Weight
from service.core.graph.graph import Graph, Node
from service.core.graph.selection import choose_output, find_output
from service.core.graph.shapes import fit_shapes
from service.core.graph.work import work_of
from service.core.rounding.precision import coarsest
from service.core.rulebook.input_types import read_input
from service.core.rulebook.operation import MINIMUM_NORM
from service.storage import runs as storage
from service.storage.identifiers import new_id
from service.storage.records import GraphRecord, RunRecord
from service.usecases.context import Context
from service.usecases.graphs import get_graph
from service.usecases.idempotency import IdempotencyKey, write_once
from service.usecases.runs import StoredRun, admit_one_sided, get_run
from service.usecases.tensors import Given, load_array, load_arrays, named_tensors, tensors_of, with_weights
from service.usecases.weighing import RECORDED_NODE


def record_run(
    context: Context,
    graph_id: str,
    inputs: Mapping[str, Given],
    *,
    by: str,
    dtype: str = "float64",
    values: Mapping[str, Given | None],
    gradients: Mapping[str, Given | None],
    output: str | None = None,
    seed: Given | None = None,
    label: str | None = None,
    tags: Mapping[str, str],
    key: IdempotencyKey | None = None,
) -> StoredRun:
    """Store the given figures of any nodes; `inputs`, and then the graph's weights, are the values of Inputs that
    `values` omits.

    None records that there was no figure, as of a detached parameter's gradient.

    Raises NotFound; InvalidInputs for unknown names, shapes that do not fit the graph, and if no figure is given.
    """
    given = {"values": values, "gradients": gradients}
    run = read_recording(
        context, graph_id, inputs, given, by=by, dtype=dtype, output=output, seed=seed, label=label, tags=tags
    )

    admit_one_sided(context, run.graph, run.values, run.record.nondifferentiable)

    def make(connection: Connection) -> tuple[str, str, bool]:
        insert_whole_run(connection, run)
        return run.record.id, run.record.id, True

    made, _ = write_once(context.database, key, make, lambda connection, identifier: identifier)
    return run if made == run.record.id else get_run(context, made)


def read_recording(
    context: Context,
    graph_id: str,
    inputs: Mapping[str, Given],
    given: Mapping[str, Mapping[str, Given | None]],
    *,
    by: str,
    dtype: str = "float64",
    output: str | None,
    seed: Given | None,
    label: str | None = None,
    tags: Mapping[str, str],
    member: str = "recorded",
    resolve: Callable[[], Mapping[str, Mapping[str, FloatArray | None]]] | None = None,
) -> StoredRun:
    """Make a run of recorded figures without storing it; raises as `record_run`.

    `given` holds its "values" and "gradients", `member` is where the request has them. `resolve`, called once they are
    known to fit the graph, returns those to record in their place, of the same names and shapes.
    """
    stored = get_graph(context, graph_id)
    graph = context.graph(stored.digest)
    inputs = with_weights(stored, inputs, without=given["values"])
    _check_names(graph, inputs, given, member)
    named = named_tensors(inputs) | named_tensors(given["values"])
    read = load_arrays(context, inputs, ("inputs",))
    recorded: Mapping[str, Mapping[str, FloatArray | None]] = {
        kind: load_arrays(context, each, (member, kind)) for kind, each in given.items()
    }
    figures = {kind: {name: each for name, each in all_.items() if each is not None} for kind, all_ in recorded.items()}
    nodes, position = graph.nodes, graph.position
    arrays = {name: read_input(name, nodes[position[name]].attributes, figure) for name, figure in read.items()}
    start = None if seed is None else load_array(context, seed, ("seed",))
    target = (choose_output if recorded["gradients"] or start is not None else find_output)(graph, output)
    shapes = check_shapes(graph, arrays, figures, member, context.limits.run_elements)
    context.admit(weigh_recording(graph, shapes))
    recorded = resolve() if resolve else recorded
    own = {name: figure for name, figure in recorded["values"].items() if figure is not None or name not in arrays}
    known, gradients = {**arrays, **own}, recorded["gradients"]
    values = _pack(graph, known)
    slopes = _pack(graph, gradients) if gradients else None
    spread = None
    if slopes is not None and target is not None:
        spread = spread_seed(np.float64(1.0) if start is None else start, shapes.get(target, ()))
    tensors = tensors_of(graph, values, named, {**read, **figures["values"]})
    return as_recorded(
        stored,
        graph,
        values,
        slopes,
        by=by,
        dtype=dtype,
        output=target,
        seed=spread,
        label=label,
        tags=tags,
        tensors=tensors,
    )


def as_recorded(
    stored: GraphRecord,
    graph: Graph,
    values: Figures,
    gradients: Figures | None = None,
    *,
    by: str,
    dtype: str,
    output: str | None = None,
    seed: FloatArray | None = None,
    label: str | None = None,
    tags: Mapping[str, str],
    tensors: Mapping[int, str],
) -> StoredRun:
    """Recorded figures that fit the graph, with the record of a new run."""
    record = RunRecord(
        id=new_id(),
        graph_id=stored.id,
        graph_name=stored.name,
        graph_version=stored.version,
        graph_digest=stored.digest,
        source="recorded",
        recorded_by=by,
        dtype=coarsest("float32", dtype) if graph.float32_nodes else dtype,
        output=output,
        seed=seed,
        has_values=values.present is None or values.none is not None or bool(values.present.any()),
        has_gradients=gradients is not None,
        nonfinite_forward=first_nonfinite_value(graph, values),
        nonfinite_backward=None if gradients is None else first_nonfinite_gradient(graph, gradients, output),
        nondifferentiable=nondifferentiable_nodes(graph, set_aside_misshapen(Run(graph, values)).values),
        convention=MINIMUM_NORM,
        label=label,
        tags=tags,
        created_at=datetime.now(UTC),
        tensors=tensors,
    )
    return StoredRun(record, graph, values, gradients)


def weigh_recording(graph: Graph, shapes: Mapping[str, Shape]) -> Weight:
    """Of packing and storing figures of these shapes, and of looking where no derivative exists."""
    weight = RECORDED_NODE * len(graph)
    if not any(shapes.values()):
        return weight
    work = work_of(graph, tuple(shapes.get(node.name, ()) for node in graph.nodes))
    return weight + Weight(work.forward.operations, 8.0 * (9.0 * work.elements + work.forward.elements))


def insert_whole_run(connection: Connection, run: StoredRun) -> None:
    """Store a run with all its figures."""
    storage.insert_runs(connection, [run.new])


def _check_names(
    graph: Graph, inputs: Mapping[str, Given], given: Mapping[str, Mapping[str, Given | None]], member: str
) -> None:
    faults = [
        Fault(("inputs", name), detail)
        for name, detail in unknown_names(inputs, set(graph.inputs), "the graph has no input")
    ]
    faults.extend(
        Fault((member, kind, name), detail)
        for kind, figures in given.items()
        for name, detail in unknown_names(figures, graph.position, "the graph has no node")
    )
    faults.extend(
        Fault((member, "gradients", name), f"{name!r} is a {_without_gradient(node)}, which has no gradient")
        for name, figure in given["gradients"].items()
        if figure is not None
        and name in graph.position
        and not (node := graph.nodes[graph.position[name]]).has_gradient
    )
    if not any(given.values()):
        faults.append(Fault((member,), "values, gradients or both are expected: nothing is given"))
    if faults:
        raise InvalidInputs(faults)


def _without_gradient(node: Node) -> str:
    return "Constant" if node.operation.is_constant else "whole number"


def check_shapes(
    graph: Graph,
    inputs: Mapping[str, FloatArray],
    given: Mapping[str, Mapping[str, FloatArray]],
    member: str,
    most: int,
) -> dict[str, Shape]:
    """Infer the shapes of the nodes' figures from those given; raises InvalidInputs, LimitExceeded.

    The shape of a transpose, or of a gradient not summed over a broadcast axis, is a mistake to be found, no fault.
    """
    values, gradients = {**inputs, **given["values"]}, given["gradients"]
    elements = sum(np.size(figure) for figures in (values, gradients) for figure in figures.values())
    if elements > most:
        raise LimitExceeded("run_elements", most, elements, f"a run holds at most {most} elements")
    positions = {graph.position[name]: np.shape(figure) for name, figure in values.items()}
    known, wrong = fit_shapes(graph, positions, most)
    shapes = {graph.nodes[position].name: shape for position, shape in known.items()}
    faults = []
    for position, detail in wrong:
        node = graph.nodes[position]
        if position in positions and is_misshapen(graph, "forward", position, positions[position], known):
            continue
        at = next((name for name in (node.name, *node.inputs) if name in given["values"]), None)
        faults.append(Fault(("inputs",) if at is None else (member, "values", at), detail))
    faults += [
        Fault((member, "values", name), f"{name!r} has shape {list(np.shape(inputs[name]))} in inputs, another here")
        for name, figure in given["values"].items()
        if name in inputs and np.shape(inputs[name]) != np.shape(figure)
    ]
    faults += [
        Fault(
            (member, "gradients", name),
            f"{name!r} has shape {list(shapes[name])}; the gradient has {list(np.shape(figure))}",
        )
        for name, figure in gradients.items()
        if np.shape(figure) != shapes.setdefault(name, np.shape(figure))
        and not is_misshapen(graph, "backward", graph.position[name], np.shape(figure), known)
    ]
    if faults:
        raise InvalidInputs(faults)
    return shapes


def _pack(graph: Graph, given: Mapping[str, FloatArray | None]) -> Figures:
    """The given figures of the graph's nodes, with those that are given as None marked."""
    figures = pack([given.get(node.name) for node in graph.nodes])
    if all(figure is not None for figure in given.values()):
        return figures
    none = np.zeros(len(graph), dtype=bool)
    none[[graph.position[name] for name, figure in given.items() if figure is None]] = True
    return replace(figures, none=none)
