"""Origins in runs of every operation of the registry: the smallest graph of each, and the script that shows it."""

import io
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from service.core.comparison.verdicts import Verdict
from service.core.errors import InvalidRequest
from service.core.execution.outcomes import run_at
from service.core.execution.passes import fit_inputs
from service.core.execution.run import Run
from service.core.figures.figures import Figures, FloatArray
from service.core.graph.building import build_graph
from service.core.reproduction.script import Script, write_script
from service.core.reproduction.smallest import Smallest, find_smallest
from tests.core.comparison.slips import Mistake
from tests.elementwise import ELEMENTWISE, domains
from tests.planted import altered, graph_of, judge, run_of
from tests.sources import agrees, nodes_of, tensor_samples
from tests.tensors import graph_around

LARGEST = {"max_elements": 1_000_000, "max_tensor": 1_000_000}
_SHAPES = ((2, 3), (3,), (), (2, 1))


def wrong(figure: FloatArray) -> FloatArray:
    """A figure that does not follow from anything, one element more than the others."""
    mistaken = np.asarray(figure) * 1.5 + 0.3
    mistaken.flat[-1:] += 1.0
    return mistaken


def smallest_of(baseline: Run, candidate: Run) -> list[Smallest]:
    """The smallest graph of each origin."""
    found = judge(baseline, candidate)
    return [find_smallest(found, *place, lambda: baseline) for place in found.places(Verdict.ORIGIN)]


def only_smallest(baseline: Run, candidate: Run) -> Smallest:
    """The smallest graph of the one origin."""
    (small,) = smallest_of(baseline, candidate)
    return small


def computed(small: Smallest) -> FloatArray:
    """What our own run of the smallest graph has for the figure."""
    fitted = fit_inputs(small.graph, small.inputs, **LARGEST)
    made = run_at(fitted, None) if small.seed is None else run_at(fitted, small.output, small.seed)
    figures: Figures | None = made.values if small.seed is None else made.gradients
    assert figures is not None
    figure = figures[small.graph.position[small.node]]
    assert figure is not None
    return figure


def execute(script: Script, path: Path = Path("origin.py")) -> dict[str, Any]:
    """The variables of a script after it ran; what it printed is `printed`."""
    made: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
    with redirect_stdout(io.StringIO()) as printed, np.errstate(all="ignore"):
        exec(compile(script.text, str(path), "exec"), made)
    return {**made, "printed": printed.getvalue()}


def run_script(script: Script, path: Path) -> str:
    """What a script prints in a process of its own."""
    path.write_text(script.text, encoding="utf-8")
    if script.reads:
        np.savez(path.with_suffix(".npz"), **script.figures)
    done = subprocess.run([sys.executable, "-I", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def planted_everywhere(each: int, every: int = 1) -> Iterator[tuple[str, Smallest]]:
    """An origin in the value and in each gradient around operations, with the operation's name.

    Of the elementwise ones, and of `each` sample of the others, it is `every` second, third …
    """
    runs = chain(_elementwise_runs(), _tensor_runs(each) if each else ())
    for run, outputs, inputs, name in islice(runs, 0, None, every):
        for output in outputs:
            value = run.values[run.graph.position[output]]
            yield from ((name, small) for small in smallest_of(run, altered(run, values={output: wrong(value)})))
        for node in inputs:
            gradient = run.gradients[run.graph.position[node]]
            if gradient is not None:
                changed = altered(run, gradients={node: wrong(gradient)})
                yield from ((name, small) for small in smallest_of(run, changed))


def _elementwise_runs() -> Iterator[tuple[Run, list[str], list[str], str]]:
    """Of operands that are broadcast, some of whose contributions are summed."""
    random = np.random.default_rng(0)
    for operation in ELEMENTWISE:
        node = next(nodes_of(operation))
        bounds = zip(node["inputs"], domains(operation, len(node["inputs"])), _SHAPES, strict=False)
        inputs = {name: random.uniform(max(low, -3.0), min(high, 3.0), shape) for name, (low, high), shape in bounds}
        named = [{"name": name, "operation": "Input"} for name in (*inputs, "w")]
        product = {"name": "p", "operation": "Mul", "inputs": [node["name"], "w"]}
        total = {"name": "L", "operation": "ReduceSum", "inputs": ["p"], "attributes": {"keepdims": 0}}
        graph = build_graph([*named, node, product, total])
        run = run_of(graph, {**inputs, "w": random.normal(size=(2, 3))})
        yield run, [node["name"]], [*inputs, node["name"]], operation.name


def _tensor_runs(each: int) -> Iterator[tuple[Run, list[str], list[str], str]]:
    for sample in tensor_samples(each):
        graph = graph_around(sample)
        run = run_of(graph, dict(zip(graph.inputs, sample.operands, strict=False)))
        inputs = [graph.inputs[index] for index in sample.differentiable]
        yield run, list(graph.outputs[:1]), inputs, sample.operation.name


def slips(table: Sequence[Mistake]) -> Iterator[tuple[str, Smallest]]:
    """The origin of each mistake of a table, with what it is called."""
    for mistake in table:
        graph = graph_of(mistake.text)
        candidate = run_of(graph, mistake.inputs, **{mistake.kind: {mistake.node: mistake.wrong}})
        yield mistake.what, only_smallest(run_of(graph, mistake.inputs), candidate)


def wrong_cases(
    language: str, cases: Iterable[tuple[str, Smallest]], read: Any = np.asarray
) -> tuple[list[str], set[str], int]:
    """The cases that a script does not show, those that are refused, and how many there are."""
    failed, refused, count = [], set[str](), 0
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        for name, small in cases:
            count += 1
            case = f"{name}: the {'value' if small.seed is None else 'gradient'} of {small.node}"
            if not agrees(computed(small), small.right, 1e-9):
                failed.append(f"{case} is {computed(small)} here for {small.right}")
            try:
                script = write_script(small, language, ["Wrong."])
            except InvalidRequest:
                refused.add(name)
                continue
            try:
                shown = read(execute(script)["right"])
            except Exception as error:
                failed.append(f"{case}: {type(error).__name__} {error}")
                continue
            if not agrees(shown, small.right, 1e-9):
                failed.append(f"{case} is {shown!r} for {small.right!r}")
    return failed, refused, count


def shown_figures(printed: str) -> Mapping[str, float]:
    """The numbers that a script of scalars prints below its library's version, by what it calls them."""
    return {words[0]: float(words[-1]) for words in map(str.split, printed.splitlines()[1:])}
