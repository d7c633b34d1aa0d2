"""openapi.yaml at the root is the whole truth: of the code, of the routes, of the client, of what is answered."""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31

from service.api.components import reference
from service.api.http.endpoint import BINARY
from service.api.http.problem_types import PROBLEM_TYPES, example_of, type_uri
from service.client import Client
from service.settings import Settings
from tests.api.conftest import MakeApp, read_openapi
from tests.api.story import EXAMPLES, tell

ROOT = Path(__file__).parents[3]
BYTES = [f"#/components/schemas/{name}" for name, _ in BINARY.values()]
METHODS = ("get", "post", "put", "patch", "delete")


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    """Every operation, with its path and its method."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in METHODS:
                yield path, method, operation


def test_the_file_is_what_the_code_says_and_what_is_served(app: Flask, client: FlaskClient) -> None:
    written = (ROOT / "openapi.yaml").read_text()
    assert written == app.extensions["openapi"](), "openapi.yaml is not what the code says: run `make openapi`"
    served = client.get("/openapi.yaml")
    assert (served.text, served.content_type) == (written, "application/yaml")


def test_it_is_openapi_3_1(document: Any) -> None:
    assert document["openapi"].startswith("3.1.")
    assert not list(Draft202012Validator(OPENAPI_31).iter_errors(document))
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    identifiers = [operation["operationId"] for *_, operation in operations(document)]
    assert len(identifiers) == len(set(identifiers))


def test_no_reference_leads_nowhere(document: Any) -> None:
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text, f"nothing uses {name}"
    for name in set(part.split('"')[0] for part in text.split('"$ref": "#/components/schemas/')[1:]):
        assert name in document["components"]["schemas"]


def test_generators_of_clients_find_what_they_need(document: Any) -> None:
    """Each item of an array and each further member of an object has a schema, and nothing that they read is a mere
    false or leads back into itself. No type of TypeScript's own is hidden by one of the same name."""
    schemas = document["components"]["schemas"]
    assert not {"Array", "Date", "Error", "Map", "Object", "Promise", "Record", "Set", "Symbol"} & schemas.keys()
    for name, schema in schemas.items():
        for part in read_parts(schema):
            kinds = part.get("type", ())
            assert "items" in part or "array" not in kinds, name
            assert {"properties", "additionalProperties"} & part.keys() or "object" not in kinds, name
            assert "type" in part or {"$ref", "oneOf", "anyOf"} & part.keys(), name
            led = part.get("$ref", "").rpartition("/")[2]
            assert not led or name not in reached_from(led, schemas), f"{name} leads back into itself"


def read_parts(schema: Any) -> Iterator[Any]:
    """The parts of a schema that generators read: not its conditions."""
    yield schema
    inside = [schema[part] for part in ("items", "additionalProperties") if isinstance(schema.get(part), dict)]
    for part in (*inside, *schema.get("oneOf", ()), *schema.get("anyOf", ()), *schema.get("properties", {}).values()):
        if part:  # {}: anything
            yield from read_parts(part)


def reached_from(name: str, schemas: Any) -> set[str]:
    """The schemas that this one refers to, itself, and through others."""
    reached, left = set(), [name]
    while left:
        reached.add(here := left.pop())
        led = {part["$ref"].rpartition("/")[2] for part in read_parts(schemas[here]) if "$ref" in part}
        left += led - reached
    return reached


def test_every_route_is_in_it_under_the_name_of_its_view(app: Flask, document: Any) -> None:
    routes = {
        (rule.rule.replace("<name:", "<").replace("<", "{").replace(">", "}"), method.lower()): rule.endpoint
        for rule in app.url_map.iter_rules()
        if not rule.endpoint.startswith(("swagger_ui.", "pages."))
        for method in rule.methods or ()
        if method.lower() in METHODS
    }
    documented = {(path, method): operation["operationId"] for path, method, operation in operations(document)}
    assert documented == {route: endpoint.rpartition(".")[2] for route, endpoint in routes.items()}


def test_what_a_request_may_hold_the_client_can_send(document: Any) -> None:
    for _, method, operation in operations(document):
        body = operation.get("requestBody")
        if method != "post" or body is None:
            continue
        name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        members = set(document["components"]["schemas"][name]["properties"])
        taken = set(inspect.signature(getattr(Client, operation["operationId"])).parameters)
        assert members - taken <= {"recorded"}, operation["operationId"]  # record_run sends that


def test_every_problem_is_documented_where_a_request_can_meet_it(document: Any) -> None:
    for path, method, operation in operations(document):
        statuses = set(operation["responses"])
        meant = operation["operationId"]
        assert {"400", "403", "408", "413", "421", "431", "501", "503", "default"} <= statuses, meant
        if path.startswith("/v1/"):
            assert "422" in statuses, meant  # an answer may be over a limit too
        if "requestBody" in operation:
            assert "415" in statuses, meant
        if "{" in path:
            assert "404" in statuses, meant
        if method == "get" and path.startswith("/v1/"):
            assert "304" in statuses, meant
        if method == "post":
            assert "Idempotency-Key" in [parameter["name"] for parameter in operation["parameters"]], meant


def test_a_503_says_when_to_try_again_and_a_limit_by_how_much_it_is_exceeded(document: Any) -> None:
    overloaded = document["components"]["responses"]["Overloaded"]
    assert "Retry-After" in overloaded["headers"]
    for *_, operation in operations(document):
        assert operation["responses"]["503"] == {"$ref": "#/components/responses/Overloaded"}
    members = document["components"]["schemas"]["ProblemDocument"]["properties"]
    assert {"limit": "string", "maximum": "integer", "estimate": "integer"}.items() <= {
        name: member.get("type") for name, member in members.items()
    }.items()


def test_the_examples_are_what_the_service_answers(make_app: MakeApp) -> None:
    told = tell(make_app().test_client())
    written = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    assert list(told) == list(written), "run `make openapi`"
    for operation, example in told.items():
        assert in_short(example) == in_short(written[operation]), f"{operation}: run `make openapi`"


def in_short(document: Any) -> Any:
    """A document with numbers of twelve decimals: the last digits are the processor's."""
    match document:
        case dict():
            return {name: in_short(part) for name, part in document.items()}
        case list():
            return [in_short(part) for part in document]
        case float():
            return round(document, 12)
    return document


def test_every_operation_has_an_example_of_its_request_and_of_its_answer(document: Any) -> None:
    """Of all but bodies of bytes."""
    for path, _, operation in operations(document):
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        bodies += [answer for status, answer in operation["responses"].items() if status in ("200", "201")]
        texts = [content for body in bodies if (content := readable(body))]
        assert all(any("example" in media for media in content) for content in texts), operation["operationId"]
        for parameter in document["paths"][path].get("parameters", ()):
            assert parameter["example"], operation["operationId"]


def readable(body: Any) -> list[Any]:
    """What a body is where it is not bytes."""
    return [media for media in body.get("content", {}).values() if media["schema"].get("$ref") not in BYTES]


def test_every_example_fits_its_schema(document: Any) -> None:
    for path, _, operation in operations(document):
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        shown = [media for body in (*bodies, *operation["responses"].values()) for media in readable(body)]
        shown += document["paths"][path].get("parameters", ())
        for each in shown:
            if "example" in each:
                schema = {**each["schema"], "components": document["components"]}
                assert not list(Draft202012Validator(schema).iter_errors(each["example"]))


def test_every_type_of_problem_is_listed_with_an_example(document: Any) -> None:
    types = document["components"]["schemas"]["ProblemDocument"]["properties"]["type"]["enum"]
    assert types == [type_uri(name) for name in PROBLEM_TYPES]
    shown = {}
    for response in document["components"]["responses"].values():
        for name, example in response["content"]["application/problem+json"]["examples"].items():
            validator = Draft202012Validator(reference("ProblemDocument") | {"components": document["components"]})
            assert not list(validator.iter_errors(example["value"])), name
            shown[name] = example["value"]
    assert shown == {name: example_of(name) for name in PROBLEM_TYPES}
    assert document["components"]["responses"]["Conflict"]["content"]["application/problem+json"][
        "examples"
    ].keys() == {name for name, kind in PROBLEM_TYPES.items() if kind.status == 409}


def test_a_default_is_of_its_members_type(document: Any) -> None:
    """Generated clients send defaults."""
    for name, schema in document["components"]["schemas"].items():
        for member, inside in schema.get("properties", {}).items():
            if "default" in inside:
                validator = Draft202012Validator(inside | {"components": document["components"]})
                assert validator.is_valid(inside["default"]), f"{name}.{member}"


def test_a_service_is_named_where_the_document_may_be_tried(document: Any) -> None:
    assert [server["url"] for server in document["servers"]] == ["/", f"http://{Settings.host}:{Settings.port}"]


def test_the_bounds_are_those_of_the_running_service(make_app: MakeApp) -> None:
    written = read_openapi(make_app(page=7, name_length=5, tags=2).extensions["openapi"]())
    (limit,) = [each for each in written["paths"]["/v1/graphs"]["get"]["parameters"] if each["name"] == "limit"]
    assert limit["schema"]["maximum"] == 7
    properties = written["components"]["schemas"]["GraphRequest"]["properties"]
    assert (properties["name"]["maxLength"], properties["tags"]["maxProperties"]) == (5, 2)
    assert properties["tags"]["propertyNames"] == properties["tags"]["additionalProperties"]
    assert properties["tags"]["propertyNames"]["maxLength"] == 5
    assert "x-" not in str(properties)


@pytest.mark.parametrize("text", ["", "\n", "a\n", "a\x00", "\x7f", "x" * 129, "ok", "é ü", "a" * 128])
def test_what_the_document_says_of_a_name_is_what_the_service_does(
    client: FlaskClient, document: Any, text: str
) -> None:
    properties = document["components"]["schemas"]["GraphRequest"]["properties"]
    said = Draft202012Validator(properties["name"]).is_valid(text)
    made = client.post("/v1/graphs", json={"name": text, "expression": "y = x"})
    assert said == (made.status_code in (200, 201))
    tagged = client.post("/v1/graphs", json={"name": "g", "expression": "y = x", "tags": {text: "v"}})
    assert Draft202012Validator(properties["tags"]).is_valid({text: "v"}) == (tagged.status_code in (200, 201))


INPUTS = {"a": 5, "b": 1, "c": -2, "d": -3}
RECORDED = {"by": "x", "values": {"e": 6}}
JACOBIAN = {"kind": "jacobian", "inputs": INPUTS}
CLAIMS = {"values": {"e": "6"}}
BODIES: list[tuple[str, dict[str, Any]]] = [
    *[
        ("graphs", {"name": "g", **body})
        for body in (
            {"expression": "y = x"},
            {"nodes": [{"name": "x", "operation": "Input"}], "inputs": ["x"]},
            {},
            {"expression": "y = x", "nodes": [{"name": "x", "operation": "Input"}]},
            {"expression": "y = x", "inputs": ["x"]},
            {"expression": ""},
            {"expression": "y = x", "outputs": []},
            {"expression": "y = x", "outputs": [""]},
            {"nodes": []},
            {"nodes": [{"name": "x", "operation": ""}]},
            {"nodes": [{"name": "a`", "operation": "Input"}]},
            {"nodes": [{"name": "a\n", "operation": "Input"}]},
            {"nodes": [{"name": "é" * 256, "operation": "Input"}]},
            {"nodes": [{"name": "é" * 257, "operation": "Input"}]},
        )
    ],
    *[
        ("graphs/{graph}/runs", {"inputs": INPUTS, **body})
        for body in (
            {"seed": 2, "output": "e"},
            {"seed": 2, "backward": False},
            {"output": ""},
            {"inputs": {**INPUTS, "a": [[1], ["NaN"]]}},
            {"inputs": {**INPUTS, "a": [None]}},
            {"inputs": {**INPUTS, "": 1}},
            {"recorded": RECORDED, "backward": True, "keep": True},
            {"recorded": RECORDED, "backward": False},
            {"recorded": RECORDED, "keep": False},
            {"recorded": RECORDED, "conventions": "jax"},
            {"recorded": {"by": "x"}},
            {"recorded": {"by": "x", "values": {}}},
            {"recorded": {**RECORDED, "gradients": {"e": None}}},
        )
    ],
    *[
        ("comparisons", {"baseline": "{run}", "candidate": "{run}", **body})
        for body in (
            {"tolerance": {"rtol": 0.5}, "names": {"a": "a"}},
            {"tolerance": {}},
            {"tolerance": {"atol": -1}},
            {"tolerance": {"atol": 0, "ulps": 1}},
            {"tolerance": "float8"},
            {"names": {"a": ""}},
        )
    ],
    *[
        ("graphs/{graph}/derivatives", {**JACOBIAN, **body})
        for body in (
            {"wrt": ["a"], "outputs": ["e", "F"]},
            {"wrt": []},
            {"wrt": ["a", "a"]},
            {"outputs": []},
            {"vector": 1},
            {"kind": "jvp"},
            {"kind": "jvp", "vector": {"a": 1}, "outputs": ["e", "F"]},
            {"kind": "hvp", "vector": {"a": 1}, "outputs": ["e", "F"]},
            {"kind": "hessian", "vector": {"a": 1}},
            {"kind": "hessian", "outputs": ["e", "F"]},
        )
    ],
    *[
        ("graphs/{graph}/checks", {"inputs": INPUTS, "claims": claims})
        for claims in (CLAIMS, {}, {"values": {}}, {"values": {}, "gradients": {"e": None}}, {"values": {"e": ""}})
    ],
]


@pytest.mark.parametrize(("target", "body"), BODIES, ids=[str(number) for number in range(len(BODIES))])
def test_what_the_document_says_of_a_body_is_what_the_service_does(
    client: FlaskClient, seed: dict[str, Any], document: Any, target: str, body: dict[str, Any]
) -> None:
    media = document["paths"][f"/v1/{target}".replace("{graph}", "{graph_id}")]["post"]["requestBody"]["content"]
    schema = {**media["application/json"]["schema"], "components": document["components"]}
    sent = json.loads(json.dumps(body).replace("{run}", seed["run"]["id"]))
    answered = client.post(f"/v1/{target.format(graph=seed['graph']['id'])}", json=sent)
    assert Draft202012Validator(schema).is_valid(sent) == (answered.status_code in (200, 201)), answered.text


@pytest.mark.parametrize("cursor", ["", "a.b", "A" * 4100])
def test_no_list_gave_a_cursor_that_the_document_does_not_allow(
    client: FlaskClient, document: Any, cursor: str
) -> None:
    (parameter,) = [each for each in document["paths"]["/v1/runs"]["get"]["parameters"] if each["name"] == "cursor"]
    assert not Draft202012Validator(parameter["schema"]).is_valid(cursor)
    assert client.get("/v1/runs", query_string={"cursor": cursor}).status_code == 422
