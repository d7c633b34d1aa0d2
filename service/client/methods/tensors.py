"""Arrays that are kept once."""

from typing import Any

from service.client.methods.requests import Requests


class TensorMethods(Requests):
    """The methods of `Client`; raise as it says."""

    def put_tensor(self, array: Any) -> str:
        """Store an array, once, and return its digest, sha256:…; {"tensor": digest} stands for it in any inputs."""
        return self._tensors.put(array)

    def get_tensor(self, digest: str) -> Any:
        """The array of that digest, in the dtype in which it was stored."""
        return self._tensors.get(digest)
