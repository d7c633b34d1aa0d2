"""Say once that the database does not answer, and once that it does again."""

import logging
import time
from threading import Lock

_log = logging.getLogger("gradbook.outage")


class Outage:
    """Whether a database answers, as its users find out. An outage of writing alone is not over by reading."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._since: float | None = None
        self._of_writing = False

    def failed(self, reason: str, *, writing: bool) -> None:
        """Something failed: log it unless it is known."""
        with self._lock:
            if self._since is None:
                self._since, self._of_writing = time.monotonic(), writing
                _log.error("the database does not answer: %s", reason)

    def worked(self, began: float, *, writing: bool) -> None:
        """Something worked that began at that time: log that the outage is over if it is."""
        if self._since is None:
            return
        with self._lock:
            if self._since is not None and began > self._since and writing >= self._of_writing:
                _log.warning("the database answers again, after %.1f s", time.monotonic() - self._since)
                self._since = None
