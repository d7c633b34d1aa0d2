"""What goes on in a worker process: one task after the other, until the other side hangs up."""

import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeAlias

from service.workers import memory, messages

# What does the tasks: of a task and its bytes it makes a reply and its bytes.
Work: TypeAlias = Callable[[Any, Any], tuple[Any, Iterable[bytes]]]

_LESS_URGENT = 10


def run(connection: socket.socket, work: Work) -> None:
    """Do the tasks that come over the connection; before each say how much memory the process has."""
    os.nice(_LESS_URGENT)  # the event loop and small requests go first
    with suppress(EOFError, OSError):  # the other side has hung up
        while True:
            messages.send(connection, memory.resident())
            (task, nbytes), given = messages.receive(connection)
            try:
                with memory.bounded(nbytes):
                    messages.send(connection, *_reply(work, task, given))
            except MemoryError:
                messages.send(connection, MemoryError())
            del task, given


def _reply(work: Work, task: Any, given: Any) -> tuple[Any, Iterable[bytes]]:
    try:
        return work(task, given)
    except Exception as error:  # it is raised where the task was given
        return error, ()
