"""Compute Jacobians, Hessians and their products with vectors, store them and read them back."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import prod
from typing import Any, Unpack

import numpy as np
from sqlalchemy import Connection

from service.core.derivatives import jacobian as core
from service.core.derivatives.weights import weigh_derivatives
from service.core.errors import Fault, InvalidInputs, InvalidRequest
from service.core.execution.passes import backward_pass, evaluate
from service.core.execution.weights import weigh_forward
from service.core.figures.figures import Figures, FloatArray, blank_figures
from service.core.figures.weight import Weight
from service.core.graph.graph import Graph
from service.core.graph.selection import choose_output, read_names, read_nodes
from service.settings import Limits
from service.storage import derivatives as storage
from service.storage.derivatives import Block, DerivativesHead, DerivativesRecord
from service.storage.identifiers import new_id
from service.storage.listing import Listed
from service.usecases import references
from service.usecases.context import Context
from service.usecases.graphs import get_graph
from service.usecases.idempotency import IdempotencyKey, made_before, write_once
from service.usecases.runs import fit_to
from service.usecases.tensors import Given, load_array, load_arrays, named_tensors, with_weights
from service.usecases.weighing import JSON, STORED_BYTE, WholeAnswer

_BLOCK = Weight(5_000.0, 200.0)  # each is an array, of one number maybe, with the names that it is of

KINDS = ("jacobian", "jvp", "vjp", "hvp", "hessian")


def create_derivatives(
    context: Context,
    graph_id: str,
    kind: str,
    inputs: Mapping[str, Given],
    *,
    outputs: object = None,
    wrt: object = None,
    vector: Mapping[str, Given] | Given | None = None,
    key: IdempotencyKey | None = None,
) -> DerivativesRecord:
    """Differentiate a stored graph at `inputs` in float64 and store the result.

    The graph's weights are the inputs that are left out.

    `outputs` and `wrt` name any nodes; the default is the graph's outputs and inputs. Second derivatives are of the
    sum over one output's elements. `vector` holds a tangent for each node of `wrt` (jvp, hvp) or a seed for each node
    of `outputs` (vjp), by name or, if there is one node, as an array; those left out are 0.
    Raises NotFound, InvalidInputs, InvalidRequest, LimitExceeded.
    """
    stored = get_graph(context, graph_id)
    if key:
        with context.database.read() as connection:
            known = made_before(connection, key)
        if known:
            return get_derivatives(context, known.resource_id)
    graph = context.graph(stored.digest).in_float64()
    of = _read_outputs(graph, kind, outputs)
    sources = [name for name in graph.inputs if graph.nodes[graph.position[name]].has_gradient]
    sources = list(read_names(graph, wrt, "wrt")) if wrt is not None else sources
    limits = context.limits
    given = with_weights(stored, inputs)
    arrays = load_arrays(context, given, ("inputs",))
    fitted = fit_to(context, graph, arrays)
    blank = blank_figures(fitted.shapes, len(graph))
    along = _read_vector(graph, blank, kind, of if kind == "vjp" else sources, _read_tensors(context, vector))
    _check_size(graph, blank, kind, of, sources, limits)
    answer = _answer(graph, blank, kind, of, sources)
    weight = weigh_forward(graph, fitted.shapes) + weigh_derivatives(graph, blank, kind, of, sources)
    context.admit(weight + _BLOCK * answer.items, answer)
    values = evaluate(fitted)
    record = DerivativesRecord(
        id=new_id(),
        graph_id=stored.id,
        graph_digest=stored.digest,
        kind=kind,
        outputs=tuple(of),
        wrt=tuple(sources),
        inputs=arrays,
        vector=along,
        blocks=tuple(_differentiate(graph, values, kind, of, sources, along)) if sources else (),
        created_at=datetime.now(UTC),
        tensors=named_tensors(given),
    )

    def make(connection: Connection) -> tuple[DerivativesRecord, str, bool]:
        storage.insert_derivatives(connection, record)
        return record, record.id, True

    return write_once(context.database, key, make, storage.get_derivatives)[0]


def get_derivatives(context: Context, derivatives_id: str) -> DerivativesRecord:
    """Read stored derivatives; raises NotFound."""
    with context.database.read() as connection:
        identifier = references.derivatives_id(connection, derivatives_id)
        numbers, items = storage.count_numbers(connection, identifier)
        context.admit(STORED_BYTE * (8 * numbers), WholeAnswer(JSON, numbers, items, other_form=False))
        return storage.get_derivatives(connection, identifier)


def list_derivatives(context: Context, graph: str, *, limit: int, **asked: Unpack[Listed]) -> list[DerivativesHead]:
    """List the derivatives of a graph without their figures, newest first unless `sort` says; raises NotFound."""
    with context.database.read() as connection:
        of = references.graph_id(connection, graph)
        return storage.list_derivatives(connection, graph=of, limit=limit, **asked)


def _answer(graph: Graph, values: Figures, kind: str, of: Sequence[str], wrt: Sequence[str]) -> WholeAnswer:
    """The blocks, and the inputs and the vector, which are given back."""
    rows, columns, inputs = (
        sum(prod(values.shape(graph.position[name])) for name in names) for names in (of, wrt, graph.inputs)
    )
    numbers = {"jacobian": rows * columns, "hessian": columns**2, "jvp": rows, "vjp": columns, "hvp": columns}[kind]
    blocks = len(wrt) * len(wrt if kind == "hessian" else of if kind == "jacobian" else [kind])
    vector = {"jvp": columns, "hvp": columns, "vjp": rows}.get(kind, 0)
    return WholeAnswer(JSON, numbers + inputs + vector, blocks + len(graph.inputs), other_form=False)


def _differentiate(
    graph: Graph, values: Figures, kind: str, of: Sequence[str], wrt: Sequence[str], vector: Mapping[str, FloatArray]
) -> list[Block]:
    if kind in ("jacobian", "hessian"):
        blocks = (
            core.jacobian(graph, values, of, wrt) if kind == "jacobian" else core.hessian(graph, values, of[0], wrt)
        )
        return [Block(name, source, block) for (name, source), block in blocks.items()]
    if kind == "vjp":
        gradients: list[list[Any]] = [list(backward_pass(graph, values, name, vector[name])) for name in of]
        positions = [graph.position[name] for name in wrt]
        return [
            Block(_the_only(of), name, np.asarray(sum(found[position] for found in gradients)))
            for name, position in zip(wrt, positions, strict=True)
        ]
    tangents = {name: direction[np.newaxis] for name, direction in vector.items()}
    if kind == "jvp":
        moved = core.push_forward(graph, values, tangents, of)
    else:
        moved, of = core.push_gradients(graph, values, of[0], tangents, wrt), wrt
    return [Block(name, _the_only(wrt), along[0]) for name, along in zip(of, moved, strict=True)]


def _the_only(names: Sequence[str]) -> str | None:
    return names[0] if len(names) == 1 else None


def _read_outputs(graph: Graph, kind: str, outputs: object) -> Sequence[str]:
    if outputs is None and kind not in ("hvp", "hessian"):
        return graph.outputs
    if outputs is None:
        return [choose_output(graph, None, "outputs")]
    named = read_nodes(graph, outputs, "outputs")
    if kind in ("hvp", "hessian") and len(named) > 1:
        raise InvalidRequest([Fault(("outputs",), "second derivatives take exactly one output")])
    return named


def _read_tensors(
    context: Context, vector: Mapping[str, Given] | Given | None
) -> Mapping[str, FloatArray] | FloatArray | None:
    if isinstance(vector, Mapping):
        return load_arrays(context, vector, ("vector",))
    return None if vector is None else load_array(context, vector, ("vector",))


def _read_vector(
    graph: Graph,
    values: Figures,
    kind: str,
    names: Sequence[str],
    vector: Mapping[str, FloatArray] | FloatArray | None,
) -> dict[str, FloatArray]:
    """The part of the vector for each of `names`, broadcast from a scalar to the node's shape."""
    if kind in ("jacobian", "hessian"):
        if vector is not None:
            raise InvalidRequest([Fault(("vector",), f"a {kind} is a whole matrix: leave vector out")])
        return {}
    if vector is None:
        raise InvalidRequest([Fault(("vector",), f"{kind} needs a vector")])
    if not isinstance(vector, Mapping):
        if len(names) != 1:
            raise InvalidInputs([Fault(("vector",), f"an array for each of {', '.join(map(repr, names))} is expected")])
        vector = {names[0]: vector}
    shapes = {name: values.shape(graph.position[name]) for name in names}
    faults = []
    for name, part in vector.items():
        if name not in shapes:
            faults.append(Fault(("vector", name), f"unknown node {name!r}; expected: {', '.join(map(repr, names))}"))
        elif part.shape not in ((), shapes[name]):
            wrong = f"shape {list(part.shape)} is given; {name!r} has shape {list(shapes[name])}"
            faults.append(Fault(("vector", name), wrong))
    if faults:
        raise InvalidInputs(faults)
    return {name: np.broadcast_to(vector.get(name, np.zeros(())), shape) for name, shape in shapes.items()}


def _check_size(
    graph: Graph, values: Figures, kind: str, of: Sequence[str], wrt: Sequence[str], limits: Limits
) -> None:
    """Raise LimitExceeded, before computing, if a block or the work would be too large."""
    forward = core.forward_sweeps(graph, values, wrt if kind in ("jacobian", "hessian") else ())
    reverse = sum(prod(values.shape(graph.position[name])) for name in of)
    sweeps = {"jacobian": min(forward, reverse), "vjp": len(of)}.get(kind, forward + 1)
    rows = {"jacobian": of, "hessian": wrt}.get(kind, ())
    core.check_size(
        graph, values, rows, wrt, sweeps, max_tensor=limits.tensor_elements, max_elements=limits.run_elements
    )
