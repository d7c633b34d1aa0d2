"""`gradbook job` and `gradbook sweep`: the entry point in this process, and with signals in one of its own."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.client import Client
from tests.cli.command import call_main, gradbook
from tests.cli.test_waiting import read_until

LONG = ("a=linspace:0:1:50000", "b=linspace:0:1:1000")

# The command, also where whoever runs the tests in the background has them ignore the signal.
HEEDING = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("service.cli", run_name="__main__")
"""


@pytest.fixture(scope="module")
def service(service_url: str) -> Iterator[Client]:
    with Client(service_url) as client:
        client.create_graph("cli jobs", expression="F = a * b")
        yield client


def test_a_sweep_from_its_beginning_to_what_it_comes_to(service_url: str, service: Client) -> None:
    given = ("a=linspace:-1:4/3:5", "b=values:2:2:1/2", "--gradients")
    made = gradbook(service_url, "sweep", "create", "cli jobs", *given, expect=0)
    assert "inputs       a:linspace:-1:1.3333333333333333:5, b:…\npoints       15 of 15 in " in made
    assert re.search("^F +-2 +a = -1, b = 2 +2.66667 +a = 1.33333, b = 2 +0.25 *$", made, re.MULTILINE), made
    (job,) = re.findall("^id +(.*)$", made, re.MULTILINE)
    assert gradbook(service_url, "sweep", "show", job, expect=0) == made
    ended = gradbook(service_url, "job", "show", job, expect=0)
    assert re.search("^done +15 of 15 points\ntook ", ended, re.MULTILINE)
    assert gradbook(service_url, "job", "wait", job, expect=0) == ended
    came_to = json.loads(gradbook(service_url, "job", "wait", job, "--json", expect=0))
    assert came_to == service.get_sweep(job).document
    listed = gradbook(service_url, "job", "list", "--state", "done", "--kind", "sweep", expect=0)
    assert [f"{job[-8:]}  sweep  done" in line for line in listed.splitlines()].count(True) == 1


def test_points_are_listed_and_what_is_odd_is_named(service_url: str, service: Client) -> None:
    service.create_graph("cli sweeps", expression="F = log(x)")
    service.create_graph("cli sweeps, other", expression="F = log(x) + max(x - 1, 0)")
    given = ("x=linspace:-1:2:4", "--gradients", "--against", "cli sweeps, other")
    made = gradbook(service_url, "sweep", "create", "cli sweeps", *given, expect=1)
    assert "F is NaN at x = -1" in made and "F is -∞ at x = 0" in made
    assert (
        "against F parts from F at 1 of 4 points, first at point 3, x = 2; the greatest difference is 1, at x = 2"
        in made
    )
    sweep = next(service.list_jobs()).id
    shown = gradbook(service_url, "sweep", "points", sweep, "--offset", "2", expect=0)
    assert [line.split()[:3] for line in shown.splitlines()[2:]] == [["2", "1", "0"], ["3", "2", "0.693147"]]
    drawn = gradbook(service_url, "sweep", "picture", sweep, "--of", "dF/dx", "--x", "x", expect=0)
    assert drawn.startswith("<svg") and "dF/dx" in drawn
    assert "y is not an input" in gradbook(service_url, "sweep", "picture", sweep, "--hold", "y=0", expect=3)
    assert "as c=0" in gradbook(service_url, "sweep", "picture", sweep, "--hold", "y", expect=2)
    listed = call_main(service_url, "sweep", "points", sweep, "--limit", "1", "--json")
    assert [each["figures"]["F"] for each in listed.json] == ["NaN"] and "--limit lists more" in listed.err


def test_a_job_is_begun_stopped_and_begun_again(service_url: str, service: Client) -> None:
    begun = call_main(service_url, "sweep", "create", "cli jobs", *LONG, "--no-wait", "--json")
    job = begun.json["id"]
    assert (begun.code, begun.json["state"], begun.json["total"]) == (0, "waiting", 50_000_000)
    assert re.search("^state +cancelled$", gradbook(service_url, "job", "cancel", job, expect=0), re.MULTILINE)
    assert f"job {job} was cancelled: " in gradbook(service_url, "job", "wait", job, expect=3)
    assert call_main(service_url, "job", "retry", job, "--json").json["state"] == "waiting"
    service.cancel_job(job)
    listed = json.loads(gradbook(service_url, "job", "list", "--state", "cancelled", "--json", expect=0))
    assert job in [each["id"] for each in listed]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("a=linspace:0:1", "linspace takes three numbers"),
        ("a=normal:0:1:10:7:8", "normal takes three or four numbers"),
        ("a=uniform:0:one:10", "a number, a fraction"),
        ("a=linspace:0:1/0:10", "a number, a fraction"),
        ("a=linspace:0:1:2.5", "after two numbers, whole numbers are expected"),
        ("a=values:1:two", "a number, a fraction"),
    ],
)
def test_forms_that_say_nothing_are_refused(service_url: str, form: str, said: str) -> None:
    refused = gradbook(service_url, "sweep", "create", "cli jobs", form, expect=2)
    assert f"{form}: {said}" in " ".join(refused.split())


@contextmanager
def interrupted(service_url: str, **streams: int) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """A command that is interrupted while it waits for a sweep which takes long, and the terminal that it has."""
    command = [sys.executable, "-c", HEEDING, "sweep", "create", "cli jobs", *LONG]
    environment = {**os.environ, "GRADBOOK_URL": service_url, "TERM": "xterm"}
    ours, theirs = pty.openpty()
    given = {"stdin": theirs, "stderr": theirs, **streams}
    with subprocess.Popen(command, env=environment, start_new_session=True, **given) as process:
        try:
            read_until(ours, b"50,000,000 points")
            process.send_signal(signal.SIGINT)
            yield ours, process
        finally:
            process.kill()
    os.close(ours)
    os.close(theirs)


def test_an_interrupted_command_asks_whether_to_cancel_the_job(service_url: str, service: Client) -> None:
    with interrupted(service_url) as (terminal, command):
        read_until(terminal, b"Cancel job")
        os.write(terminal, b"y\n")
        read_until(terminal, b"was cancelled: ")
        assert command.wait(20) == 3
    assert next(service.list_jobs()).state == "cancelled"


@pytest.mark.parametrize("asked", [True, False])
def test_unless_it_is_cancelled_the_job_goes_on(service_url: str, service: Client, asked: bool) -> None:
    with interrupted(service_url, **({} if asked else {"stdin": subprocess.DEVNULL})) as (terminal, command):
        job = next(service.list_jobs())
        if asked:
            read_until(terminal, b"Cancel job")
            os.write(terminal, b"\x04")  # Ctrl-D
        read_until(terminal, f"job {job.id} goes on; to wait for it:  gradbook job wait {job.id}".encode())
        assert command.wait(20) == 130
    assert not service.get_job(job).ended and service.cancel_job(job).ended
