"""What every use case is given: where graphs and runs are kept, the limits, and the graphs at hand."""

from collections import OrderedDict
from threading import Lock

from service.core.graph import Graph
from service.settings import Limits
from service.storage.database import Database
from service.storage.graphs import load_graph

_NODES_AT_HAND = 1_000_000


class Book:
    """A database, the limits, and a cache of graphs by digest, bounded by the number of nodes it holds."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self.database = database
        self.limits = limits
        self._graphs: OrderedDict[str, Graph] = OrderedDict()
        self._lock = Lock()

    def graph(self, digest: str) -> Graph:
        """The graph of that digest, which must be stored."""
        with self._lock:
            if digest in self._graphs:
                self._graphs.move_to_end(digest)
                return self._graphs[digest]
        with self.database.read() as connection:
            graph = load_graph(connection, digest)
        with self._lock:
            self._graphs[digest] = graph
            while len(self._graphs) > 1 and sum(map(len, self._graphs.values())) > _NODES_AT_HAND:
                self._graphs.popitem(last=False)
        return graph
