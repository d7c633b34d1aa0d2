"""Jobs from Python: they are waited for, stopped, retried and read, over real HTTP."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from service.client import Client, ClientError, Graph, Job, JobCancelled, JobFailed, Problem
from service.client.progress import progress_bar
from service.client.results.jobs import read_job
from service.process import free_port, service_process
from tests.cli.test_waiting import impatient_terminal, read_until

LONG = {"a": {"linspace": [0, 1, 50_000]}, "b": {"linspace": [0, 1, 1_000]}}


@pytest.fixture(scope="module")
def service(service_url: str) -> Iterator[Client]:
    with Client(service_url) as client:
        yield client


@pytest.fixture(scope="module")
def graph(service: Client) -> Graph:
    return service.create_graph("client jobs", expression="F = a * b")


def test_a_job_is_waited_for_and_read(service: Client, graph: Graph, capsys: pytest.CaptureFixture[str]) -> None:
    job = service.create_sweep(graph, {"a": {"linspace": [0, 1, 250]}, "b": {"linspace": [0, 1, 100]}})
    assert (job.kind, job.total, job.unit, job.graph_id) == ("sweep", 25_000, "points", graph.id)
    seen: list[Job] = []
    sweep = job.result(timeout=60, on_progress=seen.append)
    assert (sweep.id, sweep.points, sweep.job.state) == (job.id, 25_000, "done")
    assert {each.id for each in seen} == {job.id} and seen[-1].ended and seen[-1].done == 25_000
    assert [each.done for each in seen] == sorted(each.done for each in seen)
    found = service.get_job(job)
    assert found == seen[-1] and found.wait() is found
    assert found.started_at is not None and found.ended_at is not None and found.problem is None
    assert service.get_job_result(job.id) == sweep
    assert job.id in {each.id for each in service.list_jobs(state="done", kind="sweep", since=job.created_at)}
    assert capsys.readouterr() == ("", "")  # a bar is for terminals


def test_a_job_is_stopped_and_goes_on(service: Client, graph: Graph) -> None:
    job = service.create_sweep(graph, LONG)
    with pytest.raises(TimeoutError, match=f"job {job.id} is .* of 50000000 points are done"):
        job.result(timeout=0)
    stopped = job.cancel()
    assert (stopped.state, stopped.ended) == ("cancelled", True)
    with pytest.raises(JobCancelled, match=f"job {job.id} was cancelled: ") as raised:
        job.result()
    assert raised.value.job == stopped
    assert service.cancel_job(job).state == "cancelled"
    again = service.retry_job(stopped)
    assert (again.id, again.ended) == (job.id, False)
    with pytest.raises(Problem) as refused:
        service.retry_job(job)
    assert refused.value.status == 409
    assert service.cancel_job(again).done >= stopped.done
    with pytest.raises(Problem) as refused:
        service.get_job("none")
    assert refused.value.status == 404


def test_what_failed_raises_the_problem_of_the_job(service: Client, graph: Graph) -> None:
    job = service.create_sweep(graph, LONG).cancel()
    problem = {"type": "about:blank", "title": "Chunks failed", "status": 500, "detail": "chunk 7 did"}
    failed = read_job({**job.document, "state": "failed", "problem": problem}, service)
    with pytest.raises(JobFailed, match="500 Chunks failed: chunk 7 did") as raised:
        failed.result()
    assert raised.value.job is failed and raised.value.detail == "chunk 7 did"
    assert isinstance(raised.value, Problem) and issubclass(JobCancelled, ClientError)


def test_a_terminal_shows_how_far_a_job_is(service: Client, graph: Graph) -> None:
    job = service.create_sweep(graph, LONG).cancel()
    begun = datetime.now(UTC).isoformat()
    running = {**job.document, "state": "running", "done": 12_345_678, "started_at": begun, "estimate": 900.0}
    with impatient_terminal() as terminal, progress_bar() as show:
        show(read_job(running, service))
        read_until(terminal, f"sweep {job.id[-8:]} running".encode())
        read_until(terminal, b"12,345,678/50,000,000 points")
        read_until(terminal, b"about 15 min left")


@pytest.mark.slow
def test_a_job_is_waited_for_while_the_service_is_started_again(
    empty_database: Callable[[Path], str], tmp_path: Path
) -> None:
    database, port = empty_database(tmp_path), free_port()
    with ThreadPoolExecutor() as threads:
        with service_process(database, port) as url:
            service = Client(url)
            many = {"a": {"linspace": [0, 1, 500]}, "b": {"linspace": [0, 1, 1000]}}
            job = service.create_sweep(service.create_graph("restarted", expression="F = a * b"), many)
            while service.get_job(job).done == 0:
                pass
            waiting = threads.submit(job.wait)
        assert not waiting.done()  # while no service answers
        with service_process(database, port):
            ended = waiting.result(120)
            assert (ended.state, ended.done) == ("done", 500_000)
        service.close()


@pytest.mark.slow
def test_what_takes_longer_than_a_request_becomes_a_job(empty_database: Callable[[Path], str], tmp_path: Path) -> None:
    seen: list[Job] = []

    def follow(job: Job) -> Job:
        seen.append(job)
        return job.wait(60)

    matrix = np.random.default_rng(7).normal(size=(400, 400))
    with service_process(empty_database(tmp_path), variables={"GRADBOOK_MAX_OPERATIONS": "30000000"}) as url:
        with Client(url) as service:
            graph = service.create_graph("long", expression="y = sum(tanh(x @ x @ x @ x @ x @ x) * 1e-3)")
            with pytest.raises(Problem, match="Prefer: respond-async") as refused:
                service.create_run(graph, {"x": matrix})
            assert refused.value.members["limit"] == "operations"
            small = service.create_run(graph, {"x": matrix[:20, :20]})
        with Client(url, on_job=follow) as service:
            assert service.create_run(graph, {"x": matrix[:20, :20]}).outputs == small.outputs
            assert seen == []
            run = service.create_run(graph, {"x": matrix}, label="long")
            assert (run.label, service.get_run("long:long").id) == ("long", run.id)
            assert service.create_run(graph, {"x": matrix}, gradients="inputs").nodes == ()
            unkept = service.create_run(graph, {"x": matrix}, keep=False)
            assert unkept.id is None and np.array_equal(unkept.gradients["x"], run.gradients["x"])
            assert service.check_gradients(graph, {"x": matrix[:100, :100]}).verdict == "right"
            assert [job.kind for job in seen] == ["request"] * 4
            assert service.get_job_result(seen[0]).values["y"] == run.values["y"]
            assert isinstance(service.get_job_result(seen[2].id), bytes)
            assert service.get_job_result(seen[3])["verdict"] == "right"
            with pytest.raises(JobFailed, match="a check computes at most") as failed:
                service.check_gradients(graph, {"x": matrix})
            assert failed.value.members["limit"] == "run_elements" and failed.value.job.id == seen[4].id
