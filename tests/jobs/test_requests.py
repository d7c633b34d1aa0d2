"""A request as a job: it is answered once, whatever ends its process, the service, or the job."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from flask import Flask

from service.app import create_app
from service.core.errors import Conflict, KeyReused, NotFound
from service.core.figures.weight import Weight
from service.jobs.requests import perform_request
from service.jobs.runner import ClaimedJob, Ending
from service.settings import Settings
from service.storage.jobs import claim_job, end_job, load_given, retry_job
from service.usecases.context import Context
from service.usecases.idempotency import IdempotencyKey
from service.usecases.job_results import defer_request, get_job_result
from service.usecases.jobs import cancel_job
from service.workers.pool import Gone, Lost

JSON = ("Content-Type", "application/json")
TASK = {"environ": {"REQUEST_METHOD": "POST"}, "request_id": "a", "nbytes": 5.0, "operation": "do", "changes": 201}
OWNER = "the test"
Said = tuple[int, list[tuple[str, str]], bytes]
ANSWERED: Said = (200, [JSON], b'{"verdict":"right"}')


class Process:
    """Says one after the other what it is to say: an answer, what more it needs, or an error."""

    def __init__(self, *says: Said | Weight | Exception) -> None:
        self._says = [*says]
        self.asked: list[tuple[dict[str, Any], Weight, bytes]] = []

    def ask(self, task: Any, given: list[bytes], nbytes: int, stop: Event) -> tuple[Any, Any]:
        """As `ProcessEngine`."""
        self.asked.append((*task, b"".join(given)))
        said = self._says.pop(0)
        if isinstance(said, Exception):
            raise said
        if isinstance(said, Weight):
            return said, b""
        status, headers, body = said
        return (status, headers, [], ()), body


@pytest.fixture(scope="module")
def app(empty_database: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    made = create_app(Settings(empty_database(tmp_path_factory.mktemp("requests"))))
    yield made
    made.extensions["gradbook"].database.close()


@pytest.fixture
def context(app: Flask) -> Context:
    found: Context = app.extensions["gradbook"]
    return found


@pytest.fixture
def claim(context: Context) -> ClaimedJob:
    """A job whose request has a body in two pieces."""
    defer_request(context, TASK, [b"[1,", b"2]"], 1e9)
    with context.database.write() as connection:
        record = claim_job(connection, OWNER, 60)
    assert record is not None
    return ClaimedJob(record, OWNER, Event(), context.database)


def perform(app: Flask, claim: ClaimedJob, *says: Said | Weight | Exception) -> Ending | None:
    return perform_request(app, Process(*says), claim)  # type: ignore[arg-type]


def test_its_body_is_whole_and_its_key_its_own(app: Flask, claim: ClaimedJob) -> None:
    process = Process(ANSWERED)
    perform_request(app, process, claim)  # type: ignore[arg-type]
    [(environ, granted, body)] = process.asked
    assert body == b"[1,2]" and granted == Weight(float("inf"), 5.0)
    assert environ["HTTP_IDEMPOTENCY_KEY"] == f"\n{claim.record.id}"
    assert (environ["REQUEST_METHOD"], environ["HTTP_X_REQUEST_ID"]) == ("POST", "a")


def test_it_is_granted_the_memory_that_it_turns_out_to_need(app: Flask, claim: ClaimedJob) -> None:
    process = Process(Weight(1e30, 100.0), ANSWERED)
    perform_request(app, process, claim)  # type: ignore[arg-type]
    assert [granted.nbytes for _, granted, _ in process.asked] == [5.0, 100.0]


def test_it_is_not_asked_again_once_its_answer_is_stored(app: Flask, context: Context, claim: ClaimedJob) -> None:
    """The service was killed before the job was ended."""
    body = b'"' + b"x" * 3_000_000 + b'"'
    first = perform(app, claim, (200, [JSON], body))
    ended = perform(app, claim)
    assert first == ended == Ending(f"/v1/jobs/{claim.record.id}/result")
    with pytest.raises(Conflict, match="running"):
        get_job_result(context, claim.record.id)
    with context.database.write() as connection:
        end_job(connection, claim.record.id, OWNER, result=ended.result)
        assert not load_given(connection, claim.record.id)
    answer, pieces = get_job_result(context, claim.record.id)
    assert b"".join(pieces) == body and answer.content_type == "application/json"


def test_what_failed_keeps_its_body_to_be_done_again(app: Flask, context: Context, claim: ClaimedJob) -> None:
    ended = perform(app, claim, Lost(), Lost())
    assert ended is not None
    with context.database.write() as connection:
        end_job(connection, claim.record.id, OWNER, problem=ended.problem)
        retry_job(connection, claim.record.id)
        again = claim_job(connection, OWNER, 60)
    assert again is not None and again.id == claim.record.id
    process = Process(ANSWERED)
    perform_request(app, process, replace(claim, record=again))  # type: ignore[arg-type]
    assert process.asked[0][-1] == b"[1,2]"


def test_what_it_made_is_its_result(app: Flask, context: Context, claim: ClaimedJob) -> None:
    said: Said = (201, [JSON, ("Location", "/v1/runs/r")], b"{}")
    assert perform(app, claim, said) == perform(app, claim) == Ending("/v1/runs/r")
    with context.database.write() as connection:
        end_job(connection, claim.record.id, OWNER, result="/v1/runs/r")
    with pytest.raises(NotFound, match="/v1/runs/r"):
        get_job_result(context, claim.record.id)


def test_a_refusal_is_its_problem(app: Flask, claim: ClaimedJob) -> None:
    problem = {"type": "urn:gradbook:problem:not-found", "status": 404}
    assert perform(app, claim, (404, [JSON], json.dumps(problem).encode())) == Ending(problem=problem)


def test_it_is_tried_twice_if_its_process_ends(app: Flask, claim: ClaimedJob) -> None:
    ended = perform(app, claim, Lost(), Lost())
    assert ended is not None and ended.problem is not None
    assert (ended.problem["type"], ended.problem["status"]) == ("urn:gradbook:problem:lost", 503)
    assert perform(app, claim, Lost(), ANSWERED) == Ending(f"/v1/jobs/{claim.record.id}/result")


def test_what_took_more_memory_than_it_was_granted_is_not_tried_again(app: Flask, claim: ClaimedJob) -> None:
    ended = perform(app, claim, MemoryError())
    assert ended is not None and ended.problem is not None and ended.problem["limit"] == "request_memory"


@pytest.mark.parametrize("said", [Gone(), (503, [JSON], b"{}")])
def test_it_is_left_to_others_if_it_is_stopped_or_the_database_is_silent(
    app: Flask, claim: ClaimedJob, said: Any
) -> None:
    assert perform(app, claim, said) is None


def test_an_answer_that_comes_after_it_was_cancelled_is_not_kept(
    app: Flask, context: Context, claim: ClaimedJob
) -> None:
    cancel_job(context, claim.record.id)
    perform(app, claim, ANSWERED)
    assert claim.stop.is_set()
    with pytest.raises(Conflict, match="cancelled"):
        get_job_result(context, claim.record.id)


def test_a_request_under_a_key_is_one_job(context: Context) -> None:
    key, other = IdempotencyKey("k", "of a request"), IdempotencyKey("k", "of another")
    first, again = (defer_request(context, TASK, [], 1.0, key=key) for _ in range(2))
    assert first.id == again.id
    with pytest.raises(KeyReused):
        defer_request(context, TASK, [], 1.0, key=other)
    with context.database.write() as connection:  # so that no other test claims it
        assert claim_job(connection, OWNER, 3600) is not None
