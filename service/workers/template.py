"""The process that forks the worker processes. What they have in common it makes once, so that another one is ready at
once, and the memory is theirs together.

    python -P -m service.workers.template DESCRIPTOR

It does what it is told over a connection: first to make the work; then, each time 8 bytes come, to fork a worker, which
has the connection that comes with them, or to end the one whose number they are. It answers with the number, and the
exit code. It has no threads, so it may fork.
"""

import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Lock

from service.workers import messages, process
from service.workers.garbage import collect_rarely
from service.workers.process import Work

_NUMBER = 8  # bytes
_FORK = 0  # which is no process's number
_UNKNOWN, _SHIFT = 0, 256  # what is answered for a worker that is not there; what is added to an exit code


class Template:
    """That process, as seen from the one that has workers forked."""

    def __init__(self, begin: Callable[[], Work]) -> None:
        self._connection, theirs = socket.socketpair()
        self._one_at_a_time = Lock()
        with theirs:
            descriptor = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "service.workers.template", str(descriptor)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.DEVNULL,
                pass_fds=[descriptor],
            )
        messages.send(self._connection, begin)

    @property
    def has_ended(self) -> bool:
        """Whether it can fork no more."""
        return self._process.poll() is not None

    def fork(self) -> tuple[int, socket.socket]:
        """The number of a new worker, and the connection to it; raises OSError, EOFError if that is not to be had."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                return self._tell(_FORK, [theirs.fileno()]), ours
        except BaseException:
            ours.close()
            raise

    def end(self, number: int) -> int | None:
        """Kill a worker, if it has not ended by itself; its exit code, or minus the signal that ended it.

        None if that is not known, since the template has ended or the worker was ended before.
        """
        try:
            code = self._tell(number)
        except (EOFError, OSError):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
            code = _UNKNOWN
        return None if code == _UNKNOWN else code - _SHIFT

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _tell(self, number: int, descriptors: list[int] | None = None) -> int:
        with self._one_at_a_time:
            socket.send_fds(self._connection, [number.to_bytes(_NUMBER)], descriptors or [])
            return int.from_bytes(messages.exactly(self._connection, _NUMBER))


def run(connection: socket.socket) -> None:
    """Do what is told over the connection, until the other side hangs up; then no worker is left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C goes to the whole group; whoever began us ends us
    begin, _ = messages.receive(connection)
    gc.disable()  # what is imported stays
    work = begin()
    collect_rarely()
    workers: set[int] = set()
    with suppress(EOFError, OSError):
        while True:
            told, descriptors, _, _ = socket.recv_fds(connection, _NUMBER, 1, socket.MSG_WAITALL)
            if len(told) < _NUMBER:
                break
            number = int.from_bytes(told)
            if number == _FORK:
                answer = _fork(connection, socket.socket(fileno=descriptors[0]), work)
                workers.add(answer)
            elif number in workers:
                workers.remove(number)
                answer = _SHIFT + _end(number)
            else:
                answer = _UNKNOWN
            connection.sendall(answer.to_bytes(_NUMBER))
    for number in workers:
        _end(number)


def _end(number: int) -> int:
    """Kill a worker, or find it dead: nothing else has its number before it is waited for. Its exit code."""
    os.kill(number, signal.SIGKILL)
    _, status = os.waitpid(number, 0)
    return os.waitstatus_to_exitcode(status)


def _fork(connection: socket.socket, theirs: socket.socket, work: Work) -> int:
    """The number of a process that works over a connection of its own."""
    number = os.fork()
    if number:
        theirs.close()
        return number
    try:
        connection.close()
        process.run(theirs, work)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    finally:
        os._exit(code)  # what the template would do at its end is not the worker's to do


if __name__ == "__main__":
    run(socket.socket(fileno=int(sys.argv[1])))
