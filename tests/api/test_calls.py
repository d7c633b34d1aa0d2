"""What a request costs beside its own work, by no clock: how many functions in Python are called to answer it, against
those of an empty view at the same path."""

import logging
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service import example
from service.core.execution import kernel


def count_calls(client: FlaskClient, path: str, body: dict[str, Any]) -> int:
    """How many functions in Python a POST calls in this thread, once all that is cached is."""
    count = 0

    def note(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    for noted in (None, None, note):
        sys.setprofile(noted)
        try:
            answer = client.post(path, json=body)
        finally:
            sys.setprofile(None)
        assert answer.status_code < 300, answer.text
    return count


@pytest.mark.sqlite
@pytest.mark.parametrize(("keep", "most"), [(False, 2.5), (True, 3.3)])
def test_a_run_calls_few_functions_beside_those_of_an_empty_view(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, keep: bool, most: float
) -> None:
    monkeypatch.setattr(logging.getLogger("gradbook.requests"), "handlers", [])  # the application adds its own
    kernel.warm()
    app, empty = make_app(), Flask("empty")
    empty.post("/v1/graphs/<graph_id>/runs")(lambda graph_id: b"{}")
    with FlaskClient(app) as client:
        graph: Any = client.post("/v1/graphs", json={"name": "g", "expression": example.EXPRESSION}).json
        path, body = f"/v1/graphs/{graph['id']}/runs", {"inputs": example.INPUTS, "keep": keep}
        assert count_calls(client, path, body) / count_calls(empty.test_client(), path, body) <= most
