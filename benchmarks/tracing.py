"""What OpenTelemetry costs a request, in processor time of the thread that answers and of the one that sends.

    python -m benchmarks.tracing

needs the extra `otel`; OTEL_EXPORTER_OTLP_ENDPOINT names the collector that takes the spans.
"""

import os
import time
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measuring import by_turns
from service import example
from service.app import create_app
from service.core.execution import kernel
from service.settings import Settings
from service.tracing import spans
from service.tracing.otel import OpenTelemetry
from service.upkeep import migrate

_REPEATS = 1000
_CALLER = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


def measure(url: str) -> None:
    """Print what each act takes without spans, and how much more with them, over a migrated database."""
    every = OpenTelemetry()
    os.environ["OTEL_TRACES_SAMPLER"] = "always_off"
    none = OpenTelemetry()
    kernel.warm()
    client = create_app(Settings(url)).test_client()
    client.post("/v1/graphs", json={"name": "blog", "expression": example.EXPRESSION})
    runs, run = "/v1/graphs/blog/runs", {"inputs": example.INPUTS}
    acts: dict[str, Callable[[dict[str, str]], object]] = {
        "get a graph": lambda headers: client.get("/v1/graphs/blog", headers=headers),
        "run it, not kept": lambda headers: client.post(runs, json={**run, "keep": False}, headers=headers),
        "run it": lambda headers: client.post(runs, json=run, headers=headers),
    }
    ways: list[tuple[Any, dict[str, str]]] = [(None, {}), (None, _CALLER), (none, {}), (every, {})]

    def way(act: Callable[[dict[str, str]], object], tracer: Any, headers: dict[str, str]) -> Callable[[], object]:
        def ask() -> object:
            spans.use(tracer)
            return act(headers)

        return ask

    for name, act in acts.items():
        whole = time.process_time() - time.thread_time()
        without, *more = (1e6 * seconds for seconds in by_turns(*(way(act, *each) for each in ways), repeats=_REPEATS))
        others = 1e6 * (time.process_time() - time.thread_time() - whole) / _REPEATS
        called, unsampled, traced = (f"{each - without:+.0f}" for each in more)
        print(
            f"{name}: {without:.0f} µs; called by a span {called}, with spans {traced} and {others:.0f} to send them, "
            f"none sampled {unsampled}"
        )


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        settings = Settings(f"sqlite:///{folder}/gradbook.db")
        migrate(settings)
        measure(settings.database_url)
