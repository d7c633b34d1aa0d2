"""What all methods need: the connection, and how requests that carry arrays are sent."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from service.client.figures import Document
from service.client.npz import MEDIA_TYPE, read_answer, take_arrays, write_request
from service.client.results.comparisons import Comparison
from service.client.results.derivatives import Derivatives
from service.client.results.graphs import Graph
from service.client.results.jobs import Job
from service.client.results.result import Source
from service.client.results.runs import Run, RunNode, read_run
from service.client.results.series import Series
from service.client.results.sweeps import Sweep
from service.client.tensors import Tensors
from service.client.transport import Transport, write_json


class Requests(Source):
    """The connection of a client, from which results fetch what an answer left out."""

    _http: Transport
    _tensors: Tensors

    def _post_run(
        self,
        path: str,
        body: Document,
        key: str | None,
        query: Mapping[str, str | None] | None = None,
        has_weights: bool = False,
    ) -> Run:
        """Send large arrays by their digests where they are known, else as .npz, and read figures of any size so where
        the run will not be kept."""

        def post(named: Document) -> Run:
            rest, arrays = take_arrays(named)
            headers = {"Content-Type": MEDIA_TYPE if arrays else "application/json"}
            if (arrays or has_weights or named is not body) and not body.get("keep", True):
                headers["Accept"] = MEDIA_TYPE
            sent = write_request(write_json(rest), arrays) if arrays else write_json(named)
            response = self._http.send_keyed(path, sent, key, headers, query)
            if response.headers.get("Content-Type") != MEDIA_TYPE:
                return read_run(self._http.read(response), self)
            document, nodes = read_answer(response.content)
            assert document is not None
            return read_run(document, self, nodes)

        return self._tensors.send(body, key, post)

    def _post_inputs(self, path: str, body: Document, key: str | None) -> Document:
        """Send JSON, with digests in place of the large inputs that are known."""
        return self._tensors.send(body, key, lambda named: self._http.post(path, named, key))

    def _get_packed(self, path: str) -> tuple[RunNode, ...]:
        return read_answer(self._http.send("GET", path, headers={"Accept": MEDIA_TYPE}).content)[1]


def name_of(resource: Graph | Run | str | None) -> str | None:
    return resource if resource is None or isinstance(resource, str) else resource.id


def listing(since: datetime | str | None, until: datetime | str | None, sort: str | None) -> dict[str, str | None]:
    """The parameters that every list has."""
    moments = (each.astimezone(UTC).isoformat() if isinstance(each, datetime) else each for each in (since, until))
    return dict(zip(("since", "until", "sort"), (*moments, sort), strict=True))


def id_of(resource: Graph | Run | Comparison | Derivatives | Series | Job | Sweep | str) -> str:
    identifier = resource if isinstance(resource, str) else resource.id
    if identifier is None:
        raise ValueError("this was not kept: the service knows nothing of it")
    return quote(identifier, safe="")


def without_none(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}
