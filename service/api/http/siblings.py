"""The measurements of several processes that serve together: whichever is asked for them answers for all.

Each process is a number and a socket of that name in a folder that they share; who connects is sent what it measured.
"""

import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from prometheus_client import CollectorRegistry, Metric

from service.workers import messages

_SECONDS = 2.0  # to answer, for all together
_BACKLOG = 64


@dataclass(frozen=True, slots=True)
class Sibling:
    """One of the processes that serve together."""

    folder: str
    number: int

    def answer(self, registry: CollectorRegistry) -> None:
        """Tell the others what is measured here whenever they ask, as long as the process lives."""
        place = Path(self._place(self.number))
        place.unlink(missing_ok=True)  # of the process whose place this one has taken
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(place))
        listener.listen(_BACKLOG)
        Thread(target=_answer, args=(listener, registry), name="siblings", daemon=True).start()

    def collect(self, registry: CollectorRegistry) -> Iterator[Metric]:
        """The families of this process and of all others that answer, each series with the label `process`."""
        with ExitStack() as stack:
            asked: dict[int, socket.socket] = {}
            for number in {int(name) for name in os.listdir(self.folder)} - {self.number}:
                connection = stack.enter_context(socket.socket(socket.AF_UNIX))
                connection.settimeout(_SECONDS)  # and so never waits to connect
                with suppress(OSError):  # it has ended, or is stuck
                    connection.connect(self._place(number))
                    asked[number] = connection
            found = {self.number: [*registry.collect()]}
            end = time.monotonic() + _SECONDS
            for number, connection in asked.items():
                connection.settimeout(max(0.001, end - time.monotonic()))
                with suppress(OSError, EOFError):
                    found[number], _ = messages.receive(connection)
        return merged(found)

    def _place(self, number: int) -> str:
        return os.path.join(self.folder, str(number))


def _answer(listener: socket.socket, registry: CollectorRegistry) -> None:
    while True:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.settimeout(_SECONDS)
            messages.send(connection, [*registry.collect()])


def merged(found: Mapping[int, Iterable[Metric]]) -> Iterator[Metric]:
    """One family of each name, with the samples of every process."""
    families: dict[str, Metric] = {}
    for number, metrics in sorted(found.items()):
        for each in metrics:
            family = families.setdefault(each.name, Metric(each.name, each.documentation, each.type))
            family.samples += [
                sample._replace(labels={"process": str(number), **sample.labels}) for sample in each.samples
            ]
    return iter(families.values())
