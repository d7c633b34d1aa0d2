"""What the points of a sweep amount to by now: kept with its job as chunks come, so that nobody reads all again."""

import json
from collections.abc import Iterator, Mapping, Set
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from service.core.sweeps.chunks import chunk_reductions_end, read_chunk_reductions
from service.core.sweeps.reductions import Reductions, merge, read_reductions, write_reductions
from service.storage import jobs as storage
from service.storage.jobs import JobRecord

# Bytes of a chunk that mostly hold what it amounts to, and chunks that are merged together.
_BEGINNING, _AT_ONCE = 32 * 1024, 256


class Tally:
    """What the chunks with numbers below `stop` amount to, None if none of them was done, and each that came early."""

    def __init__(self, reductions: Reductions | None = None, stop: int = 0) -> None:
        self.reductions, self.stop = reductions, stop
        self._early: dict[int, Reductions | None] = {}

    def add(self, number: int, data: bytes | None) -> None:
        """Add a chunk; None is one that cannot be done."""
        self._early[number] = None if data is None else read_chunk_reductions(data)
        while self.stop in self._early:
            part = self._early.pop(self.stop)
            self.reductions = merge([each for each in (self.reductions, part) if each]) if part else self.reductions
            self.stop += 1

    def write(self) -> dict[str, Any]:
        """In JSON, without those that came early."""
        # Within it as text: PostgreSQL's JSON has neither NaN nor whole numbers of any length.
        written = json.dumps(write_reductions(self.reductions)) if self.reductions else None
        return {"stop": self.stop, "reductions": written}


def resume_tally(connection: Connection, record: JobRecord, stored: Set[int]) -> Tally:
    """The tally of a job of which the chunks with these numbers are stored, those among them that cannot be done."""
    tally = _read_tally(record.summary)
    if any(number not in stored for number in range(tally.stop)):  # one that could not be done is to be tried again
        tally = Tally()
    left = {number for number in stored if number >= tally.stop}
    for number, data in _beginnings(connection, record.id, tally.stop):
        left.discard(number)
        tally.add(number, data)
    for number in left:
        tally.add(number, None)
    return tally


def load_reductions(connection: Connection, record: JobRecord) -> Reductions | None:
    """What the points of a job amount to that are computed; None if none is."""
    tally = _read_tally(record.summary)
    merged, parts = tally.reductions, _beginnings(connection, record.id, tally.stop)
    while some := [read_chunk_reductions(data) for _, data in islice(parts, _AT_ONCE)]:
        merged = merge([merged, *some] if merged else some)
    return merged


def _read_tally(summary: Mapping[str, Any] | None) -> Tally:
    if summary is None:
        return Tally()
    written = summary["reductions"]
    return Tally(read_reductions(json.loads(written)) if written else None, summary["stop"])


def _beginnings(connection: Connection, identifier: str, start: int) -> Iterator[tuple[int, bytes]]:
    """Of each chunk from the number `start` on that was done, as many bytes as hold what it amounts to."""
    for number, data in storage.load_beginnings(connection, identifier, start, _BEGINNING):
        if chunk_reductions_end(data) <= len(data):
            yield number, data
        else:
            yield from storage.load_chunks(connection, identifier, range(number, number + 1))
