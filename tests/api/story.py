"""The examples of openapi.yaml: each operation's request and answer in the story of the seed example.

`python -m tests.api.story` has a service tell it, and writes it to service/api/examples.json (`make openapi` does so).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from flask.testing import FlaskClient

from service.api.http.endpoint import BINARY, NPY
from service.api.http.onnx import MEDIA_TYPE as ONNX
from service.app import create_app
from service.example import EXPRESSION, INPUTS, NAME, TUTORIAL_GRADIENTS
from service.settings import Settings
from service.upkeep import migrate
from tests.performing import keep_answer, perform_jobs

EXAMPLES = Path(__file__).parents[2] / "service" / "api" / "examples.json"
DOT, MARKDOWN, PYTHON, TEXT = "text/vnd.graphviz", "text/markdown", "text/x-python", "text/plain"
SVG = "image/svg+xml"

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00")
_SECONDS = re.compile(r'(?<="estimate": )[0-9.e-]+')  # that a job took
_LINES = 20  # of an answer that is text
_CHARACTERS = 400  # of a picture


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: an operation by its operationId; {…} in path and body stands for what `keep` kept of an answer.

    A body of bytes is an .npy.
    """

    operation: str
    path: str
    body: dict[str, Any] | bytes | None = None
    accept: str = "application/json"
    keep: str = ""
    method: str = ""


_AT = {"inputs": INPUTS}
_BATCH = {"runs": [{**_AT, "label": "the tutorial's point"}, {"inputs": {**INPUTS, "d": 2}}]}
_RECORDED = {**_AT, "recorded": {"by": "a colleague", "values": {"e": 6, "f": -12, "F": 4}, "gradients": {"f": -3}}}
_CLAIMS = {**_AT, "claims": {"by": "the tutorial", "gradients": TUTORIAL_GRADIENTS}}

# Descent along (w·x − y)², which goes up in its third step.
_DESCENT = {"name": "descent", "expression": "g = 2*(w*x - y)*x; after = w - 0.25*g", "outputs": ["after"]}
_SERIES = {"graph": "{descent}", "carry": {"after": "w"}, "by": "a training program"}
_STEPS = {
    "values": {
        "x": [1, 2, 1],
        "y": [2, 4, 2],
        "w": [0, 1, 3],
        "g": [-4, -8, 2],
        "after": [1, 3, 3.5],
    }
}

_WEIGHTS = BytesIO()
np.save(_WEIGHTS, np.array([-2.0, -3.0]))
_TENSOR = f"/v1/tensors/sha256:{sha256(_WEIGHTS.getvalue()).hexdigest()}"

# What a check of gradients was answered that was done as a job.
_ANSWERED = b'{"verdict":"right","method":"taylor","output":"F","random_seed":20260101,"nodes":[]}'

STORY = (
    Request("create_graph", "/v1/graphs", {"name": NAME, "expression": EXPRESSION}, keep="graph"),
    Request("get_graph", "/v1/graphs/{graph}"),
    Request("list_graphs", "/v1/graphs"),
    Request("list_graph_nodes", "/v1/graphs/{graph}/nodes"),
    Request("get_formula", "/v1/graphs/{graph}/formula"),
    Request("create_gradient_graph", "/v1/graphs/{graph}/gradient-graph", {"output": "F", "wrt": ["a", "d"]}),
    Request("get_graph_picture", "/v1/graphs/{graph}/picture?format=dot", accept=DOT),
    Request("get_source", "/v1/graphs/{graph}/source?language=numpy", accept=TEXT),
    Request("create_run", "/v1/graphs/{graph}/runs", _AT, keep="run"),
    Request("create_runs", "/v1/graphs/{graph}/runs/batch", _BATCH),
    Request("get_run", "/v1/runs/{run}"),
    Request("set_baseline", "/v1/runs/{run}/baseline", {"label": "main"}),
    Request("list_runs", "/v1/runs"),
    Request("list_run_nodes", "/v1/runs/{run}/nodes"),
    Request("get_run_node", "/v1/runs/{run}/nodes/d"),
    Request("list_steps", "/v1/runs/{run}/steps?node=d"),
    Request("list_paths", "/v1/runs/{run}/paths?node=d"),
    Request("get_rounding", "/v1/runs/{run}/rounding?dtype=bfloat16"),
    Request("get_run_picture", "/v1/runs/{run}/picture?format=dot", accept=DOT),
    Request("get_article", "/v1/runs/{run}/article?format=markdown", accept=MARKDOWN),
    Request("", "/v1/graphs/{graph}/runs", {**_AT, "backward": False}, keep="forward"),
    Request("run_backward", "/v1/runs/{forward}/backward", {"output": "F"}),
    Request("check_claims", "/v1/graphs/{graph}/checks", _CLAIMS, keep="comparison"),
    Request("get_comparison", "/v1/comparisons/{comparison}"),
    Request("list_comparison_nodes", "/v1/comparisons/{comparison}/nodes"),
    Request("get_comparison_picture", "/v1/comparisons/{comparison}/picture?format=dot", accept=DOT),
    Request(
        "get_reproduction", "/v1/comparisons/{comparison}/reproduction?language=torch&format=markdown", accept=MARKDOWN
    ),
    Request("get_origin_reproduction", "/v1/comparisons/{comparison}/origins/backward/d/reproduction", accept=PYTHON),
    Request("create_reproduction", "/v1/comparisons/{comparison}/origins/backward/d/reproduction", method="POST"),
    Request("", "/v1/graphs/{graph}/runs", _RECORDED, keep="recorded"),
    Request("create_comparison", "/v1/comparisons", {"baseline": "{run}", "candidate": "{recorded}"}),
    Request("align_runs", "/v1/alignments", {"baseline": "{run}", "candidate": "{recorded}"}),
    Request("list_comparisons", "/v1/comparisons"),
    Request("list_graph_runs", "/v1/graphs/{graph}/runs?q=colleague"),
    Request("list_graph_comparisons", "/v1/graphs/{graph}/comparisons?verdict=differ"),
    Request("list_checks", "/v1/graphs/{graph}/checks"),
    # The second derivatives with respect to c and d: d²F/dc² = 0, d²F/dcdd = −e/d², d²F/dd² = 2f/d³.
    Request(
        "create_derivatives",
        "/v1/graphs/{graph}/derivatives",
        {**_AT, "kind": "hessian", "wrt": ["c", "d"]},
        keep="derivatives",
    ),
    Request("list_derivatives", "/v1/graphs/{graph}/derivatives"),
    Request("get_derivatives", "/v1/derivatives/{derivatives}"),
    Request("check_gradients", "/v1/graphs/{graph}/gradient-checks", {**_AT, "method": "complex-step"}),
    Request("", "/v1/graphs", _DESCENT, keep="descent"),
    Request("create_series", "/v1/series", _SERIES, keep="series"),
    Request("add_steps", "/v1/series/{series}/steps", _STEPS),
    Request("get_series", "/v1/series/{series}"),
    Request("list_series", "/v1/series"),
    Request("list_series_steps", "/v1/series/{series}/steps?only=origins"),
    Request("get_series_verdict", "/v1/series/{series}/verdict"),
    Request("delete_series", "/v1/series/{series}", method="DELETE"),
    Request(
        "add_nodes",
        "/v1/graphs/{graph}/nodes",
        {"nodes": [{"name": "G", "operation": "Mul", "inputs": ["F", "F"]}], "outputs": ["G"]},
        keep="longer",
    ),
    Request("update_graph", "/v1/graphs/{graph}", {"tags": {"course": "calculus"}}, method="PATCH"),
    Request(
        "update_run",
        "/v1/runs/{run}?gradients=inputs",
        {"label": "by hand", "tags": {"checked": "yes"}},
        method="PATCH",
    ),
    Request(
        "create_sweep",
        "/v1/graphs/{graph}/sweeps",
        {"inputs": {**INPUTS, "d": {"linspace": [-3, 3, 7]}}, "gradients": True},
        keep="job",
    ),
    Request("list_jobs", "/v1/jobs"),
    Request("get_job", "/v1/jobs/{job}"),
    Request("cancel_job", "/v1/jobs/{job}", method="DELETE"),
    Request("retry_job", "/v1/jobs/{job}/retry", method="POST"),
    Request("get_sweep", "/v1/sweeps/{job}"),
    Request("list_sweep_points", "/v1/sweeps/{job}/points?limit=3"),
    Request("draw_sweep", "/v1/sweeps/{job}/picture?of=dF/dd&x=d", accept=SVG),
    Request("get_job_result", "/v1/jobs/{answered}/result"),
    Request("delete_sweep", "/v1/sweeps/{job}", method="DELETE"),
    Request("delete_derivatives", "/v1/derivatives/{derivatives}", method="DELETE"),
    Request("delete_comparison", "/v1/comparisons/{comparison}", method="DELETE"),
    Request("delete_run", "/v1/runs/{recorded}?cascade=true", method="DELETE"),
    Request("delete_graph", "/v1/graphs/{longer}", method="DELETE"),
    Request("put_tensor", _TENSOR, _WEIGHTS.getvalue(), method="PUT"),
    Request("get_tensor", _TENSOR, accept=NPY),
    Request("export_graph", "/v1/graphs/{graph}/onnx?dtype=float64", accept=ONNX),
    Request("list_operations", "/v1/operations"),
    Request("get_operation", "/v1/operations/relu"),
    Request("list_limits", "/v1/limits"),
    Request("check_alive", "/livez"),
    Request("check_ready", "/readyz"),
    Request("get_metrics", "/metrics", accept="text/plain"),
    Request("get_openapi", "/openapi.yaml", accept="application/yaml"),
)


def tell(client: FlaskClient) -> dict[str, Any]:
    """Ask everything in turn; return by operationId request and answer, with ids and times that never change."""
    known: dict[str, str] = {}
    ids: dict[str, str] = {}
    told: dict[str, Any] = {}
    for asked in STORY:
        if asked.operation == "get_job_result":
            known["answered"] = keep_answer(client.application.extensions["gradbook"], _ANSWERED)
        data = asked.body if isinstance(asked.body, bytes) else None
        body = None if data is not None or asked.body is None else filled(asked.body, known)
        method = asked.method or ("GET" if body is None else "POST")
        sent: dict[str, Any] = {"json": body} if data is None else {"data": data, "content_type": NPY}
        answer = client.open(filled(asked.path, known), method=method, headers={"Accept": asked.accept}, **sent)
        assert answer.status_code in (200, 201, 202, 204), f"{asked.operation}: {answer.text}"
        if asked.operation == "retry_job":
            perform_jobs(client.application)
        if asked.keep:
            known[asked.keep] = answer.json["id"]  # type: ignore[index]
        if not asked.operation:
            continue
        example = {"path": _settled(filled(asked.path, known), ids)}
        example |= {} if body is None else {"request": _settled(body, ids)}
        if answer.data and asked.accept not in BINARY:
            read = answer.json if asked.accept == "application/json" else _first_lines(answer.text)
            example["answers"] = {answer.mimetype: _settled(_shortened(asked.operation, read), ids)}
        told[asked.operation] = example
    return told


def filled(part: Any, known: dict[str, str]) -> Any:
    """A path or a body with the ids that are known by now."""
    text = json.dumps(part, ensure_ascii=False)
    for name, value in known.items():
        text = text.replace(f"{{{name}}}", value)
    return json.loads(text)


def _shortened(operation: str, answer: Any) -> Any:
    """The whole rulebook and a whole picture would be too long."""
    if operation == "draw_sweep":
        return f"{answer[:_CHARACTERS]}…\n"
    return {**answer, "operations": answer["operations"][:1]} if operation == "list_operations" else answer


def _first_lines(text: str) -> str:
    lines = [line for line in text.splitlines() if not re.match(r"(python|process)_", line)]
    return "\n".join([*lines[:_LINES], *(["…"] if len(lines) > _LINES else [])]) + "\n"


def _settled(part: Any, ids: dict[str, str]) -> Any:
    def settle(found: re.Match[str]) -> str:
        return ids.setdefault(found[0], f"01932c6f-4d2a-7c3e-9f10-{len(ids) + 1:012x}")

    text = _ID.sub(settle, json.dumps(part, ensure_ascii=False))
    return json.loads(_SECONDS.sub("0.5", _TIME.sub("2026-11-24T09:00:00+00:00", text)))


def write_examples() -> Iterator[str]:
    """Have a service of its own tell the story."""
    with TemporaryDirectory() as folder:
        settings = Settings(f"sqlite:///{folder}/gradbook.db")
        migrate(settings)
        app = create_app(settings)
        yield json.dumps(tell(app.test_client()), ensure_ascii=False, indent=1) + "\n"
        app.extensions["gradbook"].database.close()


if __name__ == "__main__":
    for written in write_examples():
        EXAMPLES.write_text(written, encoding="utf-8")
