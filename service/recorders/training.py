"""A recorded training run: the loss as a graph, what the optimiser makes of its gradients, and the steps one by one.

The file is an .npz: `training.json` beside the arrays of the steps. Those that follow each other and give figures of
the same nodes, in the same shapes, are stacked along axis 0: `0/NAME`, then `1/NAME` …
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import numpy as np

from service.recorders.archive import NotARecording, read_archive, write_archive
from service.recorders.optimizers import Document
from service.recorders.recording import DTYPES, counted

_MOST_AT_ONCE = 2**24  # bytes of arrays in one request
_DECLARED = {"format": "gradbook training", "version": 1}
_DOCUMENT = "training.json"
_MEMBERS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "by": (str,),
    "dtype": (str,),
    "versions": (dict,),
    "nodes": (list,),
    "loss": (str,),
    "schedule": (str, type(None)),
    "every": (int,),
    "parameters": (list,),
    "updates": (list,),
    "carry": (dict,),
    "numbers": (list,),
    "notes": (list,),
}


@dataclass(frozen=True, eq=False)
class RecordedStep:
    """What a program took and gave in one of its steps, by the names of nodes."""

    number: int
    values: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class StackedSteps:
    """Steps whose values are stacked along axis 0."""

    numbers: Sequence[int]
    values: Mapping[str, Any]


@dataclass(eq=False, repr=False)
class TrainingRecording:
    """The steps of a training run, each with all that it is judged by.

    `nodes` make the graph of the `loss`. `updates` are the optimiser's nodes: they take the gradient of one of the
    `parameters` W as `W.grad`, and the learning rate as `lr`, which is the expression `schedule` of the step's number t
    if there is one. `carry` leads from nodes to the Inputs that they are in the next step; `every` is how far apart the
    steps are. `notes` say what is not recorded.
    """

    name: str = "training"
    by: str = ""
    dtype: str = DTYPES[0]
    versions: Mapping[str, str] = field(default_factory=dict)
    nodes: Sequence[Document] = ()
    loss: str = ""
    schedule: str | None = None
    every: int = 1
    parameters: Sequence[str] = ()
    updates: Sequence[Document] = ()
    carry: Mapping[str, str] = field(default_factory=dict)
    steps: list[RecordedStep] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"TrainingRecording({self.name!r} by {self.by}: {counted(len(self.steps), 'step')})"

    def save(self, path: str | Path) -> None:
        """Write the file."""
        stacks = list(self.stacked())
        arrays = {
            f"{place}/{name}": array for place, stack in enumerate(stacks) for name, array in stack.values.items()
        }
        own = {member: getattr(self, member) for member in _MEMBERS if member != "numbers"}
        write_archive(path, _DOCUMENT, {**_DECLARED, **own, "numbers": [stack.numbers for stack in stacks]}, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that `save` wrote. Raises NotARecording for another, OSError if there is none."""
        document, arrays = read_archive(Path(path).read_bytes(), _DOCUMENT, _MEMBERS, _DECLARED)
        stacked: list[dict[str, Any]] = [{} for _ in document["numbers"]]
        for member, array in arrays.items():
            place, _, name = member.removesuffix(".npy").partition("/")
            if not place.isdecimal() or int(place) >= len(stacked):
                raise NotARecording(f"it has an unknown member: {member}")
            if len(array) != len(document["numbers"][int(place)]):
                raise NotARecording(f"{member} has not one figure for each of its steps")
            stacked[int(place)][name] = array
        steps = [
            RecordedStep(number, {name: array[index] for name, array in figures.items()})
            for numbers, figures in zip(document["numbers"], stacked, strict=True)
            for index, number in enumerate(numbers)
        ]
        return cls(**{member: document[member] for member in _MEMBERS if member != "numbers"}, steps=steps)

    def stacked(self) -> Iterator[StackedSteps]:
        """The steps, those together that follow each other with figures of the same nodes in the same shapes."""

        def alike(numbered: tuple[int, RecordedStep]) -> object:
            place, step = numbered
            shapes = {name: np.shape(array) for name, array in step.values.items()}
            return step.number - place * self.every, shapes

        for _, steps in groupby(enumerate(self.steps), alike):
            together = [step for _, step in steps]
            values = {name: np.stack([step.values[name] for step in together]) for name in together[0].values}
            yield StackedSteps([step.number for step in together], values)

    def create_graph(self, client: Any, name: str | None = None) -> Any:
        """Store the graph of a step, which is returned, as a version of "NAME step".

        The service differentiates the loss; what of the loss its gradients do not need is added to them again, and the
        optimiser's nodes. Raises what the client raises.
        """
        name = name or self.name
        loss = client.create_graph(name, nodes=self.nodes, outputs=[self.loss])
        derived = client.create_gradient_graph(loss, output=self.loss, wrt=self.parameters, name=f"{name} step")
        there = {node.name for node in client.list_graph_nodes(derived)}
        lacking = [node for node in self.nodes if node["name"] not in there]
        taken = [
            {"name": f"{parameter}.grad", "operation": "Identity", "inputs": [gradient]}
            for parameter, gradient in zip(self.parameters, derived.outputs, strict=True)
        ]
        nodes = [*lacking, *self._rate(client, name), *taken, *self.updates]
        return client.add_nodes(derived, nodes=nodes, outputs=[self.loss, *self.carry])

    def _rate(self, client: Any, name: str) -> Sequence[Document]:
        """The nodes of the learning rate, if it follows from the step's number."""
        if self.schedule is None:
            return ()
        rate = client.create_graph(f"{name} lr", expression=f"lr(t) = {self.schedule}")
        return {"name": "t", "operation": "Input"}, {"name": "lr", "operation": rate.id, "inputs": ["t"]}

    def upload(
        self,
        client: Any,
        *,
        name: str | None = None,
        retain: str | None = None,
        label: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Any:
        """Store the graph of a step and a series of all steps, which is returned as it is after the last.

        `client` is a `gradbook.Client`; `name` is as in `create_graph`; `retain`, `label` and `tags` are the series'.
        Raises what the client raises.
        """
        options = {"dtype": self.dtype, "retain": retain, "every": self.every, "label": label, "tags": tags}
        series = client.create_series(self.create_graph(client, name), self.carry, by=self.by, **options)
        last = 1 - self.every
        for stack in self.stacked():
            size = sum(array.nbytes for array in stack.values.values())
            share = max(1, len(stack.numbers) * _MOST_AT_ONCE // max(size, 1))
            for start in range(0, len(stack.numbers), share):
                part = {name: array[start : start + share] for name, array in stack.values.items()}
                first = stack.numbers[start]
                series = client.add_steps(series, part, first=first, skipped=(first - last) // self.every - 1)
                last = stack.numbers[start : start + share][-1]
        return series
