"""Two processes behind one address: each has its share of the connections, one that ends is replaced, all stop."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server.conftest import Client, ask
from tests.server.supervised import BRIEF, PATIENCE

ROOT = Path(__file__).parents[2]


class Supervised:
    """A supervisor in a process of its own, and the connections that each of its processes has."""

    def __init__(self) -> None:
        program = "from tests.server.supervised import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())
        self.clients: list[Client] = []
        self.connections = Counter[int]()
        until(self.is_shared)

    def connect(self, count: int) -> None:
        """Open connections together, and see which process answers on each; they stay open."""
        clients = [self.client("/") for _ in range(count)]
        self.connections.update(int(client.read().body) for client in clients)

    def client(self, path: str) -> Client:
        """A connection that stays open, on which something is asked."""
        self.clients.append(Client(self.port, ask(path)))
        return self.clients[-1]

    def is_shared(self) -> bool:
        """Whether two processes have as many connections each, one more being opened."""
        self.connect(1)
        return len(self.connections) == 2 and len(set(self.connections.values())) == 1

    def end(self) -> str:
        """What was logged, once it has ended by itself."""
        _, log = self.process.communicate(timeout=PATIENCE)
        return log


@pytest.fixture
def supervised() -> Iterator[Supervised]:
    """Two processes that both answer; at the end none is left."""
    made = Supervised()
    yield made
    made.process.kill()
    made.end()
    for client in made.clients:
        client.close()
    until(lambda: not any(map(is_alive, made.connections)))


def until(holds: Callable[[], bool]) -> None:
    """Wait until that holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_connections_that_are_opened_together_are_shared_evenly_and_a_process_that_ends_is_replaced(
    supervised: Supervised,
) -> None:
    (killed, had), (other, _) = supervised.connections.items()
    supervised.connect(8)
    assert supervised.connections == {killed: had + 4, other: had + 4}
    os.kill(killed, signal.SIGKILL)
    until(lambda: not is_alive(killed))
    del supervised.connections[killed]
    supervised.connect(3)  # none is refused meanwhile
    assert killed not in supervised.connections
    until(supervised.is_shared)
    assert other in supervised.connections
    supervised.process.terminate()
    assert supervised.end() == f"process {killed}, which served, ended with the code -9\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_under_way_is_answered_and_no_connection_accepted_after_the_stop(
    number: int, supervised: Supervised
) -> None:
    slow = supervised.client("/slow")
    supervised.process.send_signal(number)
    assert slow.read().status == 200
    assert supervised.end() == "" and supervised.process.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        Client(supervised.port)


def test_the_processes_stop_in_time_whatever_a_request_does(supervised: Supervised) -> None:
    supervised.client("/stuck")
    supervised.connect(2)  # so that the earlier request has come too
    began = time.monotonic()
    supervised.process.terminate()
    supervised.end()
    assert time.monotonic() - began > BRIEF and supervised.process.returncode == 0


def test_the_processes_end_when_their_supervisor_is_killed(supervised: Supervised) -> None:
    slow = supervised.client("/slow")
    supervised.connect(2)
    supervised.process.kill()
    assert slow.read().status == 200


def test_a_process_that_is_told_to_stop_is_replaced(supervised: Supervised) -> None:
    told, other = supervised.connections
    os.kill(told, signal.SIGTERM)
    until(lambda: not is_alive(told))
    del supervised.connections[told]
    until(supervised.is_shared)
    assert other in supervised.connections and told not in supervised.connections
