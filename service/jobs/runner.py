"""The runner of a service: claims jobs from the database, has them done, and stores how they ended.

Several services may share a database: each job is one runner's, by a lease that it renews. A runner that ends, however
suddenly, leaves its jobs to whoever claims them next, with every chunk that is stored.
"""

import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any, TypeAlias

from sqlalchemy.exc import SQLAlchemyError

from service.api.http.problems import answer_error
from service.core.errors import GradbookError
from service.storage import jobs as storage
from service.storage.database import Database
from service.storage.identifiers import new_id
from service.storage.jobs import DoneChunk, JobRecord

_LEASE, _RENEW = 5.0, 1.5  # seconds
_LOOK, _IDLE = 0.25, 0.5  # seconds between two looks at the jobs under way, and for jobs that wait
_JOBS_AT_ONCE = 4  # of a kind: a request does not wait until sweeps have ended
_AGAIN = 5.0  # seconds until a job is left to others that cannot be done here for the moment
_PRUNE = 600.0  # seconds between two looks for jobs to be deleted
# Seconds until what ended its process is tried in another one: where all of them are killed, the next one is too.
RECOVERY = 0.5
_log = logging.getLogger("gradbook")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ended: where its result is, or why it has none, and what is known of it as a whole."""

    result: str | None = None
    problem: Mapping[str, Any] | None = None
    summary: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this service is at, until `stop` is set."""

    record: JobRecord
    owner: str
    stop: Event
    database: Database

    def store(self, chunks: Sequence[DoneChunk], summary: Mapping[str, Any] | None = None) -> None:
        """Store what was done of the job, and what is known of it as a whole, unless it is no longer this service's,
        which stops it; raises OperationalError."""
        with self.database.write() as connection:
            if not storage.insert_chunks(connection, self.record.id, self.owner, chunks, summary):
                self.stop.set()


# Does a job of a kind: how it ended, None if it was stopped, or cannot be done for the moment.
Perform: TypeAlias = Callable[[ClaimedJob], Ending | None]


class Runner:
    """Does the jobs of a database; `perform` has by kind what does them. Jobs that ended `days` ago are deleted."""

    def __init__(self, database: Database, perform: Mapping[str, Perform], days: float) -> None:
        self._database, self._perform = database, perform
        self._keep = timedelta(days=days)
        self._owner = f"{socket.gethostname()[:20]}:{os.getpid()}:{new_id()[-8:]}"
        self._under_way: dict[str, ClaimedJob] = {}
        self._closed = Event()
        self._thread = Thread(target=self._run, name="jobs", daemon=True)

    def begin(self) -> None:
        """Begin, in the background."""
        self._thread.start()

    def close(self) -> None:
        """Stop what is under way, and leave it to whoever claims it next."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        renew = prune = time.monotonic()
        threads: list[Thread] = []
        while not self._closed.is_set():
            now, begun = time.monotonic(), 0
            try:
                if self._under_way:
                    self._stop_others()
                    if now >= renew:
                        with self._database.write() as connection:
                            storage.renew_leases(connection, self._owner, [*self._under_way], _LEASE)
                        renew = now + _RENEW
                if now >= prune:
                    prune = now + (0.0 if self._prune() else _PRUNE)
                # Not as long as there is room: jobs may be done as fast as they are claimed.
                for _ in range(_JOBS_AT_ONCE):
                    record = self._claim()
                    if record is None:
                        break
                    begun += 1
                    claim = ClaimedJob(record, self._owner, Event(), self._database)
                    self._under_way[record.id] = claim
                    threads = [thread for thread in threads if thread.is_alive()]
                    threads.append(Thread(target=self._do, args=(claim,), name=f"job {record.id}", daemon=True))
                    threads[-1].start()
            except SQLAlchemyError as error:
                _log.debug("no look at the jobs: %s", error)  # that the database is silent is said elsewhere
            if not begun:
                self._closed.wait(_LOOK if self._under_way else _IDLE)
        for claim in [*self._under_way.values()]:
            claim.stop.set()
        for thread in threads:
            thread.join(_AGAIN)

    def _stop_others(self) -> None:
        """Stop the jobs that are no longer this service's: they were cancelled, or another claimed them."""
        with self._database.read() as connection:
            owned = storage.list_owned(connection, self._owner)
        for identifier, claim in [*self._under_way.items()]:
            if identifier not in owned:
                claim.stop.set()

    def _prune(self) -> bool:
        """Delete a job that ended long ago, one between two looks: it may have many chunks; whether there was one."""
        with self._database.write() as connection:
            return storage.delete_old_jobs(connection, datetime.now(UTC) - self._keep, 1) > 0

    def _claim(self) -> JobRecord | None:
        under_way = Counter(claim.record.kind for claim in [*self._under_way.values()])
        kinds = [kind for kind in self._perform if under_way[kind] < _JOBS_AT_ONCE]
        with self._database.read() as connection:
            if not storage.is_any_free(connection, kinds):
                return None
        with self._database.write() as connection:
            # One that was cancelled and begun again is claimed once what was under way of it has stopped.
            return storage.claim_job(connection, self._owner, _LEASE, [*self._under_way], kinds)

    def _do(self, claim: ClaimedJob) -> None:
        identifier = claim.record.id
        try:
            ending = self._ending(claim)
            if ending is None and not claim.stop.is_set():
                self._closed.wait(_AGAIN)
            with self._database.write() as connection:
                if ending is None:
                    storage.release_job(connection, identifier, self._owner)
                else:
                    storage.end_job(
                        connection,
                        identifier,
                        self._owner,
                        result=ending.result,
                        problem=ending.problem,
                        summary=ending.summary,
                    )
        except SQLAlchemyError as error:
            # Its lease ends by itself, and what is stored is not done again.
            _log.warning("job %s is left for a while: %s", identifier, str(error).splitlines()[0])
        finally:
            del self._under_way[identifier]

    def _ending(self, claim: ClaimedJob) -> Ending | None:
        try:
            return self._perform[claim.record.kind](claim)
        except SQLAlchemyError:
            raise
        except GradbookError as error:
            return Ending(problem=answer_error(error).get_json())
        except Exception:
            _log.exception("job %s", claim.record.id)
            detail = "the service failed; its log has this job's id"
            return Ending(problem={"title": "Internal Server Error", "status": 500, "detail": detail})
