"""Pictures: of 60 nodes, of a graph in a list, and of the neighbourhood of a node among a million.

By the thread's processor time, since the machine is shared.
"""

import time
from collections.abc import Callable, Iterator
from random import Random
from statistics import median

from benchmarks.measuring import Row, once
from service.core.graph.graph import Graph, Node
from service.core.rulebook.registry import find
from service.web import picture
from service.web.captions import Subject
from service.web.overview import draw_minimap, draw_thumbnail
from service.web.view import choose_view

_REPEATS = 15
_MANY = 1_000_000


def rows(quick: bool = False) -> Iterator[Row]:
    """A row for each picture."""
    graph = random_graph(60)
    subject, view = Subject("benchmark", "", graph), choose_view(graph, None, None)

    def draw() -> str:
        return picture.draw_svg(subject, view)

    yield Row("picture of 60 nodes", _milliseconds(draw, picture.layouts.clear), "ms", 100)
    yield Row("the same, its layout cached", _milliseconds(draw), "ms", 10)
    graphs = iter([random_graph(10, seed) for seed in range(_REPEATS + 1)])
    yield Row("thumbnail of 10 nodes", _milliseconds(lambda: draw_thumbnail(next(graphs))), "ms", 5)
    if not quick:
        yield from neighbourhood()


def random_graph(count: int, seed: int = 0) -> Graph:
    """A graph of sums, products, sines and maxima, each of nodes among the last 12 before it."""
    random = Random(seed)
    kinds = [(find("Add"), 2), (find("Mul"), 2), (find("Sin"), 1), (find("Max"), 3)]
    nodes = [Node(f"x{number}", find("Input")) for number in range(count // 8 + 1 if count < 1000 else 12)]
    inputs = tuple(node.name for node in nodes)
    while len(nodes) < count:
        operation, arity = random.choice(kinds)
        near = nodes[-12:]
        nodes.append(Node(f"n{len(nodes)}", operation, tuple(random.choice(near).name for _ in range(arity))))
    return Graph(tuple(nodes), inputs, (nodes[-1].name,))


def _milliseconds(work: Callable[[], object], prepare: Callable[[], object] = lambda: None) -> float:
    """The median of the milliseconds that some work takes, each time after `prepare`."""
    work()
    taken = []
    for _ in range(_REPEATS):
        prepare()
        begin = time.thread_time()
        work()
        taken.append(time.thread_time() - begin)
    return 1e3 * median(taken)


def neighbourhood() -> Iterator[Row]:
    """A node's neighbourhood and the minimap in a graph of a million nodes, the first time and again."""
    graph = random_graph(_MANY)
    subject, name = Subject("benchmark", "", graph), f"n{_MANY // 2}"

    def draw() -> None:
        view = choose_view(graph, name, None)
        picture.draw_inline(subject, view)
        draw_minimap(graph, view)

    yield Row(f"neighbourhood and minimap in {_MANY:,} nodes, the first time", once(draw, time.thread_time), "s")
    yield Row("the same again, laid out anew", _milliseconds(draw, picture.layouts.clear), "ms", 1000)
