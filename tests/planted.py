"""Runs with planted mistakes: every later figure is computed from the wrong one, as a faulty program would."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from service.core.comparison.judging import compare
from service.core.comparison.verdicts import TOLERANCES, Comparison, Tolerance, Verdict
from service.core.execution.chain_rule import contributions_at
from service.core.execution.run import Backward, Run
from service.core.figures.figures import Figures, FloatArray, pack
from service.core.graph.building import assemble_graph, build_graph
from service.core.graph.graph import Graph
from service.core.language.expression import parse_expression
from service.core.rulebook.registry import find

SEED = "e = a + b; f = e * c; F = f / d"
SEED_INPUTS = {"a": 5.0, "b": 1.0, "c": -2.0, "d": -3.0}

# What a node's figure becomes: the right one goes in, by position.
Mistake = Callable[[int, Any], Any]


def no_mistake(position: int, figure: Any) -> Any:
    """Return the right figure."""
    return figure


def graph_of(text: str, outputs: Sequence[str] | None = None) -> Graph:
    """The graph of an expression."""
    return assemble_graph(parse_expression(text, max_bytes=100_000, max_depth=100), outputs)


def values_of(graph: Graph, inputs: Mapping[str, Any], mistake: Mistake = no_mistake, dtype: type = np.float64) -> Any:
    """The value of each node in topological order, computed in `dtype`."""
    values: list[Any] = []
    with np.errstate(all="ignore"):
        for position, (node, sources) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
            if node.operation.name == "Input":
                right = inputs[node.name]
            elif node.operation.name == "Constant":
                right = node.attributes["value"]
            else:
                right = node.operation.evaluate([values[source] for source in sources], node.attributes)
            values.append(np.asarray(mistake(position, np.asarray(right, dtype)), dtype))
    return values


def gradients_of(
    graph: Graph, values: Sequence[Any], output: str, mistake: Mistake = no_mistake, dtype: type = np.float64
) -> list[Any]:
    """The gradient of each node, None for a Constant, from a seed of ones; computed in `dtype`."""
    target = graph.position[output]
    reached = {target}
    gradients: list[Any] = [np.zeros(np.shape(value), dtype) for value in values]
    gradients[target] = np.ones(np.shape(values[target]), dtype)
    with np.errstate(all="ignore"):
        for position in range(len(graph) - 1, -1, -1):
            sources = graph.operands[position]
            gradients[position] = np.asarray(mistake(position, gradients[position]), dtype)
            if position not in reached or not sources:
                continue
            reached.update(sources)
            given = [values[source] for source in sources]
            contributions = contributions_at(graph, position, gradients[position], given, values[position])
            for source, contribution in zip(sources, contributions, strict=True):
                if contribution is not None:
                    gradients[source] = np.asarray(gradients[source] + contribution, dtype)
    return [
        None if node.operation.name == "Constant" else gradient
        for node, gradient in zip(graph.nodes, gradients, strict=True)
    ]


def run_of(
    graph: Graph,
    inputs: Mapping[str, Any],
    *,
    output: str | None = None,
    values: Mapping[str, Any] | None = None,
    gradients: Mapping[str, Any] | None = None,
    dtype: str = "float64",
    kind: type | None = None,
) -> Run:
    """A run with mistakes at the named nodes: a figure, or a function of the right one; later figures follow from it.

    The run declares `dtype`, and was computed in `kind`, by default the same.
    """
    kind = kind or np.dtype(dtype).type
    target = output or graph.outputs[0]

    def mistake_of(given: Mapping[str, Any]) -> Mistake:
        planted = {graph.position[name]: figure for name, figure in given.items()}

        def mistake(position: int, right: Any) -> Any:
            wrong = planted.get(position, right)
            return wrong(right) if callable(wrong) else wrong

        return mistake

    figures = values_of(graph, inputs, mistake_of(values or {}), kind)
    slopes = gradients_of(graph, figures, target, mistake_of(gradients or {}), kind)
    seed = np.ones(np.shape(figures[graph.position[target]]))
    return Run(graph, pack(figures), dtype, Backward(target, seed, pack(slopes)))


def altered(run: Run, *, values: Mapping[str, Any] | None = None, gradients: Mapping[str, Any] | None = None) -> Run:
    """The run with single figures recorded differently, None for left out; nothing follows from them."""

    def alter(figures: Figures | None, given: Mapping[str, Any]) -> Figures:
        assert figures is not None
        arrays = list(figures)
        for name, figure in given.items():
            arrays[run.graph.position[name]] = None if figure is None else np.asarray(figure, dtype=np.float64)
        return pack(arrays)

    changed = replace(run, values=alter(run.values, values)) if values else run
    return swept(changed, gradients=alter(run.gradients, gradients)) if gradients else changed


def swept(run: Run, **changes: Any) -> Run:
    """The run with another backward pass: other gradients, or another seed."""
    assert run.backward is not None
    return replace(run, backward=replace(run.backward, **changes))


def only(run: Run, *, values: Sequence[str] = (), gradients: Sequence[str] = ()) -> Run:
    """The run with the figures of these nodes alone."""

    def keep(figures: Figures | None, names: Sequence[str]) -> Figures:
        assert figures is not None
        kept = [figure if node.name in names else None for node, figure in zip(run.graph.nodes, figures, strict=True)]
        return pack(kept)

    part = replace(run, values=keep(run.values, values))
    return swept(part, gradients=keep(run.gradients, gradients)) if gradients else replace(part, backward=None)


def judge(
    baseline: Run, candidate: Run, tolerance: Tolerance | str = "float64", names: Mapping[str, str] | None = None
) -> Comparison:
    """Compare two runs under a tolerance, named or given."""
    return compare(baseline, candidate, TOLERANCES[tolerance] if isinstance(tolerance, str) else tolerance, names)


def verdicts(found: Comparison, graph: Graph) -> dict[str, dict[str, str]]:
    """The verdict on each compared figure, by phase and by node."""
    return {
        phase.name: {
            graph.nodes[position].name: Verdict(int(phase.verdicts[position])).name.lower()
            for position in phase.positions(*tuple(Verdict)[1:])
        }
        for phase in found.phases
    }


def origins(found: Comparison, graph: Graph) -> list[tuple[str, str]]:
    """Phase and node of each origin, in evaluation order."""
    return [
        (phase.name, graph.nodes[position].name)
        for phase in found.phases
        for position in phase.positions(Verdict.ORIGIN)
    ]


def named(graph: Graph, figures: Figures | None) -> dict[str, FloatArray]:
    """The figures by node, without the missing ones."""
    assert figures is not None
    return {node.name: figure for node, figure in zip(graph.nodes, figures, strict=True) if figure is not None}


_TAME = ("Add", "Sub", "Mul", "Sin", "Cos", "Tanh", "Sigmoid", "Softsign", "Atan", "Mean", "Max")
_UNARY = frozenset({"Sin", "Cos", "Tanh", "Sigmoid", "Softsign", "Atan"})


def tame_graph(seed: int, count: int = 1000, window: int = 40) -> tuple[Graph, dict[str, float]]:
    """A random graph of about `count` scalar nodes, and inputs for it.

    Each operation reads from the `window` nodes before it; one whose value would leave ±3 is replaced by a Tanh of its
    first operand. Unused nodes are summed, eight at a time, so that every node reaches the last one.
    """
    random = np.random.default_rng(seed)
    inputs = {f"x{position}": float(random.uniform(-2, 2)) for position in range(10)}
    documents: list[dict[str, Any]] = [{"name": name, "operation": "Input"} for name in inputs]
    values, names, used = list(inputs.values()), list(inputs), set[int]()
    while len(names) < count:
        operation = str(random.choice(_TAME))
        before = np.arange(max(0, len(names) - window), len(names))
        sources = random.choice(before, 1 if operation in _UNARY else 2)
        if abs(_value(operation, [values[source] for source in sources])) > 3:
            operation, sources = "Tanh", sources[:1]
        names.append(f"n{len(names)}")
        values.append(_value(operation, [values[source] for source in sources]))
        documents.append({"name": names[-1], "operation": operation, "inputs": [names[source] for source in sources]})
        used.update(int(source) for source in sources)
    unused = [name for position, name in enumerate(names) if position not in used]
    while len(unused) > 1:
        summed, unused = unused[:8], unused[8:]
        unused.append(f"n{len(documents)}")
        documents.append({"name": unused[-1], "operation": "Sum", "inputs": summed})
    return build_graph(documents, unused), inputs


def _value(operation: str, operands: Sequence[float]) -> float:
    found = find(operation)
    assert found is not None
    return float(found.evaluate([np.float64(operand) for operand in operands]))
