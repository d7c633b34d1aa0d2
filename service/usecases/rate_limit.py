"""How often a key may ask: so many requests each minute, counted in the database, by all processes together.

A process takes a twentieth of a minute's requests out of the database at once, and gives them out by itself: not every
request waits for a commit. So no more are ever let in than that, and somewhat fewer where a process takes more than it
needs. Where the database cannot be written each process counts for itself.
"""

import time
from dataclasses import dataclass
from threading import Lock

from sqlalchemy.exc import SQLAlchemyError

from service.storage.access_keys import count_requests
from service.storage.database import Database

MINUTE = 60  # seconds
_SHARES = 20


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether a request is let in, how many more would be at once, and in how many seconds the next minute begins."""

    admitted: bool
    left: int
    seconds: int


@dataclass(slots=True)
class _Minute:
    """What a process knows of one key's requests in one minute."""

    number: int
    in_hand: int = 0  # taken out of the database, and not given out
    taken: int = 0  # altogether, by this process
    in_database: int = 0  # that nobody had taken, at last


class RateLimit:
    """At most `most` requests a minute with each key."""

    def __init__(self, database: Database, most: int) -> None:
        self.most = most
        self._database, self._share = database, max(1, most // _SHARES)
        self._minutes: dict[str, _Minute] = {}
        self._lock = Lock()

    def take(self, prefix: str) -> Allowance:
        """Count one request more with the key of that prefix, and say whether it is let in."""
        now = time.time()
        with self._lock:
            minute = self._minutes.get(prefix)
            if minute is None or minute.number != int(now // MINUTE):
                minute = self._minutes[prefix] = _Minute(int(now // MINUTE), in_database=self.most)
        while True:
            with self._lock:
                if minute.in_hand or not minute.in_database:
                    admitted = minute.in_hand > 0
                    minute.in_hand -= admitted
                    return Allowance(admitted, minute.in_hand + minute.in_database, MINUTE - int(now % MINUTE))
            self._refill(prefix, minute)

    def _refill(self, prefix: str, minute: _Minute) -> None:
        """Take a share of the minute's requests out of the database, or what there is left."""
        try:
            with self._database.write() as connection:
                counted = count_requests(connection, prefix, minute.number, self._share)
            left = self.most - counted
        except SQLAlchemyError:
            left = None
        with self._lock:
            # Alone, a process takes the whole of its rest at once, lest the next share wait for the database again.
            got = self.most - minute.taken if left is None else max(0, min(self._share, left + self._share))
            minute.in_hand += got
            minute.taken += got
            minute.in_database = max(0, left or 0)
