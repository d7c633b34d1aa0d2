"""A graph written by computing with symbols:

with gradbook.graph("neuron") as g:
    w, x = g.inputs("w", "x")
    g.y = np.tanh(w * x)
client.create_graph(g)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from numbers import Real
from typing import Any, Self

import numpy as np

from service.client import indexing, numpy_functions  # noqa: F401 (what NumPy's functions write)
from service.client.symbols import Symbol


@dataclass(frozen=True, slots=True)
class _Written:
    operation: str
    inputs: tuple[int, ...]
    attributes: dict[str, Any]


class GraphBuilder:
    """A graph that is being written; `create_graph` of a client stores it.

    `g.y = node`, or `g["layer1.weight"] = node`, names a node, once, and `g.y` is that node from then on. What a named
    node needs is part of the graph, and so is every Input; nodes without names are called `<operation>_<k>`, as in
    expressions. At the end of a `with` block the graph is complete.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._written: list[_Written] = []
        self._named: dict[str, Symbol] = {}
        self._names: dict[int, str] = {}
        self._complete = False

    @property
    def name(self) -> str:
        """The graph's name."""
        return self._name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._complete = True

    def __repr__(self) -> str:
        return f"graph({self._name!r})"

    # --- writing --------------------------------------------------------------------------------------------------

    def input(self, name: str, shape: Sequence[int | None] | None = None, dtype: str | None = None) -> Symbol:
        """An Input; of any shape, and of float64, unless it declares a shape, with None for any length, or a dtype."""
        declared = {"shape": None if shape is None else list(shape), "dtype": dtype}
        given = {attribute: value for attribute, value in declared.items() if value is not None}
        self[name] = symbol = self._add("Input", (), given, shape)
        return symbol

    def inputs(self, *names: str) -> tuple[Symbol, ...]:
        """Inputs of any shape."""
        return tuple(map(self.input, names))

    def apply(self, operation: str, *operands: Any, **attributes: Any) -> Symbol:
        """Any operation of the service's rulebook, or a stored graph, by its name; a number or an array among the
        operands is a Constant.

        Raises TypeError for an operand that is neither a node of this graph nor an array of numbers, and for a node
        among the attributes.
        """
        numbers = tuple(self._operand(operand).number for operand in operands)
        return self._add(operation, numbers, {name: _attribute(value) for name, value in attributes.items()})

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        elif hasattr(type(self), name):
            raise AttributeError(f"g.{name} is of the graph itself; a node is named so by g[{name!r}] = …")
        else:
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self._named:
            raise ValueError(f"{name!r} is the name of a node already; each node is named once")
        symbol = self._operand(value)
        if symbol.number in self._names:
            symbol = self.apply("Identity", symbol)
        self._named[name], self._names[symbol.number] = symbol, name

    def __getitem__(self, name: str) -> Symbol:
        return self._named[name]

    def __getattr__(self, name: str) -> Symbol:
        if name.startswith("_") or name not in self._named:
            raise AttributeError(f"no node of {self!r} is named {name!r}")
        return self._named[name]

    def _operand(self, operand: Any) -> Symbol:
        if not isinstance(operand, Symbol):
            return self._add("Constant", (), {"value": _constant(operand)})
        if operand.graph is not self:
            raise TypeError(f"{operand!r} is no node of {self!r}")
        return operand

    def _add(
        self,
        operation: str,
        inputs: tuple[int, ...],
        attributes: dict[str, Any],
        shape: Sequence[int | None] | None = None,
    ) -> Symbol:
        if self._complete:
            raise ValueError(f"{self!r} is complete: its with block has ended")
        self._written.append(_Written(operation, inputs, attributes))
        return Symbol(self, len(self._written) - 1, operation, shape)

    # --- reading --------------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """The nodes as `create_graph` takes them; raises ValueError where nothing but Inputs has a name."""
        names = self._all_names()
        return [
            {
                "name": names[number],
                "operation": node.operation,
                **({"inputs": [names[each] for each in node.inputs]} if node.inputs else {}),
                **({"attributes": node.attributes} if node.attributes else {}),
            }
            for number, node in enumerate(self._written)
            if number in names
        ]

    def _all_names(self) -> dict[int, str]:
        """The names of the nodes that are part of the graph, by number."""
        names = dict(self._names)
        if all(self._written[number].operation == "Input" for number in names):
            raise ValueError(f"{self!r} computes nothing that has a name: g.y = … names a node")
        needed = set(names)
        for number in range(len(self._written) - 1, -1, -1):
            if number in needed:
                needed.update(self._written[number].inputs)
        counters: dict[str, Iterator[int]] = {}
        for number in sorted(needed - names.keys()):
            operation = self._written[number].operation.lower()
            counter = counters.setdefault(operation, count(1))
            names[number] = next(name for k in counter if (name := f"{operation}_{k}") not in self._named)
        return names


def _constant(value: Any) -> Any:
    """A number, or nested lists of them; of an array without elements its shape, as 0x3."""
    array = np.asarray(float(value) if isinstance(value, Real) else value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"a node's operands are nodes and real numbers; {type(value).__name__} is neither")
    return array.astype(np.float64).tolist() if array.size else "x".join(map(str, array.shape))


def _attribute(value: Any) -> Any:
    if isinstance(value, Symbol):
        raise TypeError(f"{value!r} is no attribute: those are known before a graph is run")
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def graph(name: str) -> GraphBuilder:
    """Begin to write a graph by computing with symbols; `GraphBuilder` says how."""
    return GraphBuilder(name)
