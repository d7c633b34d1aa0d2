"""The stored members of a graph and of a run, without nodes and figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from service.core.execution.nonfinite import FirstNonfinite
from service.core.figures.figures import FloatArray


@dataclass(frozen=True, slots=True)
class GraphRecord:
    """One version of a named graph; equal content has an equal digest."""

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


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """One evaluation of one graph.

    `source` is "computed" or "recorded", `dtype` the precision in which the figures were computed. `nondifferentiable`
    holds the positions of nodes where no derivative exists, `convention` says whose choice is returned there.
    """

    id: str
    graph_id: str
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
