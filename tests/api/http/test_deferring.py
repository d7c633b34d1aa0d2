"""Requests that ask to be answered later become jobs, over HTTP."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import requests

from service.process import service_process
from tests.api.story import STORY, filled
from tests.large_requests import PATIENCE, post
from tests.waiting import until

LATER = {"Prefer": "respond-async"}
MAKES_JOBS = {"create_sweep", "retry_job"}  # whatever is preferred
NUMBERS = [k / 200 for k in range(200)]
CHECK = ("gradient-checks", {"inputs": {"x": NUMBERS}, "method": "central"})  # more than a thread does at once


@pytest.fixture(scope="module")
def url(service_url: str) -> str:
    """The service."""
    return service_url


@pytest.fixture(scope="module")
def graph(url: str) -> str:
    """The path of a graph."""
    return graph_of(url)


def graph_of(url: str) -> str:
    made = post(f"{url}/v1/graphs", {"name": "deferred", "expression": "sum(exp(x) * x)"}, large=False)
    return f"/v1/graphs/{made.json()['id']}"


def ended(url: str, answer: requests.Response) -> dict[str, Any]:
    """The job that a request became, once it has ended."""
    assert answer.status_code == 202, answer.text
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['id']}"

    def look() -> dict[str, Any]:
        found: dict[str, Any] = requests.get(url + answer.headers["Location"], timeout=PATIENCE).json()
        return found

    until(lambda: look()["state"] not in ("waiting", "running"))
    return look()


def answer_of(url: str, job: Mapping[str, Any], accept: str = "application/json") -> requests.Response:
    """What came of a job that is done."""
    assert (job["state"], job["problem"], job["done"], job["total"]) == ("done", None, 1, 1), job
    return requests.get(url + job["result"], headers={"Accept": accept}, timeout=PATIENCE)


def check(url: str, graph: str, headers: Mapping[str, str] = LATER) -> requests.Response:
    """The answer to a check of gradients."""
    return post(f"{url}{graph}/{CHECK[0]}", CHECK[1], large=False, headers=headers)


@pytest.mark.slow
def test_what_takes_too_long_is_refused_with_the_way_out_of_it(
    empty_database: Callable[[Path], str], tmp_path: Path
) -> None:
    longest = 60_000_000  # operations: hardly more than a thread does at once
    limits = {"GRADBOOK_MAX_OPERATIONS": f"{longest}", "GRADBOOK_MAX_JOB_OPERATIONS": f"{100 * longest}"}
    with service_process(empty_database(tmp_path), variables=limits) as url:
        graph = graph_of(url)
        for large in (False, True):  # in the second a worker process finds out
            refused = post(f"{url}{graph}/{CHECK[0]}", CHECK[1], large)
            problem = refused.json()
            assert (refused.status_code, problem["limit"], problem["maximum"]) == (422, "operations", longest)
            assert problem["estimate"] > longest
            assert problem["detail"].endswith("; send `Prefer: respond-async` to have it done as a job")
        assert answer_of(url, ended(url, check(url, graph))).json()["verdict"] == "right"


def test_what_made_nothing_is_kept_with_the_job(url: str, graph: str) -> None:
    asked = check(url, graph)
    assert asked.json()["estimate"] > 0.05
    job = ended(url, asked)
    assert job["kind"] == "request" and job["result"] == f"/v1/jobs/{job['id']}/result"
    assert answer_of(url, job).json() == check(url, graph, {}).json()


def test_its_page_says_what_was_asked(url: str) -> None:
    name = "déferré <b>"
    post(f"{url}/v1/graphs", {"name": name, "expression": "sum(exp(x) * x)"}, large=False)
    job = ended(url, check(url, f"/v1/graphs/{quote(name)}"))
    for page in ("/jobs", f"/jobs/{job['id']}"):
        shown = requests.get(url + page, headers={"Accept": "text/html"}, timeout=PATIENCE)
        assert "POST /v1/graphs/déferré &lt;b&gt;/gradient-checks" in shown.text, shown.status_code


def test_what_a_thread_does_at_once_is_answered_at_once(url: str, graph: str) -> None:
    run = post(f"{url}{graph}/runs", {"inputs": {"x": 1}}, large=False, headers=LATER)
    assert run.status_code == 201 and "Preference-Applied" not in run.headers


@pytest.mark.parametrize(
    "value", ["wait=10, Respond-Async", "handling=lenient,respond-async; x=1", "respond-async=", 'respond-async = ""']
)
def test_the_preference_may_stand_among_others(url: str, graph: str, value: str) -> None:
    assert check(url, graph, {"Prefer": value}).status_code == 202


@pytest.mark.parametrize("value", ["", "respond", 'note="respond-async, soon"', "respond-async=no", ",;="])
def test_other_preferences_are_ignored(url: str, graph: str, value: str) -> None:
    assert check(url, graph, {"Prefer": value}).status_code == 200


def test_what_is_wrong_is_refused_before_there_is_a_job(url: str, graph: str) -> None:
    path, body = CHECK
    for asked, status in (
        ({**body, "method": "none"}, 422),
        ({**body, "inputs": {"y": 1}}, 422),
        ({**body, "inputs": {"x": [1.0] * 9000}}, 422),  # more than a job may take
    ):
        refused = post(f"{url}{graph}/{path}", asked, large=False, headers=LATER)
        assert refused.status_code == status, refused.text
    assert refused.json()["limit"] in ("job_operations", "request_memory")
    assert post(f"{url}/v1/graphs/none/{path}", body, large=False, headers=LATER).status_code == 404
    assert post(f"{url}/v1/nothing", body, headers=LATER).status_code == 404


def test_what_is_found_wrong_later_is_the_problem_of_the_job(url: str, graph: str) -> None:
    job = ended(url, post(f"{url}{graph}/runs", {"inputs": {"y": 1}}, headers=LATER))
    assert (job["state"], job["result"], job["done"]) == ("failed", None, 0)
    assert job["problem"]["type"] == "urn:gradbook:problem:invalid-inputs"
    assert job["problem"]["errors"][0]["pointer"] == "/inputs"
    unread = requests.get(f"{url}/v1/jobs/{job['id']}/result", timeout=PATIENCE)
    assert (unread.status_code, unread.json()["type"]) == (409, "urn:gradbook:problem:conflict")


def test_a_get_is_answered_whatever_it_prefers(url: str, graph: str) -> None:
    assert requests.get(f"{url}{graph}", headers=LATER, timeout=PATIENCE).status_code == 200


def test_a_key_makes_one_job_and_one_run(url: str, graph: str) -> None:
    headers = {**LATER, "Idempotency-Key": "deferred"}
    body = {"inputs": {"x": NUMBERS}, "label": "once"}
    first, again = (post(f"{url}{graph}/runs", body, headers=headers) for _ in range(2))
    assert first.headers["Location"] == again.headers["Location"]
    job = ended(url, again)
    made = post(f"{url}{graph}/runs", body, headers={"Idempotency-Key": "deferred"})
    assert made.json()["id"] == job["result"].rpartition("/")[2]
    other = post(f"{url}{graph}/runs", {**body, "label": "other"}, headers=headers)
    assert (other.status_code, other.json()["type"]) == (422, "urn:gradbook:problem:idempotency-key-reused")
    listed = requests.get(f"{url}/v1/runs?label=once", timeout=PATIENCE).json()["runs"]
    assert len(listed) == 1


def test_the_answer_has_the_form_that_was_accepted(url: str, graph: str) -> None:
    body = {"inputs": {"x": NUMBERS}, "keep": False}
    job = ended(url, post(f"{url}{graph}/runs", body, headers={**LATER, "Accept": "application/x-npz"}))
    answer = answer_of(url, job)
    assert answer.headers["Content-Type"] == "application/x-npz" and answer.headers["ETag"]
    with np.load(io.BytesIO(answer.content)) as arrays:
        assert len(arrays.files) > 2


def test_what_is_made_is_the_result_and_no_answer_is_kept(url: str, graph: str) -> None:
    job = ended(url, post(f"{url}{graph}/runs", {"inputs": {"x": 2}}, headers=LATER))
    assert answer_of(url, job).json()["inputs"] == {"x": 2.0}
    missing = requests.get(f"{url}/v1/jobs/{job['id']}/result", timeout=PATIENCE)
    assert missing.status_code == 404 and missing.json()["detail"].endswith(job["result"])


@pytest.mark.slow
def test_whatever_is_posted_may_be_done_as_a_job(
    empty_database: Callable[[Path], str], tmp_path: Path, document: dict[str, Any]
) -> None:
    """The story of openapi.yaml, in which all that is posted is too much for a thread."""
    told, known, answers = set(), {}, []
    with service_process(empty_database(tmp_path)) as url:
        for asked in STORY:
            method = asked.method or ("GET" if asked.body is None else "POST")
            if method != "POST" or asked.operation in MAKES_JOBS:
                continue
            path, body = filled(asked.path, known), {} if asked.body is None else filled(asked.body, known)
            answers.append(post(url + path, body, headers=LATER))
            told.add(asked.operation)
            if asked.keep:  # what follows needs it
                known[asked.keep] = answer_of(url, ended(url, answers.pop())).json()["id"]
        assert all(answer_of(url, ended(url, answer)).ok for answer in answers)
    posts = {methods["post"]["operationId"] for methods in document["paths"].values() if "post" in methods}
    assert told - {""} == posts - MAKES_JOBS
