"""One run of a graph: the value of every node and, after a backward pass, its gradient."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.core.figures.figures import Figures, FloatArray
from service.core.graph.graph import Graph


@dataclass(frozen=True, eq=False)
class Backward:
    """A backward pass: the gradient of every node, started at `output` from `seed`, which has the output's shape."""

    output: str
    seed: FloatArray
    gradients: Figures


@dataclass(frozen=True, eq=False)
class Run:
    """Figures of a graph's nodes, laid out as its nodes; a recorded run may lack any of them.

    `dtype` (float64, float32, float16 or bfloat16) is the precision in which they were computed. `backward` is None
    before a backward pass. `misshapen` holds, by phase ("forward" or "backward") and position, figures of a recording
    that do not have their nodes' shapes; in `values` and `gradients` these nodes have none.
    """

    graph: Graph
    values: Figures
    dtype: str = "float64"
    backward: Backward | None = None
    misshapen: Mapping[tuple[str, int], FloatArray] = field(default_factory=dict)

    @property
    def has_values(self) -> bool:
        """Whether any node has a value."""
        return self.values.present is None or bool(self.values.present.any())

    @property
    def gradients(self) -> Figures | None:
        """The gradients, None before a backward pass."""
        return None if self.backward is None else self.backward.gradients
