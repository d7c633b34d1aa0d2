"""What every use case is given: the database, the limits, and caches of what is read from the database most."""

from collections.abc import Mapping
from copy import copy
from typing import Any

from service.core.caches import Cache
from service.core.comparison.verdicts import Comparison
from service.core.figures.figures import FloatArray
from service.core.figures.weight import Weight
from service.core.graph.graph import Graph
from service.settings import Limits
from service.storage import graphs as storage
from service.storage.database import Database
from service.storage.records import GraphRecord
from service.usecases.references import graph_id
from service.usecases.weighing import COMPACT_NODE, LOADED_NODE, WholeAnswer, admit

# By default forty graphs of as many nodes as the default limit allows, or three with all that is derived from them.
_GRAPH_BYTES = 512 * 1024 * 1024


class Context:
    """A database, the limits, and the graphs, records, tensors and comparisons used last.

    `cache_bytes` bounds the graphs; comparisons have half as much, tensors a quarter, records a sixteenth.
    `granted` is how much work may be done in this process at once, None for whatever a request may take.
    Whatever process deletes or changes a graph, it is forgotten here: each record that is asked for has the changes
    counted.
    """

    def __init__(self, database: Database, limits: Limits, cache_bytes: int = _GRAPH_BYTES) -> None:
        self.database = database
        self.limits = limits
        self.granted: Weight | None = None
        self._changes: int | None = None
        self.graphs: Cache[str, Graph] = Cache(cache_bytes, lambda graph: graph.nbytes, may_grow=True)
        self.records: Cache[str, GraphRecord] = Cache(cache_bytes // 16, _record_bytes)
        self.tensors: Cache[str, FloatArray] = Cache(cache_bytes // 4, lambda array: array.nbytes)
        self.comparisons: Cache[str, Comparison] = Cache(cache_bytes // 2, lambda found: found.nbytes)

    @property
    def caches(self) -> Mapping[str, Cache[str, Any]]:
        """The caches by what they hold."""
        return {
            "graphs": self.graphs,
            "records": self.records,
            "tensors": self.tensors,
            "comparisons": self.comparisons,
        }

    def unbounded(self) -> "Context":
        """The same with whatever a request may take granted, for work that no request waits for."""
        other = copy(self)
        other.granted = None
        return other

    def admit(self, weight: Weight, answer: WholeAnswer | None = None) -> None:
        """Return if work of that weight may begin here, and be answered; raises LimitExceeded, NeedsMore."""
        admit(weight, self.limits, self.granted, answer)

    def graph(self, digest: str) -> Graph:
        """The graph of that digest, to look at all its nodes; raises NotFound unless it is stored, and as `admit`
        unless they are made already."""
        graph = self.compact_graph(digest)
        if graph.is_compact:
            self.admit(LOADED_NODE * len(graph))
            graph.make_nodes()
        return graph

    def compact_graph(self, digest: str) -> Graph:
        """The graph of that digest, to run it or to look at a few nodes; raises NotFound unless it is stored, and as
        `admit` where it is not cached."""
        return self.graphs.get(digest, lambda: self._load_graph(digest))

    def record(self, reference: str) -> GraphRecord:
        """The record of the graph that is referred to; raises NotFound."""
        self.forget_changed()
        identifier = reference if reference in self.records else self._find(reference)
        return self.records.get(identifier, lambda: self._load_record(identifier))

    def forget_changed(self) -> None:
        """Forget everything if a graph was deleted, or its tags were changed, by whatever process."""
        changes = self.database.count_changes()
        if changes != self._changes:
            # Content that was deleted and stored again may have its nodes in another order.
            self.graphs.clear()
            self.records.clear()
            self._changes = changes

    def _load_graph(self, digest: str) -> Graph:
        with self.database.read() as connection:
            self.admit(COMPACT_NODE * storage.count_nodes(connection, digest))
            return storage.load_graph(connection, digest)

    def _find(self, reference: str) -> str:
        with self.database.read() as connection:
            return graph_id(connection, reference)

    def _load_record(self, identifier: str) -> GraphRecord:
        with self.database.read() as connection:
            return storage.get_graph(connection, identifier)


def _record_bytes(record: GraphRecord) -> int:
    """About 2,000 bytes, 100 for each name, tag and part, and up to four for each character."""
    texts = [record.name, record.expression or "", *record.inputs, *record.outputs, *record.tags, *record.tags.values()]
    texts += [text for part in record.parts for text in (part.name, part.operation)]
    return 2000 + 100 * len(texts) + 4 * sum(map(len, texts))
