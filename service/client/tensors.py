"""Arrays that are sent once, as .npy, and then named by the SHA-256 of that file."""

import hashlib
import io
from typing import Any

import numpy as np

from service.client.npz import read_array
from service.client.transport import Transport

MEDIA_TYPE = "application/x-npy"


class Tensors:
    """The tensors of a service."""

    def __init__(self, http: Transport) -> None:
        self._http = http

    def put(self, array: Any) -> str:
        """Store an array and return its digest."""
        return self._send(*_pack(array))

    def get(self, digest: str) -> Any:
        """The array of that digest."""
        answer = self._http.send("GET", f"/v1/tensors/{digest}", headers={"Accept": MEDIA_TYPE})
        return np.load(io.BytesIO(answer.content), allow_pickle=False)

    def _send(self, digest: str, body: bytes) -> str:
        self._http.send("PUT", f"/v1/tensors/{digest}", data=body, headers={"Content-Type": MEDIA_TYPE})
        return digest


def _pack(array: Any) -> tuple[str, bytes]:
    """The digest and the .npy of an array of floats."""
    file = io.BytesIO()
    np.save(file, read_array(array), allow_pickle=False)
    body = file.getvalue()
    return f"sha256:{hashlib.sha256(body).hexdigest()}", body
