"""Records and figures as the JSON documents of answers."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from math import isfinite
from typing import Any

import numpy as np

from service.api.numbers import write_array, write_number
from service.core.derivatives.one_sided import OneSided
from service.core.execution.nonfinite import FirstNonfinite
from service.core.figures.figures import Figures, FloatArray
from service.core.graph.graph import Node, node_document, written_attribute
from service.core.graph.parts import GraphPart, parts_of
from service.core.rulebook.tensor import Tensor
from service.storage.records import GraphRecord, RunEnds, RunRecord
from service.usecases.run_ends import LARGEST_LISTED, if_small
from service.usecases.runs import StoredRun
from service.usecases.tensors import write_digest


def graph_document(record: GraphRecord) -> dict[str, Any]:
    """A graph without its nodes."""
    return {
        "id": record.id,
        "name": record.name,
        "version": record.version,
        "digest": record.digest,
        "inputs": record.inputs,
        "outputs": record.outputs,
        "node_count": record.node_count,
        "expression": record.expression,
        "parent": record.parent,
        **({"weights": {name: write_digest(each) for name, each in record.weights.items()}} if record.weights else {}),
        "tags": record.tags,
        "created_at": record.created_at.isoformat(),
    }


def part_documents(parts: Iterable[GraphPart]) -> list[dict[str, Any]]:
    """What nodes were expanded from."""
    return [
        {"name": part.name, "operation": part.operation, **({"graph": part.graph} if part.graph else {})}
        for part in parts
    ]


def graph_node_documents(nodes: Sequence[Node], parts: Sequence[GraphPart] = ()) -> list[dict[str, Any]]:
    """Nodes of a graph, each with the part that it lies in, if it does."""
    outer = parts_of([node.name for node in nodes], parts)
    return [
        {"inputs": [], **node_document(node, _written_attribute), **({"part_of": part} if part else {})}
        for node, part in zip(nodes, outer, strict=True)
    ]


def _written_attribute(value: Any) -> Any:
    is_listed = isinstance(value, Tensor) and value.lengths_text is None
    return write_array(value.array) if is_listed else written_attribute(value)


def run_document(run: StoredRun, largest: int | None = LARGEST_LISTED) -> dict[str, Any]:
    """A run without its nodes; a tensor of more than `largest` elements is null."""
    return listed_run_document(run.record, run.ends(largest), largest)


def listed_run_document(record: RunRecord, ends: RunEnds, largest: int | None = LARGEST_LISTED) -> dict[str, Any]:
    """A run without its nodes, by its record and its ends; a seed of more than `largest` elements is null."""
    figures = _written(ends.figures, whole=True)
    count, start = len(ends.inputs), len(ends.inputs) + len(ends.outputs)
    inputs = dict(zip(ends.inputs, figures, strict=False))
    inputs |= {ends.inputs[number]: {"tensor": write_digest(digest)} for number, digest in ends.tensors.items()}
    return {
        "id": record.id or None,
        "graph_id": record.graph_id,
        "graph_name": record.graph_name,
        "graph_version": record.graph_version,
        "graph_digest": record.graph_digest,
        "source": record.source,
        **({"recorded_by": record.recorded_by} if record.source == "recorded" else {"conventions": record.convention}),
        **({"dtype": record.dtype} if record.source == "recorded" or record.dtype != "float64" else {}),
        "inputs": inputs,
        "output": record.output,
        "seed": write_array(if_small(_as_given(record.seed), largest)),
        "outputs": dict(zip(ends.outputs, figures[count:start], strict=True)),
        "gradients": dict(zip(ends.inputs, figures[start:], strict=True)) if record.has_gradients else None,
        "nonfinite": _nonfinite_document(record.nonfinite_forward, record.nonfinite_backward),
        "label": record.label,
        "tags": record.tags,
        "created_at": record.created_at.isoformat(),
    }


def _nonfinite_document(forward: FirstNonfinite | None, backward: FirstNonfinite | None) -> dict[str, Any]:
    document: dict[str, Any] = {"forward": forward and forward.node, "backward": backward and backward.node}
    if forward is backward is None:
        return document
    kinds = {
        "infinity": {"forward": forward and forward.infinity, "backward": backward and backward.infinity},
        "nan": {"forward": forward and forward.nan, "backward": backward and backward.nan},
    }
    return document | (kinds if any(name for names in kinds.values() for name in names.values()) else {})


def run_node_documents(
    run: StoredRun,
    one_sided: Callable[[int], Iterable[OneSided]],
    closed: Mapping[int, Iterable[int]],
    whole: bool = False,
) -> Iterator[dict[str, Any]]:
    """The nodes of a run that it holds figures of; with `whole`, tensors of any size.

    By position, `one_sided` computes the derivatives at kinks, and `closed` says along which operands nothing flows
    back.
    """
    kinks, shut = set(run.record.nondifferentiable), closed_names(run, closed)
    values = _written(run.values, whole)
    gradients = repeat(None) if run.gradients is None else _written(run.gradients, whole)
    for index, (node, value, gradient) in enumerate(zip(run.nodes, values, gradients, strict=False)):
        document: dict[str, Any] = {"name": node.name, "operation": node.operation.name}
        if shape := run.values.shape(index):
            document["shape"] = shape
        document["value"] = value
        document["gradient"] = gradient
        if shut[index]:
            document["closed"] = shut[index]
        if run.start + index in kinks:
            document["nondifferentiable"] = True
            document["one_sided"] = [
                {
                    "operand": slope.operand,
                    "left": write_array(slope.left if whole else if_small(slope.left)),
                    "right": write_array(slope.right if whole else if_small(slope.right)),
                }
                for slope in one_sided(run.start + index)
            ]
        yield document


def closed_names(run: StoredRun, closed: Mapping[int, Iterable[int]]) -> list[Sequence[str]]:
    """For each of a run's nodes the names of the operands along which nothing flows back, by position and index."""
    nodes = run.nodes
    names: list[Sequence[str]] = [()] * len(nodes)
    for position, operands in closed.items():
        index = position - run.start
        names[index] = [nodes[index].inputs[operand] for operand in operands]
    return names


def _written(figures: Figures, whole: bool) -> list[Any]:
    """Each figure as JSON; scalars, of which there may be many, without making an array of each."""
    if figures.shapes is not None:
        return [write_array(figure if whole else if_small(figure)) for figure in figures]
    written: list[Any] = figures.flat.tolist()
    if not all(map(isfinite, written)):
        written = [write_number(value) for value in written]
    if figures.present is not None:
        written = [value if there else None for value, there in zip(written, figures.present.tolist(), strict=True)]
    return written


def _as_given(seed: FloatArray | None) -> FloatArray | None:
    """A seed whose elements all have the same bits as a scalar: it was, or might have been, given so."""
    if seed is None or seed.ndim == 0 or seed.size == 0:
        return seed
    bits = np.ascontiguousarray(seed).view(np.int64)  # NaN is NaN, and -0.0 is not 0.0
    return seed if (bits != bits.flat[0]).any() else seed.reshape(-1)[0].reshape(())
