"""What every use case is given: where graphs and runs are kept, the limits, and the graphs at hand."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from service.core.graph.graph import Graph
from service.settings import Limits
from service.storage import graphs as storage
from service.storage.database import Database
from service.storage.records import GraphRecord

_NODES_AT_HAND = 1_000_000

Item = TypeVar("Item")


class Context:
    """A database, the limits, and what was last read of it that never changes, bounded by the number of nodes."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self.database = database
        self.limits = limits
        self._graphs = _AtHand[Graph](len)
        self._records = _AtHand[GraphRecord](lambda record: record.node_count)

    def graph(self, digest: str) -> Graph:
        """The graph of that digest, which must be stored."""
        return self._graphs.get(digest, lambda: self._load(digest))

    def hold(self, graph: Graph) -> None:
        """Have a graph at hand whose content has just been stored, in this order; it may have been deleted before,
        in another one."""
        self._graphs.forget(graph.digest)
        self._graphs.get(graph.digest, lambda: graph)

    def record(self, graph_id: str) -> GraphRecord:
        """The graph of that id; raises NotFound."""
        return self._records.get(graph_id, lambda: self._read(graph_id))

    def forget(self, graph_id: str) -> None:
        """To be told of every graph that was deleted. Another process is not: until it forgets by itself it still
        computes what is not kept."""
        self._records.forget(graph_id)

    def _load(self, digest: str) -> Graph:
        with self.database.read() as connection:
            return storage.load_graph(connection, digest)

    def _read(self, graph_id: str) -> GraphRecord:
        with self.database.read() as connection:
            return storage.get_graph(connection, graph_id)


class _AtHand(Generic[Item]):
    """What was used last, by key, as long as all together are of no more than `_NODES_AT_HAND` nodes; at least one."""

    def __init__(self, count_nodes: Callable[[Item], int]) -> None:
        self._count_nodes = count_nodes
        self._items: OrderedDict[str, Item] = OrderedDict()
        self._nodes = 0
        self._deletions = 0
        self._lock = Lock()

    def get(self, key: str, load: Callable[[], Item]) -> Item:
        """The item of that key, loaded unless it is at hand."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                return self._items[key]
            deletions = self._deletions
        item = load()
        with self._lock:
            if key not in self._items and deletions == self._deletions:  # else it may have been deleted since
                self._items[key] = item
                self._nodes += self._count_nodes(item)
                while len(self._items) > 1 and self._nodes > _NODES_AT_HAND:
                    self._nodes -= self._count_nodes(self._items.popitem(last=False)[1])
            return self._items.get(key, item)

    def forget(self, key: str) -> None:
        """Drop an item, and whatever is being loaded."""
        with self._lock:
            self._deletions += 1
            if key in self._items:
                self._nodes -= self._count_nodes(self._items.pop(key))
