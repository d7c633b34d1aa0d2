"""A sweep as a job: its chunks are computed by an engine and stored as they come."""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from itertools import islice

from service.core.errors import GradbookError
from service.jobs.engine import ChunkWork, Engine, Unavailable
from service.jobs.runner import RECOVERY, ClaimedJob, Ending
from service.storage import jobs as storage
from service.storage.jobs import DoneChunk
from service.usecases.context import Context
from service.usecases.sweep_tallies import Tally, resume_tally
from service.usecases.sweeps import prepare_sweep
from service.workers.pool import Gone, Lost

_TRIES = 2  # of a chunk that ended its process
_GLANCE = 0.25  # seconds between two looks whether the job was stopped
_TOLD = 1.0  # seconds between two times that it is told what the points amount to
_log = logging.getLogger("gradbook")


def perform_sweep(context: Context, engine: Engine, claim: ClaimedJob) -> Ending | None:
    """Have the chunks of a sweep computed that are not stored yet; None if it was stopped, or nothing computes now."""
    record = claim.record
    plan = prepare_sweep(context, record)
    work = ChunkWork(record.id, plan.graphs, plan.sweep, plan.nbytes)
    with context.database.read() as connection:
        stored = storage.list_chunks(connection, record.id)
        tally = resume_tally(connection, record, stored)
    missing = (number for number in range(record.chunks) if number not in stored)
    try:
        claim.store([], tally.write())
        _compute(engine, work, missing, claim, tally)
    except (Gone, CancelledError):
        return None
    except Unavailable as error:
        _log.warning("job %s waits: %s", record.id, error)
        return None
    return _ending(context, claim, tally)


def _compute(engine: Engine, work: ChunkWork, missing: Iterator[int], claim: ClaimedJob, tally: Tally) -> None:
    """Have these chunks computed, a window of them at a time, store them and add them to the tally; raises Gone,
    Unavailable."""
    flight: dict[Future[bytes], int] = {}
    told = time.monotonic()
    lost: Counter[int] = Counter()

    def submit(number: int) -> None:
        flight[engine.submit(work, number, claim.stop)] = number

    try:
        while True:
            for number in islice(missing, max(0, engine.window - len(flight))):
                submit(number)
            if not flight:
                return
            done = []
            for future in wait(flight, timeout=_GLANCE, return_when=FIRST_COMPLETED).done:
                number = flight.pop(future)
                chunk = _taken(work, number, future, lost)
                if chunk is None:
                    claim.stop.wait(RECOVERY)
                    submit(number)
                else:
                    done.append(chunk)
            for chunk in done:
                tally.add(chunk.number, chunk.data)
            if done:
                tells = time.monotonic() - told > _TOLD
                claim.store(done, tally.write() if tells else None)
                told = time.monotonic() if tells else told
            if claim.stop.is_set():
                raise Gone
    finally:
        for future in flight:
            future.cancel()


def _taken(work: ChunkWork, number: int, future: Future[bytes], lost: Counter[int]) -> DoneChunk | None:
    """What is stored of a chunk; None if it is to be tried again. Raises Gone, Unavailable."""
    points = work.sweep.numbers(number)
    try:
        return DoneChunk(number, len(points), future.result())
    except (Gone, CancelledError, Unavailable):
        raise
    except Lost:
        lost[number] += 1
        if lost[number] < _TRIES:
            return None
        problem = f"it ended {_TRIES} processes"
    except MemoryError:
        problem = "it took more memory than was set aside for it"
    except GradbookError as error:  # an operation refuses what it is given at a point
        problem = error.detail
    except Exception as error:
        _log.exception("chunk %s of job %s", number, work.job_id)
        problem = f"{type(error).__name__}: {error}"
    return DoneChunk(number, len(points), None, f"points {points[0]} to {points[-1]}: {problem}")


def _ending(context: Context, claim: ClaimedJob, tally: Tally) -> Ending:
    result = f"/v1/sweeps/{claim.record.id}"
    with context.database.read() as connection:
        failed = storage.list_failed_chunks(connection, claim.record.id)
    if failed:
        detail = "; ".join(problem for _, problem in failed)
        problem = {"title": "Some points were not computed", "status": 500, "detail": detail}
        return Ending(result, problem, tally.write())
    return Ending(result, summary=tally.write())
