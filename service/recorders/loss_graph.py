"""The graph of a loss as one step of a training run has it, and the figures of the others that have the same."""

import json
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from service.recorders.builder import Builder, Draft, Place, document_of


class LossGraph:
    """What a loss is computed from: the nodes of `builder` that lead to `loss`, its last.

    `structure` is equal for graphs that differ in the names of nodes and the values of Constants alone.
    """

    def __init__(self, builder: Builder, loss: Place) -> None:
        self._all = builder.nodes
        wanted = {loss}
        for place in range(loss, -1, -1):
            if place in wanted:
                wanted.update(self._all[place].inputs)
        places = sorted(wanted)
        self.nodes: Sequence[Draft] = [self._all[place] for place in places]
        self.names = [node.name for node in self.nodes]
        number = {place: position for position, place in enumerate(places)}
        self.structure = json.dumps(
            [(node.operation, [number[place] for place in node.inputs], self._form(node)) for node in self.nodes]
        )

    def documents(self, varying: Collection[str]) -> Sequence[dict[str, Any]]:
        """The nodes as `create_graph` takes them; the Constants that are `varying` become Inputs."""
        return [_as_input(node) if node.name in varying else document_of(node, self._all) for node in self.nodes]

    def figures(self, names: Sequence[str]) -> dict[str, Any]:
        """The values of Inputs, Constants and the loss, by the names that the nodes have in another such graph.

        That of a loss which is the sum of several is not known.
        """
        return {
            name: node.attributes["value"] if node.operation == "Constant" else node.value
            for name, node in zip(names, self.nodes, strict=True)
            if not node.inputs or (node is self.nodes[-1] and node.value is not None)
        }

    def _form(self, node: Draft) -> Any:
        """The attributes of a node, unless they are its value."""
        return None if node.operation == "Constant" else document_of(node, self._all).get("attributes")


def _as_input(node: Draft) -> dict[str, Any]:
    is_whole = np.asarray(node.attributes["value"]).dtype.kind in "biu"
    return {"name": node.name, "operation": "Input", **({"attributes": {"dtype": "int64"}} if is_whole else {})}
