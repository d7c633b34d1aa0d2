"""Check gradients against the forward pass; nothing is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.core.derivatives import gradient_check as core
from service.core.derivatives.gradient_check import CheckVerdict, NodeCheck
from service.core.execution.passes import forward_pass
from service.core.figures.figures import FloatArray
from service.core.graph.selection import choose_output, read_names
from service.usecases.context import Context
from service.usecases.graphs import get_graph


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
    inputs: Mapping[str, FloatArray],
    *,
    method: str = "taylor",
    nodes: Sequence[str] = (),
    output: str | None = None,
) -> GradientCheck:
    """Check the gradient of the output with respect to every input, and to `nodes`, by one of core's METHODS.

    All figures are computed in float64. Inputs of whole numbers have no gradient and are left out.
    Raises NotFound, InvalidInputs, InvalidRequest, LimitExceeded.
    """
    graph = context.graph(get_graph(context, graph_id).digest).in_float64()
    target = choose_output(graph, output)
    asked = read_names(graph, nodes, "nodes") if nodes else ()
    positions = [graph.position[name] for name in dict.fromkeys([*graph.inputs, *asked])]
    positions = [position for position in positions if graph.nodes[position].has_gradient]
    limits = context.limits
    values = forward_pass(graph, inputs, max_elements=limits.run_elements, max_tensor=limits.tensor_elements)
    checks = core.check_gradients(graph, values, target, positions, method, max_elements=limits.run_elements)
    return GradientCheck(method, target, checks)
