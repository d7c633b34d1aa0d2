"""Requests that are done as jobs, and what they were answered."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from service.core.errors import Conflict, NotFound
from service.core.figures.weight import Weight
from service.storage import jobs as storage
from service.storage.identifiers import new_id
from service.storage.jobs import DONE, REQUEST, DoneChunk, JobRecord
from service.usecases.context import Context
from service.usecases.idempotency import IdempotencyKey, made_before, write_once
from service.usecases.jobs import get_job

_PIECE = 1024 * 1024  # bytes of an answer in one chunk


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a request was answered: the form and the bytes of its body and, if it made something, the path of that."""

    content_type: str
    nbytes: int
    location: str | None


def defer_request(
    context: Context,
    task: Mapping[str, Any],
    body: Sequence[bytes],
    operations: float,
    *,
    key: IdempotencyKey | None = None,
) -> JobRecord:
    """Keep a request, and the pieces of its body, as a job; raises KeyReused.

    The job has its key; so the key under which the job itself is found again is another, which no header can be.
    """
    weight = round(operations)
    record = JobRecord(new_id(), REQUEST, task, datetime.now(UTC), total=1, chunks=1, operations=weight)

    def make(connection: Connection) -> tuple[JobRecord, str, bool]:
        made_before(connection, key)
        storage.insert_job(connection, record, body)
        return record, record.id, True

    of_job = replace(key, key=f"\n{key.key}") if key else None
    return write_once(context.database, of_job, make, storage.get_job)[0]


def result_of(job_id: str, answer: KeptAnswer) -> str:
    """The path of what came of a request: what it made, else its answer."""
    return answer.location or f"/v1/jobs/{job_id}/result"


def pack_answer(answer: KeptAnswer, body: bytes) -> list[DoneChunk]:
    """An answer as the chunks of its job; without its body if what it made can be read."""
    pieces = [] if answer.location else [body[start : start + _PIECE] for start in range(0, len(body), _PIECE)]
    head = DoneChunk(0, 1, json.dumps(asdict(answer)).encode())
    return [head, *(DoneChunk(number, 0, bytes(piece)) for number, piece in enumerate(pieces, start=1))]


def read_answer(head: bytes) -> KeptAnswer:
    """An answer, without its body, from the first chunk of its job."""
    return KeptAnswer(**json.loads(head))


def get_job_result(context: Context, job_id: str) -> tuple[KeptAnswer, list[bytes]]:
    """Read what a request was answered that was done as a job, and that made nothing; raises NotFound, Conflict as long
    as it is not done."""
    record = get_job(context, job_id)
    if record.state != DONE:
        raise Conflict(f"a job has a result once it is done; this one is {record.state}")
    if record.result != f"/v1/jobs/{record.id}/result":
        raise NotFound(f"what came of this job is at {record.result}")
    with context.database.read() as connection:
        [(_, head)] = storage.load_chunks(connection, record.id, range(1))
        answer = read_answer(head)
        context.admit(Weight(answer.nbytes, 2 * answer.nbytes))
        pieces = [data for _, data in storage.load_chunks(connection, record.id, range(1, 2 + answer.nbytes // _PIECE))]
    return answer, pieces
