"""Arrays that are sent once, as .npy, and then named by the SHA-256 of that file.

An array that was in two requests of this client, and is large, is stored at the second of them; from then on its digest
travels in its place. So what changes with each request is never stored, and weights are stored once.
"""

import hashlib
import io
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, TypeVar

from service.client.figures import Document
from service.client.npz import is_array, read_array
from service.client.transport import Problem, Transport

Answer = TypeVar("Answer")

MEDIA_TYPE = "application/x-npy"
WORTH_KEEPING = 64 * 1024  # bytes of an array; a smaller one costs less than to know it again
_PLACES = (("inputs",), ("recorded", "values"))
_MOST_KNOWN = 10_000  # digests


class Tensors:
    """The tensors of a service, and which arrays this client has sent: by digest, False until they are stored."""

    def __init__(self, http: Transport) -> None:
        self._http = http
        self._sent: dict[str, bool] = {}
        self._is_able = True
        self._lock = Lock()

    def put(self, array: Any) -> str:
        """Store an array and return its digest."""
        return self._store(*_pack(read_array(array)))

    def get(self, digest: str) -> Any:
        """The array of that digest."""
        answer = self._http.send("GET", f"/v1/tensors/{digest}", headers={"Accept": MEDIA_TYPE})
        import numpy as np

        return np.load(io.BytesIO(answer.content), allow_pickle=False)

    def send(self, body: Document, key: str | None, send: Callable[[Document], Answer]) -> Answer:
        """Send a body with digests in place of the large arrays that were sent before, or as it is where the service
        has none of them any more.

        A body under the caller's own `key` is sent as it is: sent again, it must be the same.
        """
        named = self._name(body) if self._is_able and key is None else {}
        if not named:
            return send(body)
        try:
            return send(_replaced(body, named))
        except Problem as problem:
            pointers = {"/" + "/".join(_escaped(step) for step in place): digest for place, digest in named.items()}
            lost = [pointers[fault["pointer"]] for fault in problem.errors if fault.get("pointer") in pointers]
            if not lost:
                raise
        with self._lock:
            for digest in lost:
                self._sent.pop(digest, None)
        return send(body)

    def _name(self, body: Document) -> dict[tuple[str, ...], str]:
        """The digests of those of its large arrays that are stored, or sent for the second time and stored now."""
        named = {}
        for place, array in _large_arrays(body):
            digest, packed = _pack(array)
            with self._lock:
                stored = self._sent.pop(digest, None)
                self._sent[digest] = bool(stored)  # the one used last is the last to be forgotten
                if len(self._sent) > _MOST_KNOWN:
                    del self._sent[next(iter(self._sent))]
            if stored is not None:
                named[place] = digest
            if stored is False:
                try:
                    self._store(digest, packed)
                except Problem:  # as to a key that may only read, or by a service of an earlier version
                    self._is_able = False
                    return {}
        return named

    def _store(self, digest: str, packed: bytes) -> str:
        self._http.send("PUT", f"/v1/tensors/{digest}", data=packed, headers={"Content-Type": MEDIA_TYPE})
        with self._lock:
            self._sent[digest] = True
        return digest


def _large_arrays(body: Document) -> list[tuple[tuple[str, ...], Any]]:
    """The large arrays of a body, by their places in it."""
    found = []
    for path in _PLACES:
        within: Any = body
        for step in path:
            within = within.get(step, {})
        found += [((*path, name), read_array(value)) for name, value in within.items() if is_array(value)]
    return [(place, array) for place, array in found if array.nbytes >= WORTH_KEEPING]


def _replaced(part: Any, named: Mapping[tuple[str, ...], str], place: tuple[str, ...] = ()) -> Any:
    """The part of a body at `place`, with references to tensors."""
    if place in named:
        return {"tensor": named[place]}
    if not any(each[: len(place)] == place for each in named):
        return part
    return {name: _replaced(value, named, (*place, name)) for name, value in part.items()}


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def _pack(array: Any) -> tuple[str, bytes]:
    """The digest and the .npy of an array of floats."""
    import numpy as np

    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return f"sha256:{hashlib.sha256(file.getbuffer()).hexdigest()}", file.getvalue()
