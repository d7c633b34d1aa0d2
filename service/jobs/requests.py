"""A request as a job: a worker process answers it, with no deadline, and its answer is kept."""

import json
from concurrent.futures import CancelledError
from math import inf
from typing import Any

from flask import Flask

from service.api.http.access import ADMITTED
from service.api.http.elsewhere import Reply, ask
from service.api.http.problems import answer_undone
from service.core.figures.weight import Weight
from service.jobs.processes import ProcessEngine
from service.jobs.runner import RECOVERY, ClaimedJob, Ending
from service.storage import jobs as storage
from service.usecases.job_results import KeptAnswer, pack_answer, read_answer, result_of
from service.workers.pool import Gone, Lost

_NOT_NOW, _ERROR = 503, 400  # the statuses of a database that does not answer; from which on it is a problem


def perform_request(app: Flask, engine: ProcessEngine, claim: ClaimedJob) -> Ending | None:
    """Have a request answered, unless its answer is stored; None if it was stopped, or the database does not answer.

    Under an Idempotency-Key, its own or the job's, it takes effect once, however often it is begun.
    """
    record = claim.record
    with claim.database.read() as connection:
        stored = [data for _, data in storage.load_chunks(connection, record.id, range(1))]
        given = [] if stored else storage.load_given(connection, record.id)
    if stored:
        return Ending(result_of(record.id, read_answer(stored[0])))
    try:
        (status, headers, _), data = _ask(engine, claim, given)
    except (Gone, CancelledError):
        return None
    except (Lost, MemoryError) as error:
        with app.app_context():
            return Ending(problem=answer_undone(error).get_json())
    if status == _NOT_NOW:
        return None
    if status >= _ERROR:
        return Ending(problem=json.loads(bytes(data)))
    said = dict(headers)
    answer = KeptAnswer(said["Content-Type"], len(data), said.get("Location") if status == 201 else None)
    claim.store(pack_answer(answer, data))
    result = result_of(record.id, answer)
    if not claim.stop.is_set() and status == record.task["changes"]:
        key = record.task["environ"].get(ADMITTED)
        change = {"change": record.task["operation"], "resource": result, "status": status, "key": key}
        app.extensions["measurements"].log(record.task["request_id"], **change, job=record.id)
    return Ending(result)


def _ask(engine: ProcessEngine, claim: ClaimedJob, given: list[bytes]) -> tuple[Reply, Any]:
    """The answer of a process, or of another one if the first has ended; raises Lost, Gone, MemoryError."""
    task = claim.record.task
    environ = {
        "HTTP_IDEMPOTENCY_KEY": f"\n{claim.record.id}",  # which no header can be
        **task["environ"],
        "HTTP_X_REQUEST_ID": task["request_id"],
        "wsgi.version": (1, 0),
    }

    def call(asked: Any, nbytes: int) -> tuple[Any, Any]:
        return engine.ask(asked, given, nbytes, claim.stop)

    needed = Weight(nbytes=task["nbytes"])
    try:
        return ask(call, environ, needed, inf)
    except Lost:  # which it need not have caused
        claim.stop.wait(RECOVERY)
        return ask(call, environ, needed, inf)
