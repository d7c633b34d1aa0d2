"""Messages between two processes of ours: something small, pickled, and bytes in a file that has no name.

The bytes are written by the kernel and mapped by the reader, so that neither waits for the interpreter's lock, and
neither copies them through the socket.
"""

import mmap
import os
import pickle
import socket
import tempfile
from collections.abc import Iterable
from typing import Any

_LENGTH = 8  # bytes


def send(connection: socket.socket, thing: Any, pieces: Iterable[bytes] = ()) -> None:
    """Send a thing and bytes; raises OSError if the other process is gone."""
    file = _anonymous_file()
    try:
        size = sum(_write(file, piece) for piece in pieces)
        data = pickle.dumps((thing, size))
        socket.send_fds(connection, [len(data).to_bytes(_LENGTH)], [file])
        connection.sendall(data)
    finally:
        os.close(file)


def receive(connection: socket.socket) -> tuple[Any, mmap.mmap | bytes]:
    """The next thing and its bytes, which are not yet read; raises EOFError if the other process is gone."""
    start, files, _, _ = socket.recv_fds(connection, _LENGTH, 1)
    try:
        if not start:
            raise EOFError
        start += exactly(connection, _LENGTH - len(start))
        thing, size = pickle.loads(exactly(connection, int.from_bytes(start)))
        return thing, mmap.mmap(files[0], size, access=mmap.ACCESS_READ) if size else b""
    finally:
        for file in files:
            os.close(file)


def exactly(connection: socket.socket, count: int) -> bytes:
    """The next bytes, as many as that; raises EOFError if the other process is gone."""
    received = bytearray()
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            raise EOFError
        received += part
    return bytes(received)


def _write(file: int, piece: bytes) -> int:
    size, view = len(piece), memoryview(piece)
    while view:
        view = view[os.write(file, view) :]
    return size


def _anonymous_file() -> int:
    """Linux keeps it in memory; /dev/shm would be bounded, to 64 MB in a container."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("gradbook")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
