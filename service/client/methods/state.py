"""The operations, the limits and the state of the service."""

from collections.abc import Iterator
from urllib.parse import quote

from service.client.methods.requests import Requests
from service.client.results.rulebook import Limit, Operation, read_operation


class StateMethods(Requests):
    """The methods of `Client`; raise as it says."""

    def list_operations(self) -> Iterator[Operation]:
        """The rulebook."""
        return map(read_operation, self._http.pages("/v1/operations", "operations"))

    def get_operation(self, name: str) -> Operation:
        """One operation, by its name or an alias."""
        return read_operation(self._http.get(f"/v1/operations/{quote(name, safe='')}"))

    def list_limits(self) -> tuple[Limit, ...]:
        """The table of limits."""
        return tuple(Limit(**limit) for limit in self._http.get("/v1/limits")["limits"])

    def check_alive(self) -> None:
        """Raise unless the service answers."""
        self._http.get("/livez")

    def check_ready(self) -> None:
        """Raise unless the service and its database answer."""
        self._http.get("/readyz")

    def get_metrics(self) -> str:
        """What the service measured, in the text format of Prometheus."""
        return self._http.send("GET", "/metrics").text

    def get_openapi(self) -> str:
        """The document of the API, OpenAPI 3.1 in YAML."""
        return self._http.send("GET", "/openapi.yaml").text
