"""What computes the chunks of jobs, wherever that is."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Event
from typing import Protocol

from service.core.graph.graph import Graph
from service.core.sweeps.sweep import Sweep


@dataclass(frozen=True, slots=True, eq=False)
class ChunkWork:
    """What all chunks of a job have in common: the graphs, by their digests and in the order in which the sweep takes
    them, and the bytes of memory that a chunk takes at most."""

    job_id: str
    graphs: Mapping[str, Graph]
    sweep: Sweep
    nbytes: int


class Engine(Protocol):
    """What computes chunks; several threads may ask it."""

    @property
    def window(self) -> int:
        """How many chunks of a job are given to it at once, so that nothing of it waits for work."""

    def submit(self, work: ChunkWork, number: int, stop: Event) -> "Future[bytes]":
        """Have a chunk computed: what is stored of it.

        The future has an exception instead: `Lost` if its process ended, `Gone` if `stop` was set, `Unavailable` if
        nothing computes now, or what the computation raised, a MemoryError among it.
        """

    def close(self) -> None:
        """Compute nothing more."""


class Unavailable(Exception):
    """Nothing computes chunks at the moment; the message says why. They may be asked for again later."""
