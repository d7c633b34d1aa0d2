"""Keeping a run that somebody else computed."""

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Connection

from service.core.differentiation import infer_shapes, nondifferentiable_nodes, spread_seed
from service.core.errors import Fault, InvalidInputs, LimitExceeded
from service.core.figures import Figures, FloatArray, Shape, pack
from service.core.graph import Graph
from service.storage import runs as storage
from service.storage.identifiers import new_id
from service.storage.records import RunRecord
from service.usecases.book import Book
from service.usecases.graphs import get_graph
from service.usecases.idempotency import IdempotencyKey, write_once
from service.usecases.runs import Run, choose_output, get_run, name_at


def record_run(
    book: Book,
    graph_id: str,
    inputs: Mapping[str, FloatArray],
    *,
    by: str,
    dtype: str = "float64",
    values: Mapping[str, FloatArray],
    gradients: Mapping[str, FloatArray],
    output: str | None = None,
    seed: FloatArray | None = None,
    label: str | None = None,
    tags: Mapping[str, str],
    key: IdempotencyKey | None = None,
) -> Run:
    """Keep figures as somebody gave them, any subset of nodes; `inputs` fill the Input values that `values` omits.

    Raises NotFound; InvalidInputs for names that are no nodes, shapes that do not fit, or nothing recorded at all.
    """
    stored = get_graph(book, graph_id)
    graph = book.graph(stored.digest)
    _check_names(graph, inputs, values, gradients)
    target = choose_output(graph, output, needed=bool(gradients) or seed is not None)
    known = {**inputs, **values}
    shapes = _check_shapes(graph, known, gradients, book.limits.run_elements)
    figures = _pack(graph, known)
    slopes = _pack(graph, gradients) if gradients else None
    spread = None
    if slopes is not None and target is not None:
        spread = spread_seed(np.float64(1.0) if seed is None else seed, shapes.get(target, ()))
    nonfinite_backward = None if slopes is None else slopes.first_nonfinite(backward=True)
    record = RunRecord(
        id=new_id(),
        graph_id=stored.id,
        graph_digest=stored.digest,
        source="recorded",
        recorded_by=by,
        dtype=dtype,
        output=target,
        seed=spread,
        has_values=bool(known),
        has_gradients=slopes is not None,
        nonfinite_forward=name_at(graph, figures.first_nonfinite()),
        nonfinite_backward=name_at(graph, nonfinite_backward),
        nondifferentiable=nondifferentiable_nodes(graph, figures),
        label=label,
        tags=tags,
        created_at=datetime.now(UTC),
    )

    def make(connection: Connection) -> tuple[str, str, bool]:
        storage.insert_run(connection, record, figures if known else None, slopes)
        return record.id, record.id, True

    made, _ = write_once(book.database, key, make, lambda connection, identifier: identifier)
    return get_run(book, made)


def _check_names(
    graph: Graph,
    inputs: Mapping[str, FloatArray],
    values: Mapping[str, FloatArray],
    gradients: Mapping[str, FloatArray],
) -> None:
    extra = [name for name in inputs if name not in graph.inputs]
    faults = [Fault(("inputs", name), f"the graph has no input {name!r}") for name in extra]
    for member, given in (("values", values), ("gradients", gradients)):
        faults.extend(
            Fault(("recorded", member, name), f"the graph has no node {name!r}")
            for name in given
            if name not in graph.position
        )
    faults.extend(
        Fault(("recorded", "gradients", name), f"{name!r} is a Constant, which has no gradient")
        for name in gradients
        if name in graph.position and graph.nodes[graph.position[name]].operation.name == "Constant"
    )
    if not values and not gradients:
        faults.append(Fault(("recorded",), "values, gradients or both are expected: nothing is recorded"))
    if faults:
        raise InvalidInputs(faults)


def _check_shapes(
    graph: Graph, known: Mapping[str, FloatArray], gradients: Mapping[str, FloatArray], most: int
) -> dict[str, Shape]:
    """The shapes of the nodes' figures, as far as they are known: all of them where every Input's is."""
    elements = sum(np.size(figure) for given in (known, gradients) for figure in given.values())
    if elements > most:
        raise LimitExceeded("run_elements", most, elements, f"a run holds at most {most} elements")
    if all(name in known for name in graph.inputs):
        inferred = infer_shapes(graph, {name: np.shape(known[name]) for name in graph.inputs}, max_elements=most)
        shapes = {node.name: shape for node, shape in zip(graph.nodes, inferred, strict=True)}
    else:
        shapes = {name: np.shape(figure) for name, figure in known.items()}
    faults = [
        Fault(
            ("recorded", member, name),
            f"{name!r} has shape {list(shapes[name])}; the figure has {list(np.shape(figure))}",
        )
        for member, given in (("values", known), ("gradients", gradients))
        for name, figure in given.items()
        if np.shape(figure) != shapes.setdefault(name, np.shape(figure))
    ]
    if faults:
        raise InvalidInputs(faults)
    return shapes


def _pack(graph: Graph, given: Mapping[str, FloatArray]) -> Figures:
    return pack([given.get(node.name) for node in graph.nodes])
