"""Figures as .npz, in and out: read by NumPy itself, held against what JSON says; what is hostile is refused unread."""

import io
import json
import tracemalloc
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from service.api.http import npz
from service.api.http.npz import MEDIA_TYPE, MalformedArchive, read_npz
from service.core.errors import GradbookError, InvalidRequest, LimitExceeded
from service.settings import Limits
from tests.api.conftest import MakeApp
from tests.api.test_runs import NAMES, create, run
from tests.examples import spread

ACCEPT = {"Accept": MEDIA_TYPE}


def save(**arrays: Any) -> bytes:
    """An .npz by NumPy."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_large_arrays_of_any_rank_and_layout_are_written() -> None:
    square = np.arange(90_000.0).reshape(300, 300)
    read = np.load(io.BytesIO(b"".join(npz.write_members({"rows": square, "columns": square.T}))))
    assert np.array_equal(read["rows"], square) and np.array_equal(read["columns"], square.T)


def test_a_header_is_written_once_for_arrays_of_one_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    members = {"values": np.arange(5.0), "shapes": np.ones((3, 0), np.int64), "closed": np.array("é\n")}
    first = b"".join(npz.write_members(members))
    assert first == b"".join(npz.write_members(members))
    monkeypatch.setattr(npz.npy, "write_array_header_1_0", None)  # which is not called
    read = np.load(io.BytesIO(b"".join(npz.write_members({**members, "values": -members["values"]}))))
    assert [read[name].tolist() for name in members] == [[-0.0, -1, -2, -3, -4], [[], [], []], "é\n"]
    assert read["shapes"].dtype == np.int64 and read["shapes"].shape == (3, 0)


def post(
    client: FlaskClient, graph: str, members: Mapping[str, Any] | bytes, headers: Any = None, query: str = ""
) -> TestResponse:
    body = members if isinstance(members, bytes) else save(**members)
    return client.post(f"/v1/graphs/{graph}/runs{query}", data=body, content_type=MEDIA_TYPE, headers=headers)


def read(response: TestResponse) -> dict[str, Any]:
    """The members of an answer, by NumPy; the strings as such."""
    assert response.status_code < 300, response.text
    assert response.content_type == MEDIA_TYPE and "Accept" in response.headers["Vary"]
    with np.load(io.BytesIO(response.data), allow_pickle=False) as archive:
        return {name: archive[name] if archive[name].dtype.kind != "U" else str(archive[name]) for name in archive}


def figures(members: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The values or the gradients by name, of their shapes; None for one that is not there."""
    flat, offsets = members[f"{kind}s"], members["offsets"]
    return {
        name: flat[offsets[k] : offsets[k + 1]].reshape([size for size in members["shapes"][k] if size >= 0])
        if members[f"has_{kind}"][k]
        else None
        for k, name in enumerate(members["names"].split("\n"))
    }


def faults(response: TestResponse, status: int = 422) -> list[str]:
    document: Any = response.json
    assert response.status_code == status, document
    return [fault["pointer"] for fault in document.get("errors", ())]


def without_tensors(member: Any) -> Any:
    """A member of a run with null for each tensor of several elements, which is in the archive."""
    if isinstance(member, dict):
        return {name: without_tensors(part) for name, part in member.items()}
    return None if np.size(np.array(member)) > 1 else member


# --- answers --------------------------------------------------------------------------------------------------------


def agree(members: Mapping[str, Any], nodes: list[dict[str, Any]]) -> None:
    """An .npz says what the nodes of a JSON answer say."""
    assert members["names"].split("\n") == [node["name"] for node in nodes]
    assert members["operations"].split("\n") == [node["operation"] for node in nodes]
    assert members["nondifferentiable"].tolist() == [node.get("nondifferentiable", False) for node in nodes]
    assert members["closed"].split("\n") == ["\t".join(node.get("closed", [])) for node in nodes]
    for kind in ("value", "gradient"):
        if f"{kind}s" not in members:
            assert not members[f"has_{kind}"].any() and not any(node[kind] for node in nodes)
            continue
        assert members["offsets"][-1] == len(members[f"{kind}s"])
        for node, figure in zip(nodes, figures(members, kind).values(), strict=True):
            assert (figure is None) == (node[kind] is None)
            if figure is not None:
                assert figure.shape == tuple(node.get("shape", ()))
                assert figure.tobytes() == np.array(node[kind], dtype=np.float64).tobytes()


@pytest.mark.parametrize(
    ("expression", "inputs", "body"),
    [
        ("e = a + b; f = e * c; F = f / d", {"a": 5, "b": 1, "c": -2, "d": -3}, {}),
        ("F = relu(a) * 2 + b", {"a": [-1, 0, 0.1], "b": [["NaN"], ["-Infinity"]]}, {}),
        ("F = max(a, b, 3) * relu(a) + where(b > 0, a, b)", {"a": -1, "b": 2}, {}),
        ("F = a * 2 + b", {"a": [], "b": -0.0}, {}),
        ("F = a * b", {"a": 2, "b": [3, 4]}, {"backward": False}),
        ("F = a * b; G = F * 3", {"b": [3, 4]}, {"recorded": {"by": "x", "gradients": {"F": [1, 2], "G": 1}}}),
        ("F = a * b", {"b": 4}, {"recorded": {"by": "x", "values": {"F": 1}}}),
        ("F = a * b", {}, {"recorded": {"by": "x", "gradients": {"a": [[1, 2]]}}}),
    ],
)
def test_a_run_is_the_same_in_both_forms(client: FlaskClient, expression: str, inputs: Any, body: Any) -> None:
    made = run(client, create(client, expression), inputs, **body)
    path = f"/v1/runs/{made['id']}"
    whole = read(client.get(path, headers=ACCEPT))
    assert json.loads(whole.pop("run")) == {
        name: without_tensors(made[name]) for name in made if name not in ("nodes", "next")
    }
    nodes = read(client.get(f"{path}/nodes", headers=ACCEPT))
    assert whole.keys() == nodes.keys() and ("gradients" in nodes) == (made["gradients"] is not None)
    for node in made["nodes"]:  # a gradient may have a shape where no value tells it
        gradient = np.array(node["gradient"], dtype=np.float64)
        if node["value"] is None and gradient.shape:
            node["shape"] = gradient.shape
    for members in (whole, nodes):
        agree(members, made["nodes"])
    for node in made["nodes"]:
        agree(read(client.get(f"{path}/nodes/{node['name']}", headers=ACCEPT)), [node])


def test_an_npz_is_whole_where_json_has_pages_and_nulls(client: FlaskClient) -> None:
    graph = create(client, "; ".join(f"y{k} = x + {k}" for k in range(600)) + "; F = w + x", outputs=["F"])
    inputs = {"x": 3, "w": list(range(10_001))}
    made = run(client, graph, inputs, query="?gradients=inputs")
    members = read(client.get(f"/v1/runs/{made['id']}/nodes", headers=ACCEPT))
    assert len(members["shapes"]) == 1203
    values, gradients = figures(members, "value"), figures(members, "gradient")
    assert values["y7"] == 10 and gradients["y7"] == 0 and gradients["x"] == 10_001
    assert (values["F"] == np.arange(3, 10_004)).all() and (gradients["w"] == np.ones(10_001)).all()
    passing = read(client.post(f"/v1/graphs/{graph}/runs", json={"inputs": inputs, "keep": False}, headers=ACCEPT))
    assert json.loads(passing["run"])["id"] is None
    for name, array in members.items():
        assert np.asarray(passing[name]).tobytes() == np.asarray(array).tobytes()
    problem: Any = client.get(f"/v1/runs/{made['id']}/nodes?limit=5&cursor=x", headers=ACCEPT).json
    assert problem["status"] == 422 and {error["parameter"] for error in problem["errors"]} == {"limit", "cursor"}


def test_gradients_of_the_inputs_alone(client: FlaskClient) -> None:
    graph = create(client, "p = a * b; F = p * a")
    for query, names in (("", ["a", "b", "p", "F"]), ("?gradients=inputs", ["a", "b", "F"])):
        members = read(post(client, graph, {"inputs/a": 2.0, "inputs/b": [3.0, 4.0]}, ACCEPT, query))
        assert members["names"].split("\n") == names
        assert figures(members, "gradient")["b"].tolist() == [4, 4]
        assert figures(members, "value")["F"].tolist() == [12, 16]


def test_the_same_run_is_the_same_bytes(client: FlaskClient) -> None:
    made = run(client, create(client, "F = a * b"), {"a": 2, "b": 3})
    path = f"/v1/runs/{made['id']}"
    first = client.get(path, headers=ACCEPT)
    assert client.get(path, headers={**ACCEPT, "If-None-Match": first.headers["ETag"]}).status_code == 304
    assert client.get(path, headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/x-npz;q=0.5, application/json;q=0.1", MEDIA_TYPE),
        ("text/html, application/*;q=0.8", "application/json"),
        ("text/html", None),
        ("application/json;q=0", None),
    ],
)
def test_the_form_is_chosen_by_accept(client: FlaskClient, accept: str, form: str | None) -> None:
    graph = create(client, "F = a * b")
    made = run(client, graph, {"a": 2, "b": 3})
    before = client.get(f"/v1/runs?graph={graph}").data
    for path in ("", "/nodes", "/nodes/F"):
        response = client.get(f"/v1/runs/{made['id']}{path}", headers={"Accept": accept})
        if form is None:
            assert response.status_code == 406 and MEDIA_TYPE in response.text
        else:
            assert response.content_type == form
    if form is None:  # and then nothing is stored
        response = client.post(
            f"/v1/graphs/{graph}/runs", json={"inputs": {"a": 1, "b": 1}}, headers={"Accept": accept}
        )
        assert response.status_code == 406 and client.get(f"/v1/runs?graph={graph}").data == before


# --- bodies ---------------------------------------------------------------------------------------------------------


def test_any_name_and_any_real_type(client: FlaskClient) -> None:
    nodes: list[dict[str, Any]] = [{"name": name, "operation": "Input"} for name in NAMES]
    nodes.append({"name": "s", "operation": "Sum", "inputs": NAMES})
    graph: Any = client.post("/v1/graphs", json={"name": "npz", "nodes": nodes}).json
    types = ["<f8", ">f8", "<f4", "<f2", "<i8", ">i4", "<u2", "|i1"]
    given = {name: np.arange(6).reshape(2, 3).astype(types[k % len(types)]) for k, name in enumerate(NAMES)}
    given["é ü"] = np.asfortranarray(given["é ü"])
    members = read(post(client, graph["id"], {f"inputs/{name}": array for name, array in given.items()}, ACCEPT))
    for name, figure in list(figures(members, "value").items())[:-1]:
        assert figure.tolist() == given[name].tolist()


def test_the_request_holds_the_rest_of_the_body(client: FlaskClient) -> None:
    graph = create(client, "p = a * b; F = p * a; G = p")
    rest = {"inputs": {"a": 2}, "output": "F", "label": "packed", "tags": {"k": "v"}}
    made: Any = post(client, graph, {"request": json.dumps(rest), "inputs/b": [3, 4], "seed": [1, 10]}).json
    body = {**rest, "inputs": {"a": 2, "b": [3, 4]}, "seed": [1, 10]}
    same: Any = client.post(f"/v1/graphs/{graph}/runs", json=body).json
    assert {name: made[name] for name in made if name not in ("id", "created_at")} == {
        name: same[name] for name in same if name not in ("id", "created_at")
    }
    passing: Any = post(client, graph, {"request": '{"keep": false, "backward": false}', "inputs/a": 1, "inputs/b": 2})
    assert passing.status_code == 200 and passing.json["id"] is None and passing.json["gradients"] is None
    recorded: Any = post(
        client,
        graph,
        {
            "request": json.dumps({"inputs": {"a": 2, "b": 1}, "recorded": {"by": "NumPy"}, "output": "F"}),
            "recorded/values/p": 2.0,
            "recorded/gradients/a": 4.0,
        },
    ).json
    assert (recorded["source"], recorded["gradients"]) == ("recorded", {"a": 4.0, "b": None})


def test_a_repeated_key_is_known_by_the_bytes(client: FlaskClient) -> None:
    graph = create(client, "F = a * b")
    first, again = (post(client, graph, {"inputs/a": 2, "inputs/b": 3}, {"Idempotency-Key": "npz"}) for _ in range(2))
    assert first.data == again.data
    other = post(client, graph, {"inputs/a": 2, "inputs/b": 4}, {"Idempotency-Key": "npz"})
    assert other.status_code == 422


class Bomb:
    """What unpickling would set off."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("it was unpickled",)


def member(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """A .npy file of any header."""
    text = header.encode()
    length = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + length + text + data


def archive(members: Mapping[str, bytes]) -> bytes:
    """A zip archive of any members, compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as written:
        for name, data in members.items():
            written.writestr(name, data)
    return buffer.getvalue()


FLOATS = "{'descr': '<f8', 'fortran_order': False, 'shape': %s}"


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"inputs/a.npy": b"nothing of NumPy's"}, "/inputs/a"),
        ({"inputs/a.npy": b""}, "/inputs/a"),
        ({"inputs/a.npy": member(FLOATS % "(2,)", b"\0" * 15)}, "/inputs/a"),
        ({"inputs/a.npy": member(FLOATS % "(2,)", b"\0" * 17)}, "/inputs/a"),
        ({"inputs/a.npy": member(FLOATS % "(-1,)")}, "/inputs/a"),
        ({"inputs/a.npy": member(FLOATS % f"(0, {10**17}, {10**17})")}, "/inputs/a"),
        ({"inputs/a.npy": member(FLOATS % ("(" + "1," * 33 + ")"), b"\0" * 8)}, "/inputs/a"),
        ({"inputs/a.npy": member(FLOATS % "()", b"\0" * 8, b"\x02\x00")}, "/inputs/a"),
        ({"inputs/a.npy": member("-" * 9000 + "1")}, "/inputs/a"),
        ({"inputs/a.npy": member("{'descr': '<f3', 'fortran_order': False, 'shape': ()}", b"123")}, "/inputs/a"),
        ({"inputs/a.npy": member("{'descr': [('x', '<f8')], 'fortran_order': False, 'shape': ()}")}, "/inputs/a"),
        ({"inputs/a.npy": member(FLOATS[:-3] + "(" + " " * 60_000)}, "/inputs/a"),  # at once, whatever the pattern
        ({"inputs/a.npy": member(FLOATS[:-3] + "()" + " " * 60_000)}, "/inputs/a"),
        ({"inputs/a/b~.npy": member("{}")}, "/inputs/a~1b~0"),
        ({"request.npy": member("{'descr': '<U3', 'fortran_order': False, 'shape': (2,)}", b"\0" * 24)}, "/request"),
        ({"request.npy": member("{'descr': '<U1', 'fortran_order': False, 'shape': ()}", b"\0\xd8\0\0")}, "/request"),
        ({"request.npy": member("{'descr': '<f8', 'fortran_order': False, 'shape': ()}", b"\0" * 8)}, "/request"),
        ({"a.npy": member(FLOATS % "()", b"\0" * 8)}, "/a"),
        ({"inputs/.npy": member(FLOATS % "()", b"\0" * 8)}, "/inputs~1"),
    ],
)
def test_a_wrong_member_is_named(client: FlaskClient, members: dict[str, bytes], pointer: str) -> None:
    assert faults(post(client, create(client, "F = a + b"), archive(members))) == [pointer]


@pytest.mark.parametrize(
    "array",
    [
        np.array([Bomb()], dtype=object),
        np.array([1j]),
        np.array(["1"]),
        np.array([True]),
        np.array([1], dtype=np.longdouble),
    ],
    ids=lambda array: str(array.dtype),
)
def test_only_real_numbers_are_read_and_nothing_is_unpickled(client: FlaskClient, array: Any) -> None:
    response = post(client, create(client, "F = a + b"), {"inputs/a": array})
    assert faults(response) == ["/inputs/a"]
    assert "real numbers" in response.text


def test_a_request_and_an_array_at_one_place(client: FlaskClient) -> None:
    graph = create(client, "F = a + b")
    assert faults(post(client, graph, {"request": '{"inputs": {"a": 1}}', "inputs/a": 1})) == ["/inputs/a"]
    assert faults(post(client, graph, {"request": '{"inputs": 5}', "inputs/a": 1})) == ["/inputs/a"]
    assert faults(post(client, graph, {"request": "[1]", "inputs/a": 1})) == [""]
    assert faults(post(client, graph, {"request": '{"keep": 1}', "inputs/a": 1})) == ["/keep"]
    assert faults(post(client, graph, {"inputs/a": 1, "inputs/c": 1})) == ["/inputs", "/inputs/c"]
    bad: Any = post(client, graph, {"request": '{"keep": NaN}', "inputs/a": 1}).json
    assert (bad["status"], bad["type"]) == (400, "urn:gradbook:problem:malformed-json")


def test_what_is_no_archive(client: FlaskClient) -> None:
    graph = create(client, "F = a + b")
    good = save(**{"inputs/a": np.ones(3)})
    with pytest.warns(UserWarning, match="Duplicate"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as written:
            for _ in range(2):
                written.writestr("inputs/a.npy", b"")
        twice = buffer.getvalue()
    for body in (b"PK", b"{}", good[30:], twice):
        problem: Any = post(client, graph, body).json
        assert (problem["status"], problem["type"]) == (400, "urn:gradbook:problem:malformed-npz")
    assert faults(post(client, graph, good[:-30])) == [""]
    spoiled = bytearray(save(**{"inputs/a": np.ones(3)}))
    spoiled[spoiled.index(b"\xf0\x3f")] ^= 1  # the checksum tells
    assert faults(post(client, graph, bytes(spoiled))) == ["/inputs/a"]
    assert client.post("/v1/graphs", data=good, content_type=MEDIA_TYPE).status_code == 415
    assert client.post(f"/v1/graphs/{graph}/runs", data=good, content_type="application/zip").status_code == 415


def test_sizes_are_held_to_the_limits_before_anything_is_allocated(make_app: MakeApp) -> None:
    client = make_app(tensor_elements=1000, run_elements=1500, body_bytes=4000).test_client()
    graph = create(client, "F = a + b")
    huge = member(FLOATS % "(1000000000000,)")
    long = member("{'descr': '<U100000000', 'fortran_order': False, 'shape': ()}")
    for members, limit in (
        ({"inputs/a.npy": huge}, "tensor_elements"),
        ({name: member(FLOATS % "(800,)", b"\0" * 6400) for name in ("inputs/a.npy", "inputs/b.npy")}, "run_elements"),
        ({"request.npy": long}, "body_bytes"),
    ):
        problem: Any = post(client, graph, archive(members)).json
        assert (problem["status"], problem["limit"]) == (422, limit)
    bomb = archive({"inputs/a.npy": member(FLOATS % "(2,)", b"\0" * 2_000_000)})  # 2 kB of zip
    assert faults(post(client, graph, bomb)) == ["/inputs/a"]


GOOD = save(request='{"inputs": {"b": 2}}', **{"inputs/a": np.arange(3.0), "seed": np.float32(2)})


@given(
    spoils=st.lists(
        st.tuples(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4
    ),
    cut=st.none() | st.integers(0, len(GOOD)),
)
@example(spoils=[], cut=None)
def test_any_spoiled_archive_is_read_or_refused(spoils: list[tuple[int, bytes]], cut: int | None) -> None:
    body = bytearray(GOOD[:cut])
    for place, data in spoils:
        body[place : place + len(data)] = data
    try:
        document = read_npz(bytes(body), Limits())
    except GradbookError:
        return
    assert isinstance(document, dict)


def packed(packing: int, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as written:
        written.writestr("inputs/a.npy", data)
    return buffer.getvalue()


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_are_stored_or_deflated(packing: int) -> None:
    """A block of the other forms unpacks at once: 1.3 kB to gigabytes."""
    with pytest.raises(InvalidRequest) as refused:
        read_npz(packed(packing, member(FLOATS % "()", b"\0" * 8)), Limits())
    (fault,) = refused.value.faults
    assert fault.location == ("inputs", "a") and "stored as it is or deflated" in fault.detail


@pytest.mark.parametrize(
    ("descr", "count", "there"), [("<f8", 10**6, 10**6), ("|i1", 10**6, 10**6), ("<f8", 100, 10**7), ("<f8", 10**7, 1)]
)
def test_no_more_memory_is_taken_than_twice_the_arrays(descr: str, count: int, there: int) -> None:
    """Of what is there and of what is promised the lesser counts."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({count},)}}"
    body = packed(zipfile.ZIP_DEFLATED, member(header, b"\0" * (int(descr[2:]) * there)))
    tracemalloc.start()
    try:
        with suppress(GradbookError):
            read_npz(body, Limits())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 2 * 8 * count + 16 * 2**20


def test_no_byte_of_an_archive_sets_off_anything_else_than_a_refusal() -> None:
    """Each byte of the headers, in the archive and before the array, put to other values."""
    array = np.arange(3.0).tobytes()
    for packing in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        good = packed(packing, member(FLOATS % "(3,)", array))
        assert read_npz(good, Limits())["inputs"]["a"].tolist() == [0.0, 1.0, 2.0]
        changed = [(place, byte) for place in range(len(good)) for byte in (0, 1, 9, 14, 0x7F, 0x80, 0xFF)]
        for place, byte in spread(changed):
            spoiled = bytearray(good)
            spoiled[place] = byte
            with suppress(MalformedArchive, InvalidRequest, LimitExceeded):
                read_npz(bytes(spoiled), Limits())


def test_more_members_than_are_read_are_refused_unread() -> None:
    body = archive({f"inputs/{number}.npy": b"" for number in range(6)})
    with pytest.raises(LimitExceeded) as refused:
        read_npz(body, Limits(archive_members=5))
    assert (refused.value.limit, refused.value.actual) == ("archive_members", 6)
