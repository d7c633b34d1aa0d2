"""Random trials of alignment: `python -m tests.ports.trials --count 200` prints a table.

Each takes a network as an exporter of PyTorch wrote it (tests/onnx/models), and the same as this or another exporter
wrote it, with all names random and the order shuffled, and with one bug: in a definition, or in a kernel of a program
that defines everything right. Both run at the network's own inputs, forward and backward; then their runs are compared.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from service.core.alignment.proposing import propose_alignment
from service.core.comparison.causes import find_causes
from service.core.comparison.judging import compare
from service.core.comparison.verdicts import TOLERANCES
from service.core.composition.building import compose_graph
from service.core.execution.run import Run
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Graph, node_document
from service.onnx.importing import import_model
from service.settings import Limits
from tests.planted import run_of

MODELS = Path(__file__).parents[1] / "onnx" / "models"
NETWORKS = sorted(path.stem for path in MODELS.glob("*.npz"))
EXPORTERS = ("dynamo", "script")

Document = dict[str, Any]


@dataclass(frozen=True)
class Program:
    """A network as an exporter wrote it: its nodes, its output, and the figures of its Inputs."""

    nodes: Sequence[Document]
    output: str
    inputs: Mapping[str, FloatArray]

    @property
    def graph(self) -> Graph:
        """The graph of the program, in the precision of the figures."""
        return compose_graph([*self.nodes], [self.output])[0].in_float64()


@cache
def exported(network: str, exporter: str) -> Program:
    """A network of tests/onnx/models."""
    own = {
        name.removeprefix("input/"): array.astype(np.float64)
        for name, array in np.load(MODELS / f"{network}.npz").items()
        if name.startswith("input/")
    }
    body = (MODELS / f"{network}.{exporter}.onnx").read_bytes()
    model = import_model(body, Limits(), {name: array.shape for name, array in own.items()})
    weights = {name: array.astype(np.float64) for name, array in model.weights.items()}
    graph, _ = compose_graph(model.nodes, model.outputs, model.inputs)
    documents = [node_document(node) for node in graph.nodes]  # an LSTM is many
    return Program(documents, model.outputs[0], own | weights)


Shapes = Mapping[str, tuple[int, ...]]  # of each node, in the order of evaluation

# The bugs in definitions. Each makes of a node another one, or None where it cannot.
INSTEAD = {
    "Relu": "Tanh",
    "Gelu": "Relu",
    "Erf": "Tanh",
    "Tanh": "Sigmoid",
    "Sigmoid": "Tanh",
    "HardSwish": "Relu",
    "HardSigmoid": "Sigmoid",
    "LeakyRelu": "Relu",
}


def another_function(node: Document, shapes: Shapes) -> Document | None:
    """Another activation, or another kind of pool."""
    if node["operation"] == "MaxPool":
        kept = ("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides")
        attributes = {name: value for name, value in node["attributes"].items() if name in kept}
        return {**node, "operation": "AveragePool", "attributes": attributes}
    if node["operation"] not in INSTEAD:
        return None
    return {"name": node["name"], "operation": INSTEAD[node["operation"]], "inputs": node["inputs"]}


def another_attribute(node: Document, shapes: Shapes) -> Document | None:
    """Another epsilon, axis, slope or factor."""
    attributes = dict(node.get("attributes", {}))
    if "epsilon" in attributes:
        attributes["epsilon"] = 0.05
    elif node["operation"] == "Softmax":
        attributes["axis"] = 0
    elif node["operation"] == "LeakyRelu":
        attributes["alpha"] = 0.2
    elif node["operation"] == "Gemm":
        attributes["beta"] = 0.5
    elif node["operation"] == "SoftmaxCrossEntropyLoss":
        attributes["reduction"] = "sum"
    else:
        return None
    return {**node, "attributes": attributes}


def another_operand(node: Document, shapes: Shapes) -> Document | None:
    """What was computed last before it of the shape of its last operand."""
    inputs = node.get("inputs", [])
    wanted = shapes[inputs[-1]] if inputs else ()
    before = list(shapes)[: list(shapes).index(node["name"])]
    others = [name for name in before if shapes[name] == wanted and name not in inputs]
    return {**node, "inputs": [*inputs[:-1], others[-1]]} if wanted and others else None


def fewer_operands(node: Document, shapes: Shapes) -> Document | None:
    """A summand left out, as a residual connection, or a bias, is."""
    if node["operation"] != "Add" or not all(shapes[each] == shapes[node["name"]] for each in node["inputs"]):
        return None
    return {"name": node["name"], "operation": "Identity", "inputs": node["inputs"][-1:]}


def another_constant(node: Document, shapes: Shapes) -> Document | None:
    """Another scale."""
    if node["operation"] != "Constant" or "value" not in node["attributes"]:
        return None
    value = np.asarray(node["attributes"]["value"], dtype=np.float64)
    if not np.isfinite(value).all() or (value == np.round(value)).all():
        return None  # places in an array, and masks
    return {**node, "attributes": {"value": (value * 1.5).tolist()}}


DEFINITIONS: dict[str, Callable[[Document, Shapes], Document | None]] = {
    "function": another_function,
    "attribute": another_attribute,
    "operand": another_operand,
    "summand": fewer_operands,
    "constant": another_constant,
}
FIGURES = ("weight", "value", "gradient")


@dataclass(frozen=True)
class Trial:
    """What was planted, what may be named for it, what was named, and how many of the true pairs were found.

    Which pairs are true is known where both programs come from one exporter; else none is counted.
    """

    network: str
    exporters: tuple[str, str]
    bug: str
    accepted: frozenset[str]
    causes: tuple[str, ...]
    true_pairs: int
    found_pairs: int

    @property
    def is_named(self) -> bool:
        """Whether the bug is named, and nothing else."""
        return len(self.causes) == 1 and self.causes[0] in self.accepted


def disguised(program: Program, random: np.random.Generator) -> tuple[Program, dict[str, str]]:
    """The program with random names and in random order, and each node's new name."""
    codes = random.permutation(9000)[: len(program.nodes)] + 1000
    new = {node["name"]: f"v{code}" for node, code in zip(program.nodes, codes, strict=True)}
    nodes = [
        {
            **node,
            "name": new[node["name"]],
            **({"inputs": [new.get(each, each) for each in node["inputs"]]} if "inputs" in node else {}),
        }
        for node in program.nodes
    ]
    order = random.permutation(len(nodes))
    shuffled = [nodes[place] for place in order]
    return Program(shuffled, new[program.output], {new[name]: each for name, each in program.inputs.items()}), new


def planted(program: Program, bug: str, random: np.random.Generator) -> tuple[Run, str] | None:
    """The run of the program with a bug, and the node that has it; None if there is no place for it."""
    right = run_of(program.graph, program.inputs, output=program.output)
    figures = {node.name: figure for node, figure in zip(right.graph.nodes, right.values, strict=True)}
    slopes = {node.name: figure for node, figure in zip(right.graph.nodes, right.gradients, strict=True)}
    for place in random.permutation(len(program.nodes)):
        node = program.nodes[place]
        name = node["name"]
        if bug in DEFINITIONS:
            other = DEFINITIONS[bug](node, {each: figure.shape for each, figure in figures.items()})
            if other is None:
                continue
            nodes = [other if each is node else each for each in program.nodes]
            try:
                run = run_of(replace(program, nodes=nodes).graph, program.inputs, output=program.output)
            except ValueError:  # it does not run, as where an index is out of range
                continue
        else:
            figure = slopes[name] if bug == "gradient" else figures[name]
            is_wanted = (
                node["operation"] not in ("Input", "Constant") if bug != "weight" else node["operation"] == "Input"
            )
            if not is_wanted or figure is None or not np.isfinite(figure).all() or (figure == figure.round()).all():
                continue
            run = run_of(program.graph, program.inputs, output=program.output, **wrong(bug, name))
        if moved(right, run, bug):
            return run, name
    return None


def wrong(bug: str, name: str) -> dict[str, Any]:
    """What `run_of` takes for a figure that is 5 % off, and a little beside that."""
    slip = {name: lambda right: right * 1.05 + 0.02 * np.median(np.abs(right))}
    return {"gradients": slip} if bug == "gradient" else {"values": slip}


def moved(right: Run, run: Run, bug: str) -> bool:
    """Whether the bug moves the output, or a gradient, by more than rounding errors do."""
    pairs = zip(right.gradients, run.gradients, strict=True) if bug == "gradient" else [right_and_wrong(right, run)]
    return any(one is not None and np.abs(one - other).max() > 1e-3 * np.abs(one).max() for one, other in pairs)


def right_and_wrong(right: Run, run: Run) -> tuple[Any, Any]:
    """The output of both runs."""
    return tuple(each.values[each.graph.position[each.backward.output]] for each in (right, run))


def tried(seed: int) -> Trial:
    """One trial."""
    random = np.random.default_rng(seed)
    while True:
        network, bug = str(random.choice(NETWORKS)), str(random.choice([*DEFINITIONS, *FIGURES]))
        exporters = (str(random.choice(EXPORTERS)), str(random.choice(EXPORTERS)))
        original, (port, new) = exported(network, exporters[0]), disguised(exported(network, exporters[1]), random)
        made = planted(port, bug, random)
        if made is not None:
            break
    candidate, name = made
    baseline = run_of(original.graph, original.inputs, output=original.output)
    alignment = propose_alignment(baseline, candidate, {})
    found = compare(baseline, candidate, TOLERANCES["float32"], propose=lambda *_: alignment)
    nodes = candidate.graph.nodes
    firsts = [cause.explains[0] for cause in find_causes(found)]
    causes = tuple(f"{phase.name} {nodes[place].name}" for phase, place in firsts)
    phase = "backward" if bug == "gradient" else "forward"
    passing = {nodes[place].name for place in np.flatnonzero(alignment.partners < 0)}
    if bug in ("constant", "summand", "weight"):  # or what takes it
        passing.add(name)
    named = {name}
    for node in (
        nodes if bug in (*DEFINITIONS, "weight") else ()
    ):  # the next figure that both programs have stands for it
        if not (named & passing).isdisjoint(node.inputs):
            named.add(node.name)
    true = pairs = 0
    if exporters[0] == exporters[1]:
        there = baseline.graph.position
        missing = {name} if bug == "summand" else set()  # what is left out has no figure
        true = len(new) - len(missing)
        partners = alignment.partners
        pairs = sum(
            int(partners[candidate.graph.position[other]]) == there[own]
            for own, other in new.items()
            if other not in missing
        )
    return Trial(network, exporters, bug, frozenset(f"{phase} {each}" for each in named), causes, true, pairs)


def table(trials: Sequence[Trial]) -> str:
    """A line for each kind of bug, and one for all."""
    lines = ["bug         trials  named alone  false causes  true pairs found"]
    for bug in (*DEFINITIONS, *FIGURES, "all"):
        of = [each for each in trials if bug in (each.bug, "all")]
        false = sum(len([cause for cause in each.causes if cause not in each.accepted]) for each in of)
        named, true, pairs = (
            sum(getattr(each, what) for each in of) for what in ("is_named", "true_pairs", "found_pairs")
        )
        lines.append(f"{bug:<12}{len(of):>6}{named:>13}{false:>15}{f'{pairs} of {true}':>18}")
    return "\n".join(lines)


def main() -> None:
    """Try as often as asked, from that seed on, and print what failed and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    trials = []
    for seed in range(given.seed, given.seed + given.count):
        trial = tried(seed)
        trials.append(trial)
        if not trial.is_named or trial.found_pairs < trial.true_pairs:
            print(f"seed {seed}: {trial}", file=sys.stderr)
    print(table(trials))


if __name__ == "__main__":
    main()
