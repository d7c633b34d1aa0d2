"""The stored members of a graph, a tensor and a run, without nodes and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from service.core.execution.nonfinite import FirstNonfinite
from service.core.figures.figures import Figures, FloatArray
from service.core.graph.parts import GraphPart


@dataclass(frozen=True, slots=True)
class GraphRecord:
    """One version of a named graph; equal content has an equal digest.

    `weights` holds the digest of a tensor for each input that has one, `parts` says what nodes were expanded from.
    """

    id: str
    name: str
    version: int
    digest: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    node_count: int
    expression: str | None
    parent: str | None
    tags: Mapping[str, str]
    created_at: datetime
    weights: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[GraphPart] = ()


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """A stored tensor: the SHA-256 of its .npy file in hexadecimal, the file's dtype, shape and length in bytes."""

    digest: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    created_at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """One evaluation of one graph.

    `source` is "computed" or "recorded", `dtype` the precision in which the figures were computed. `nondifferentiable`
    holds the positions of nodes where no derivative exists, `convention` says whose choice is returned there. `tensors`
    has by position the digests of the values that are stored as tensors.
    """

    id: str
    graph_id: str
    graph_name: str
    graph_version: int
    graph_digest: str
    source: str
    recorded_by: str | None
    dtype: str
    output: str | None
    seed: FloatArray | None
    has_values: bool
    has_gradients: bool
    nonfinite_forward: FirstNonfinite | None
    nonfinite_backward: FirstNonfinite | None
    nondifferentiable: tuple[int, ...]
    convention: str
    label: str | None
    tags: Mapping[str, str]
    created_at: datetime
    tensors: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunEnds:
    """What a list shows of a run: the figures of its graph's `inputs` and `outputs`.

    `figures` are the values of the inputs, of the outputs and, if the run has gradients, the gradients of the inputs;
    what is too large for a list is not among them. `tensors` has by its place among the inputs the digest of each that
    is a tensor.
    """

    inputs: Sequence[str]
    outputs: Sequence[str]
    figures: Figures
    tensors: Mapping[int, str]


class NewRun(NamedTuple):
    """What is stored of a run: its record, its values and gradients, and what a list shows of it."""

    record: RunRecord
    values: Figures | None
    gradients: Figures | None
    ends: RunEnds | None = None
