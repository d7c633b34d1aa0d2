"""Pictures: of 60 nodes, of a graph in a list, and of the neighbourhood of a node among a million.

By the thread's processor time, since the machine is shared.
"""

import time
from collections.abc import Callable
from random import Random
from statistics import median

from service.core.graph.graph import Graph, Node
from service.core.rulebook.registry import find
from service.web import picture
from service.web.captions import Subject
from service.web.overview import draw_minimap, draw_thumbnail
from service.web.view import choose_view

_REPEATS = 15
_MANY = 1_000_000


def measure() -> str:
    """Measure each row of the table of pictures."""
    return "\n".join([*pictures(), thumbnail(), *neighbourhood()])


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


def milliseconds(work: Callable[[], object], prepare: Callable[[], object] = lambda: None) -> float:
    """The median of the milliseconds that some work takes, each time after `prepare`."""
    work()
    taken = []
    for _ in range(_REPEATS):
        prepare()
        begin = time.thread_time()
        work()
        taken.append(time.thread_time() - begin)
    return 1e3 * median(taken)


def pictures() -> list[str]:
    """A picture of 60 nodes, laid out anew and not."""
    graph = random_graph(60)
    subject, view = Subject("benchmark", "", graph), choose_view(graph, None, None)

    def draw() -> str:
        return picture.draw_svg(subject, view)

    cold, cached = milliseconds(draw, picture.layouts.clear), milliseconds(draw)
    return [f"picture of 60 nodes, cold: {cold:.1f} ms", f"the same, its layout cached: {cached:.1f} ms"]


def thumbnail() -> str:
    """A thumbnail of 10 nodes, laid out anew."""
    graphs = iter([random_graph(10, seed) for seed in range(_REPEATS + 1)])
    return f"thumbnail of 10 nodes: {milliseconds(lambda: draw_thumbnail(next(graphs))):.1f} ms"


def neighbourhood() -> list[str]:
    """A node's neighbourhood and the minimap in a graph of a million nodes, the first time and again."""
    graph = random_graph(_MANY)
    subject, name = Subject("benchmark", "", graph), f"n{_MANY // 2}"

    def draw() -> None:
        view = choose_view(graph, name, None)
        picture.draw_inline(subject, view)
        draw_minimap(graph, view)

    begin = time.thread_time()
    draw()
    first = time.thread_time() - begin
    again = milliseconds(draw, picture.layouts.clear)
    return [
        f"neighbourhood and minimap in 1,000,000 nodes, the first time: {first:.1f} s",
        f"the same again, laid out anew: {again:.0f} ms",
    ]


if __name__ == "__main__":
    print(measure())
