"""Every answer is declared: schemathesis draws requests from openapi.yaml, such as it allows and such as it does not,
and holds what is answered to it, by all of its checks. A request that the document allows is refused only for what a
schema cannot say: UNSAYABLE names each kind.
"""

import io
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as drawing
from hypothesis import seed as seeded
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from service.api.components import NODE_NAME, NUMBER, given, reference
from service.api.http import npz
from service.api.http.endpoint import BYTES, NPY
from service.api.http.onnx import MEDIA_TYPE as MODEL_TYPE
from service.core.figures.npy import write_npy
from tests.api.conftest import MakeApp, read_openapi
from tests.performing import perform_jobs

METHODS = {"get", "post", "put", "patch", "delete"}
OPERATIONS = {
    operation["operationId"]: (path, method)
    for path, methods in read_openapi((Path(__file__).parents[3] / "openapi.yaml").read_text())["paths"].items()
    for method, operation in methods.items()
    if method in METHODS and operation["operationId"] != "get_openapi"  # schemathesis reads the YAML in the string
}
SEEDS = (1, 2, 3)
_DIGEST, TENSOR = write_npy(np.eye(2))
MODEL = onnx.parser.parse_model(
    '<ir_version: 9, opset_import: ["": 20]> g (float[2] x) => (float[2] y) { y = Tanh(x) }'
).SerializeToString()
EXAMPLES, STORED_EXAMPLES = 100, 50  # of each operation and seed

# What no schema can say: the operations by their operationId, the problem's type, and where the fault is.
UNSAYABLE = {
    "a cursor that no list gave": (r"list_\w+|get_rounding", "invalid-request", "cursor"),
    "a day that its month has not, or a year 0": (r"list_\w+", "invalid-request", "since|until"),
    "a key of another request": (r"\w+", "idempotency-key-reused", ""),
    "text that is no expression": ("create_graph", "invalid-expression", "/expression"),
    "nodes that make no graph": (
        "create_graph|add_nodes",
        "invalid-graph",
        r"/nodes/\d+/(name|operation|(inputs|attributes)(/.*)?)|/(inputs|outputs)/\d+",
    ),
    "figures of other nodes or shapes, or that are no figures": (
        "create_run|run_backward|check_claims|create_derivatives|check_gradients",
        "invalid-inputs",
        r"/(inputs|vector|gradients|(recorded|claims)/(values|gradients))(/.*)?|/seed(/\d+)*",
    ),
    "inputs of a sweep that are no axes": (
        "create_sweep",
        "invalid-inputs",
        r"/(inputs|outputs)(/.*)?",
    ),
    "more points than a page of JSON has": ("list_sweep_points", "invalid-request", "limit"),
    "nodes of a sweep that the graph has not": (
        "create_sweep",
        "invalid-request",
        r"/((against/)?outputs(/.*)?|output|against/graph)",
    ),
    "the same of many runs": ("create_runs", "invalid-inputs", r"/runs/\d+/inputs(/.*)?|/seed(/\d+)*"),
    "steps of other nodes or shapes": ("add_steps", "invalid-inputs", "/values(/.*)?"),
    "more skipped steps than numbers": ("add_steps", "invalid-request", "/skipped"),
    "an .npz of steps for one of a run, or the reverse": (
        "create_run|add_steps",
        "invalid-request",
        "/(values|inputs|keep|tags)",
    ),
    "a carry between nodes that the graph has not": ("create_series", "invalid-request", "/carry/.*"),
    "weights of no input, or not stored, or of another shape": ("create_graph", "invalid-inputs", r"/weights/.*"),
    "what is for an ONNX model": ("create_graph", "invalid-request", "name|input|outputs"),
    "bytes that are no ONNX model": ("create_graph", "malformed-onnx", ""),
    "shapes and outputs that a model has not": ("create_graph", "invalid-model", "/(input|outputs)"),
    "a node that the graph has not": (r"get_formula|get_\w+_picture", "invalid-request", "of|wrt|focus"),
    "what no sweep has": ("draw_sweep", "invalid-request", "of|x|y|hold"),
    "a language that has no words for a node": (r"get_(source|(origin_)?reproduction)", "invalid-request", "language"),
    "shapes of inputs that a graph has not": ("export_graph", "invalid-request", "input"),
    "bytes that are no tensor": ("put_tensor", "malformed-npy", ""),
    "bytes of another digest": ("put_tensor", "digest-mismatch", ""),
    "a digest that is none": ("put_tensor", "invalid-request", "digest"),
    "nodes without a gradient, or that the graph has not": (
        "create_gradient_graph|create_derivatives|check_gradients",
        "invalid-request",
        r"/(outputs|wrt|nodes)/\d+",
    ),
    "gradients of another shape": ("check_gradients", "invalid-request", r"/gradients/.*"),
    "a run without gradients": ("check_gradients", "invalid-request", "/run"),
    "another output than the run's": ("check_gradients", "invalid-request", "/output"),
    "runs that have no figures in common": ("create_comparison", "invalid-request", "/candidate"),
    "two nodes that are mapped to one": ("create_comparison|align_runs", "invalid-request", "/names"),
    "an ETag that it has not": (r"(update|delete)_\w+", "precondition-failed", ""),
    "paths between tensors": ("list_paths", "invalid-request", "node"),
    "worksheets of nodes that the graph has not": ("get_article", "invalid-request", "nodes"),
}


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Flask:
    """An application without the validating client: schemathesis validates."""
    app = make_app()
    app.test_client_class = None
    return app


@pytest.fixture(scope="module")
def served(app: Flask) -> Any:
    """The document as it is served."""
    return schemathesis.openapi.from_wsgi("/openapi.yaml", app)


@pytest.fixture(scope="module")
def narrowed(app: Flask) -> Any:
    """The document narrowed to what is stored."""
    return narrow(app)


def narrow(app: Flask) -> Any:
    """The document narrowed, in what requests hold, to one stored graph: to its ids, to the names of its nodes and to
    figures of fitting shapes, so that what is drawn is carried out and not only refused."""
    client = app.test_client()

    def post(path: str, **body: Any) -> str:
        made: Any = client.post(path, json=body).json
        return str(made["id"])

    inputs = {"a": 5, "b": 1, "c": -2, "d": -3}
    graph = post("/v1/graphs", name="blog", expression="e = a + b; f = e * c; F = relu(f) / d")
    path = f"/v1/graphs/{graph}"
    runs = [post(f"{path}/runs", inputs=inputs), post(f"{path}/runs", inputs={**inputs, "a": [1, 2]})]
    runs += [post(f"{path}/runs", inputs=inputs, backward=False) for _ in range(3)]
    runs += [post(f"{path}/runs", inputs=inputs, recorded={"by": "x", "gradients": {"f": -3, "a": "NaN"}})]
    sweeps = [post(f"{path}/sweeps", inputs=inputs), post(f"{path}/sweeps", inputs=inputs, reduce=["mean"])]
    perform_jobs(app)
    stored = {
        "graph_id": [graph],
        "run_id": runs,
        "comparison_id": [post("/v1/comparisons", baseline=runs[0], candidate=each) for each in runs[2:]],
        "derivatives_id": [post(f"{path}/derivatives", kind="jacobian", inputs=inputs)],
        "series_id": [post("/v1/series", graph=graph, carry={"e": "a"})],
        "sweep_id": sweeps,
        "job_id": sweeps,
        "phase": ["forward", "backward"],
        "node": [*"abcdefF"],
        "digest": [f"sha256:{_DIGEST}"],
        "name": ["Add", "div", "×"],
    }
    named = {"type": "string", "enum": stored["node"]}
    numbers = {"Figure": NUMBER, "WrittenFigure": {"enum": ["2/3", "0.667", 2, -1.5]}}
    figures = {
        "properties": dict.fromkeys(inputs, given("NarrowFigure")),
        "required": [*inputs],
        "additionalProperties": False,
    }
    parts = {
        "operation": {"enum": ["Input", "Constant", "Neg", "add", "MatMul", "ReduceSum", "Softmax", "Split", "if"]},
        "nodes": {"maxItems": 5},
        "baseline": {"enum": runs},
        "candidate": {"enum": runs},
        "graph": {"enum": [graph]},
        "run": {"enum": runs},
    }

    def narrower(part: Any, name: str = "") -> Any:
        if isinstance(part, list):
            return [narrower(each) for each in part]
        if not isinstance(part, dict):
            return part
        if part.get("pattern") == NODE_NAME["pattern"]:
            return named
        shared = part.get("$ref", "").rpartition("/")[2]
        if shared in ("Node", *numbers):  # which answers hold too
            return reference(f"Narrow{shared}")
        inside = {key: narrower(each, key) for key, each in part.items()}
        if name == "inputs" and "propertyNames" in part:
            return {"type": "object", **figures}
        return {**inside, **parts.get(name, {})}

    document = deepcopy(read_openapi(app.extensions["openapi"]()))
    schemas = document["components"]["schemas"]
    for name in schemas:
        if name.endswith(("Request", "RunOfBatch", "Recorded", "Claims")):
            schemas[name] = narrower(schemas[name])
    two = {"type": "array", "items": numbers["Figure"], "minItems": 2, "maxItems": 2}
    recorded = [*inputs, "e"]
    schemas["StepsRequest"]["properties"]["values"] = {
        "type": "object",
        "properties": dict.fromkeys(recorded, two),
        "required": recorded,
        "additionalProperties": False,
    }
    schemas["NarrowNode"] = narrower(schemas["Node"])
    for name, number in numbers.items():
        schemas[f"Narrow{name}"] = {"oneOf": [number, {"type": "array", "items": number, "minItems": 2, "maxItems": 2}]}
    for methods in document["paths"].values():
        for parameter in methods.get("parameters", []):
            parameter["schema"] = {"type": "string", "enum": stored[parameter["name"]]}
        for method in METHODS & methods.keys():
            # What is stored is there for the next request too.
            kept = [each for each in methods[method].get("parameters", []) if each["name"] != "cascade"]
            methods[method]["parameters"] = [{**each, "schema": narrower(each["schema"])} for each in kept]
    loaded = schemathesis.openapi.from_dict(document)
    loaded.app = app
    return loaded


for media_type in (NPY, BYTES):
    schemathesis.openapi.media_type(media_type, st.just(TENSOR) | st.binary(max_size=100))
schemathesis.openapi.media_type(MODEL_TYPE, st.just(MODEL) | st.binary(max_size=100))


def archive(members: dict[str, Any], request: str) -> bytes:
    """An .npz body."""
    written = io.BytesIO()
    np.savez(written, request=request, **members)
    return written.getvalue()


schemathesis.openapi.media_type(
    npz.MEDIA_TYPE,
    st.builds(
        archive,
        st.fixed_dictionaries({f"inputs/{name}": st.floats() for name in "abcd"})
        | st.fixed_dictionaries({f"values/{name}": st.lists(st.floats(), min_size=2, max_size=2) for name in "abcde"}),
        st.sampled_from(['{"keep": false}', '{"tags": {"a": "b"}}', "{}"]),
    ),
)


def hold(case: schemathesis.Case, *, narrowed: bool = False) -> None:
    """Send a request and hold its answer to the document; a `narrowed` one does not allow all that the service's own
    does, such as arrays of any length, so that what it does not allow may be answered."""
    answered = case.call()
    operation = case.operation.definition.raw
    refused = answered.status_code in (400, 412, 422)
    unsayable = refused and not list(undeclared(operation["operationId"], answered.json()))
    excluded = [*([positive_data_acceptance] if unsayable else []), *([negative_data_rejection] if narrowed else [])]
    case.validate_response(answered, excluded_checks=excluded)
    if case.method == case.operation.method.upper():
        assert str(answered.status_code) in operation["responses"], f"{case}: {answered.status_code}"


def hold_but_for_refusals(case: schemathesis.Case) -> None:
    """Send a request that the document allows and hold its answer to the document; it may be refused."""
    case.call_and_validate(excluded_checks=[positive_data_acceptance])


def undeclared(operation: str, problem: Any) -> Iterator[str]:
    """Each fault of a problem that is of no kind of UNSAYABLE."""
    for fault in problem.get("errors", [{}]):
        seen = f"{operation} {problem['type'].rpartition(':')[2]} {fault.get('pointer', fault.get('parameter', ''))}"
        if not any(re.fullmatch("({}) {} ({})".format(*kind), seen, re.DOTALL) for kind in UNSAYABLE.values()):
            yield seen


def requests(operation: Any) -> Any:
    """Requests that the document allows and, where one can be wrong, such as it does not."""
    drawn = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if operation.body or operation.query:
        drawn |= operation.as_strategy(generation_mode=GenerationMode.NEGATIVE).filter(is_about_what_is_stored)
    return drawn


def is_about_what_is_stored(case: schemathesis.Case) -> bool:
    """Whether its path is one that the narrowed document allows: any other may be the name of a graph by now."""
    allowed = {each.name: each.definition["schema"].get("enum") for each in case.operation.path_parameters}
    return all(values is None or case.path_parameters[name] in values for name, values in allowed.items())


def try_many(operation: Any, seed: int, examples: int, *, narrowed: bool = False) -> None:
    """Hold the operation to the document by so many requests."""
    many = settings(
        max_examples=examples,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )

    def try_one(case: schemathesis.Case) -> None:
        hold(case, narrowed=narrowed)

    seeded(seed)(many(drawing(case=requests(operation))(try_one)))()


def test_the_service_keeps_to_the_document_where_nothing_is_posted(served: Any) -> None:
    """A few requests, new ones in every run; test_any_body.py posts to every route."""
    few = settings(max_examples=3, suppress_health_check=list(HealthCheck))
    for path, method in OPERATIONS.values():
        if method != "post":
            few(drawing(case=served[path][method].as_strategy())(hold_but_for_refusals))()


def test_a_refusal_of_another_kind_is_found() -> None:
    problem = {"type": "urn:gradbook:problem:invalid-graph", "errors": [{"pointer": "/nodes/12/inputs/3"}]}
    assert list(undeclared("add_nodes", problem)) == []
    assert list(undeclared("create_run", problem)) == ["create_run invalid-graph /nodes/12/inputs/3"]
    problem["errors"] = [{"pointer": "/nodes/12/inputs"}, {"pointer": "/name"}, {"parameter": "limit"}]
    assert list(undeclared("add_nodes", problem)) == ["add_nodes invalid-graph /name", "add_nodes invalid-graph limit"]
    assert list(undeclared("get_run", {"type": "urn:gradbook:problem:limit-exceeded"})) == ["get_run limit-exceeded "]


@pytest.mark.contract
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_answer_is_declared(served: Any, operation: str, seed: int) -> None:
    path, method = OPERATIONS[operation]
    try_many(served[path][method], seed, EXAMPLES)


@pytest.mark.contract
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_answer_about_what_is_stored_is_declared(app: Flask, narrowed: Any, operation: str, seed: int) -> None:
    path, method = OPERATIONS[operation]
    stored = narrow(app) if method == "delete" else narrowed  # which the next operation needs
    try_many(stored[path][method], seed, STORED_EXAMPLES, narrowed=True)


@pytest.mark.contract
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_answer_at_the_bounds_is_declared(served: Any, operation: str) -> None:
    """Requests at each bound of a schema and beyond it, each member left out, each other method."""
    path, method = OPERATIONS[operation]
    configured = served.config.generation_for(operation=served[path][method], phase="coverage")
    for case in served.iter_coverage_cases(
        served[path][method], generation_modes=list(GenerationMode), generation_config=configured
    ):
        hold(case)
