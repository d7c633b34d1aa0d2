"""What is refused as JSON, with its status, its type and the pointer to the fault; what is understood all the same."""

import json
from contextlib import nullcontext
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from service.api.http import strict_json
from service.api.http.strict_json import Malformed, read_json
from service.core.errors import LimitExceeded
from tests.examples import examples

GRAPH = b'{"name":"g","expression":"x"%s}'
MALFORMED = [
    # what, body, pointers
    ("a name twice", b'{"name":"g","name":"h"}', ["/name"]),
    ("a name twice, a space between", b'{"name" :"g","name":"h"}', ["/name"]),
    ("a name twice, a colon elsewhere", b'{"name":"g","name":"a\\":"}', ["/name"]),
    ("a name twice, a space and a colon elsewhere", b'{"name"\n:"g","name":"a\\":"}', ["/name"]),
    ("a name twice, deep", b'{"tags":{"a/b":["x",{"~":1,"~":2}]}}', ["/tags/a~1b/1/~0"]),
    ("two faults", b'{"name":{"a":1,"a":2},"tags":1e999}', ["/name/a", "/tags"]),
    ("a name twice, a surrogate between", b'{"a":"\\ud800","b":{"c":1,"c":2}}', ["/a", "/b/c"]),
    ("bare NaN", GRAPH % b',"nodes":NaN', None),
    ("bare Infinity", GRAPH % b',"nodes":Infinity', None),
    ("bare -Infinity", GRAPH % b',"nodes":[-Infinity]', None),
    ("a lone high surrogate", b'{"name":"\\ud800"}', ["/name"]),
    ("a lone low surrogate", b'{"name":["\\uDFFF"]}', ["/name/0"]),
    ("surrogates the wrong way round", b'{"name":"\\udc00\\ud800"}', ["/name"]),
    ("a lone surrogate in a name", b'{"\\ud800":1}', [""]),
    ("an integer of 5,000 digits", b'{"name":%s}' % (b"9" * 5000), ["/name"]),
    ("a negative one", b'{"name":-%s}' % (b"9" * 5000), ["/name"]),
    ("the first integer out of range", b'{"name":%d}' % 2**1024, ["/name"]),
    ("1e999", b'{"name":[0,-1e999]}', ["/name/1"]),
    ("a name twice hides 1e999", b'{"name":1e999,"name":1}', ["/name"]),
    ("no value", b'{"name":}', None),
    ("a comma too many", b'{"name":1,}', None),
    ("single quotes", b"{'name':1}", None),
    ("a comment", b'{"name":1} // done', None),
    ("two values", b"{}{}", None),
    ("a control character", b'{"name":"\x01"}', None),
    ("a leading zero", b'{"name":01}', None),
    ("a hexadecimal number", b'{"name":0x1}', None),
    ("a number without digits behind its point", b'{"name":1.}', None),
    ("cut off", b'{"name":"g', None),
    ("cut off in an escape", b'{"name":"\\u12', None),
    ("invalid UTF-8", b'{"name":"\xff"}', None),
    ("UTF-8 of a surrogate", b'{"name":"\xed\xa0\x80"}', None),
    ("UTF-16", '{"name":"g"}'.encode("utf-16"), None),
    ("a byte order mark", b'\xef\xbb\xbf{"name":"g","expression":"x"}', None),
    ("blanks only", b"  \n", None),
    ("nothing", b"", None),
]


@pytest.mark.parametrize(("body", "pointers"), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_what_is_not_json_is_a_400(client: FlaskClient, body: bytes, pointers: list[str] | None) -> None:
    problem = client.post("/v1/graphs", data=body, content_type="application/json").json
    assert problem is not None
    assert (problem["status"], problem["type"]) == (400, "urn:gradbook:problem:malformed-json")
    assert [fault["pointer"] for fault in problem["errors"]] == pointers if pointers else "errors" not in problem


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 65 + b"]" * 65, b'{"tags":%s}' % (b"[" * 64 + b"]" * 64)]
)
def test_deep_nesting_names_its_limit(client: FlaskClient, body: bytes) -> None:
    problem = client.post("/v1/graphs", data=body, content_type="application/json").json
    assert problem is not None
    found = problem["status"], problem["type"], problem["limit"], problem["maximum"]
    assert found == (422, "urn:gradbook:problem:limit-exceeded", "json_depth", 64)


WRONG_TYPES: list[tuple[str, dict[str, Any], str]] = [
    # route, body, pointer
    ("graphs", {"name": 5, "expression": "x"}, "/name"),
    ("graphs", {"name": None, "expression": "x"}, "/name"),
    ("graphs", {"name": "", "expression": "x"}, "/name"),
    ("graphs", {"name": "a\nb", "expression": "x"}, "/name"),
    ("graphs", {"name": "x" * 129, "expression": "x"}, "/name"),
    ("graphs", {"expression": "x"}, "/name"),
    ("graphs", {"name": "g"}, ""),
    ("graphs", {"name": "g", "expression": "x", "nodes": []}, ""),
    ("graphs", {"name": "g", "expression": "x", "inputs": ["x"]}, "/inputs"),
    ("graphs", {"name": "g", "expression": ["x"]}, "/expression"),
    ("graphs", {"name": "g", "expression": None}, "/expression"),
    ("graphs", {"name": "g", "expression": "x", "outputs": "x"}, "/outputs"),
    ("graphs", {"name": "g", "expression": "x", "outputs": None}, "/outputs"),
    ("graphs", {"name": "g", "expression": "x", "outputs": ["x", 1]}, "/outputs/1"),
    ("graphs", {"name": "g", "expression": "x", "tags": []}, "/tags"),
    ("graphs", {"name": "g", "expression": "x", "tags": None}, "/tags"),
    ("graphs", {"name": "g", "expression": "x", "tags": {"a/b": 1}}, "/tags/a~1b"),
    ("graphs", {"name": "g", "expression": "x", "tags": {"a": ""}}, "/tags/a"),
    ("graphs", {"name": "g", "expression": "x", "surprise": 1}, "/surprise"),
    ("graphs", {"name": "g", "nodes": {}}, "/nodes"),
    ("graphs", {"name": "g", "nodes": None}, "/nodes"),
    ("graphs", {"name": "g", "nodes": [1]}, "/nodes/0"),
    ("graphs", {"name": "g", "nodes": [{"name": 1, "operation": "Input"}]}, "/nodes/0/name"),
    ("graphs", {"name": "g", "nodes": [{"name": "`", "operation": "Input"}]}, "/nodes/0/name"),
    ("graphs", {"name": "g", "nodes": [{"name": "a", "operation": None}]}, "/nodes/0/operation"),
    ("graphs", {"name": "g", "nodes": [{"name": "a", "operation": "Input", "inputs": "a"}]}, "/nodes/0/inputs"),
    ("graphs", {"name": "g", "nodes": [{"name": "a", "operation": "Input", "input": []}]}, "/nodes/0/input"),
    (
        "graphs",
        {"name": "g", "nodes": [{"name": "a", "operation": "Constant", "attributes": {"value": True}}]},
        "/nodes/0/attributes/value",
    ),
    (
        "graphs",
        {"name": "g", "nodes": [{"name": "a", "operation": "Constant", "attributes": {"value": "2"}}]},
        "/nodes/0/attributes/value",
    ),
    ("nodes", {}, "/nodes"),
    ("nodes", {"nodes": [], "name": "g"}, "/name"),
    ("runs", {}, "/inputs"),
    ("runs", {"inputs": [5]}, "/inputs"),
    ("runs", {"inputs": {"a": "5"}}, "/inputs/a"),
    ("runs", {"inputs": {"a": "nan"}}, "/inputs/a"),
    ("runs", {"inputs": {"a": True}}, "/inputs/a"),
    ("runs", {"inputs": {"a": None}}, "/inputs/a"),
    ("runs", {"inputs": {"a": {}}}, "/inputs/a"),
    ("runs", {"inputs": {"a": [1, [2]]}}, "/inputs/a/1"),
    ("runs", {"inputs": {"a": [[1], 2]}}, "/inputs/a/1"),
    ("runs", {"inputs": {"a": [[1, 2], [3, False]]}}, "/inputs/a/1/1"),
    ("runs", {"inputs": {}, "backward": 1}, "/backward"),
    ("runs", {"inputs": {}, "backward": "true"}, "/backward"),
    ("runs", {"inputs": {}, "backward": None}, "/backward"),
    ("runs", {"inputs": {}, "keep": 0}, "/keep"),
    ("runs", {"inputs": {}, "output": 1}, "/output"),
    ("runs", {"inputs": {}, "output": ""}, "/output"),
    ("runs", {"inputs": {}, "seed": True}, "/seed"),
    ("runs", {"inputs": {}, "seed": None}, "/seed"),
    ("runs", {"inputs": {}, "seed": 1, "backward": False}, "/seed"),
    ("runs", {"inputs": {}, "label": ["x"]}, "/label"),
    ("runs", {"inputs": {}, "label": ""}, "/label"),
    ("backward", {"output": ""}, "/output"),
    ("backward", {"output": 1}, "/output"),
    ("backward", {"seed": "1"}, "/seed"),
    ("backward", {"seed": [[1], [2, 3]]}, "/seed/1"),
    ("backward", {"inputs": {}}, "/inputs"),
]


@pytest.fixture(scope="module")
def routes(client: FlaskClient, seed: dict[str, Any]) -> dict[str, str]:
    """Where each body is sent."""
    graph = seed["graph"]["id"]
    inputs = {"inputs": dict.fromkeys("abcd", 1), "backward": False}
    run = client.post(f"/v1/graphs/{graph}/runs", json=inputs).json
    assert run is not None
    return {
        "graphs": "/v1/graphs",
        "nodes": f"/v1/graphs/{graph}/nodes",
        "runs": f"/v1/graphs/{graph}/runs",
        "backward": f"/v1/runs/{run['id']}/backward",
    }


@pytest.mark.parametrize(
    ("route", "body", "pointer"), WRONG_TYPES, ids=[json.dumps(row[1])[:60] for row in WRONG_TYPES]
)
def test_wrong_types_and_unknown_members_are_a_422_with_a_pointer(
    client: FlaskClient, routes: dict[str, str], route: str, body: dict[str, Any], pointer: str
) -> None:
    if "inputs" in body and isinstance(body["inputs"], dict) and route == "runs":
        body = {**body, "inputs": {**dict.fromkeys("abcd", 1), **body["inputs"]}}
    problem = client.post(routes[route], json=body).json
    assert problem is not None and problem["status"] == 422, problem
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]


@pytest.mark.parametrize("body", [b"[]", b"[1]", b"null", b"5", b'"x"', b"true"])
@pytest.mark.parametrize("route", ["graphs", "nodes", "runs", "backward"])
def test_a_body_that_is_no_object(client: FlaskClient, routes: dict[str, str], route: str, body: bytes) -> None:
    problem = client.post(routes[route], data=body, content_type="application/json").json
    assert problem is not None and problem["status"] == 422
    assert problem["errors"] == [{"pointer": "", "detail": "an object is expected"}]


@pytest.mark.parametrize("content_type", [None, "text/plain", "text/json", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("body", [b'{"name":"g","expression":"x"}', b""])
def test_a_body_of_another_content_type(client: FlaskClient, body: bytes, content_type: str | None) -> None:
    response = client.post("/v1/graphs", data=body, content_type=content_type)
    assert response.status_code == 415


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "application/a+json"])
def test_json_by_any_of_its_names(client: FlaskClient, content_type: str) -> None:
    response = client.post("/v1/graphs", data=b'{"name":"g","expression":"x"}', content_type=content_type)
    assert response.status_code in (200, 201)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ('"\\ud83d\\ude00 \\u00e9"', "😀 é"),
        ('"[[[{{{"', "[[[{{{"),
        ('"\\\\ud800"', "\\ud800"),
        (' {"a" : [ ] }\n', {"a": []}),
        (str(10**308), 10**308),
        ("1" + "0" * 308 + ".0", 1e308),
        ("1e-999", 0.0),
        ("[" * 64 + "]" * 64, json.loads("[" * 64 + "]" * 64)),
    ],
)
def test_what_is_json(body: str, value: object) -> None:
    read = read_json(body.encode(), max_depth=64)
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize("zero", ["-0", "-0.0", "-0e5", "-1e-999"])
def test_the_sign_of_zero_survives(zero: str) -> None:
    assert str(float(read_json(zero.encode(), max_depth=1))) == "-0.0"


@pytest.mark.parametrize(("body", "error"), [(b'{"a":1,"a":1}', Malformed), (b"[[]]", LimitExceeded)])
def test_reading_raises(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_json(body, max_depth=1)


def is_same(read: object, value: object) -> bool:
    """Whether they are of the same types throughout and, to the bit, of the same numbers."""
    return repr(read) == repr(value)


TEXTS = st.text('ab:\\" \n\t0-é😀', max_size=6)
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,22})(\.[0-9]{1,22})?([eE][-+]?[0-9]{1,2})?", fullmatch=True),
    st.sampled_from(["-0", "18446744073709551615", "18446744073709551616", "-9223372036854775809", "0.1e1", "-0e0"]),
)


SPACES = st.sampled_from(["", "", " ", "\n", "\t  "])
VALUES = st.recursive(
    st.one_of(NUMBERS, TEXTS.map(json.dumps), st.sampled_from(["true", "false", "null"])),
    lambda inner: st.one_of(
        st.tuples(SPACES, st.lists(inner, max_size=4)).map(lambda each: f"[{f'{each[0]},'.join(each[1])}]"),
        st.tuples(SPACES, st.dictionaries(TEXTS, inner, max_size=4)).map(
            lambda each: f"{{{','.join(f'{json.dumps(name)}{each[0]}:{value}' for name, value in each[1].items())}}}"
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=examples(300))
@given(st.tuples(SPACES, VALUES, SPACES).map("".join))
def test_whatever_reads_it_json_is_the_same(text: str) -> None:
    expected = json.loads(text, parse_int=lambda digits: -0.0 if digits == "-0" else int(digits))
    assert is_same(read_json(text.encode(), max_depth=64), expected)


@pytest.mark.parametrize(
    ("body", "is_slow"),
    [
        (b'{"inputs": {"a": [1, -0.5, 0.00123456789012345678], "a:": 1e-05}}', False),
        (b'{"a": "x:y", "b" : -0}', True),
        (b'{"a": [1, -0]}', True),
        (b'{"a": 1234567890123456789}', True),
    ],
)
def test_what_orjson_reads_rightly_is_read_once(body: bytes, is_slow: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **named: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(strict_json, "_decoder", refuse)
    with pytest.raises(AssertionError) if is_slow else nullcontext():
        read_json(body, 64)


def test_numbers_as_they_are_written() -> None:
    read = read_json(b'{"a": [0.670, 1.50e2, -0.0, 3], "b": 0.5}', 64, as_written=True)
    assert [number.text for number in read["a"][:3]] == ["0.670", "1.50e2", "-0.0"]
    assert (read["a"], read["b"].text, type(read["a"][3])) == ([0.67, 150.0, 0.0, 3], "0.5", int)
    assert json.dumps(read["a"]) == "[0.67, 150.0, -0.0, 3]"
    assert type(read_json(b"0.670", 64)) is float
    with pytest.raises(Malformed, match="out of float64's range"):
        read_json(b'{"a": 1e999}', 64, as_written=True)
