"""JSON out: any document, arrays of any size, shape and layout, without losing a bit."""

import json
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from service.api.http.json_writing import write_json
from service.api.http.strict_json import WrittenFloat
from service.core.figures.figures import FloatArray

EXTREMES = [0.0, -0.0, 5e-324, -2.2250738585072014e-308, 1.7976931348623157e308, 1e-5, 1e16, 1e22, 2.0**53 + 2, 0.1]
SHAPES = [
    *[(), (1,), (1000,), (1001,), (10_000,), (10_001,), (45_000,)],
    *[(3, 7000), (7000, 3), (2, 10_001), (10_001, 1), (1, 10_001), (13, 5, 311), (2, 3, 5001), (2,) * 15],
    *[(0,), (0, 3), (3, 0), (0, 20_000), (2, 0, 20_000), (20_000, 0)],
]


def of_any_bits(shape: tuple[int, ...]) -> FloatArray:
    """Numbers of random bits, among them NaN, infinities, subnormals and extremes."""
    random = np.random.default_rng(7)
    array = random.integers(0, 2**64, size=shape, dtype=np.uint64).view(np.float64)
    flat = array.reshape(-1)
    for value in (*EXTREMES, np.nan, np.inf, -np.inf):
        flat[random.integers(0, max(flat.size, 1), size=flat.size // 900)] = value
    return array


def read(pieces: list[bytes]) -> Any:
    """What any reader of JSON makes of the pieces, which holds no bare NaN and no null for one."""
    return json.loads(b"".join(pieces), parse_constant=pytest.fail)


def numbers_in(document: Any) -> Iterator[float]:
    """The numbers of nested lists."""
    if isinstance(document, list):
        for item in document:
            yield from numbers_in(item)
    else:
        assert not isinstance(document, str) or document in ("NaN", "Infinity", "-Infinity")
        yield float(document)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_an_array_of_any_shape_keeps_every_bit(shape: tuple[int, ...]) -> None:
    array = of_any_bits(shape) if shape else np.array(0.1)
    pieces = write_json({"before": 1, "value": array, "after": None})
    document = read(pieces)
    assert list(document) == ["before", "value", "after"] and document["after"] is None
    shaped = np.array(document["value"], dtype=object)
    assert shaped.shape == (shape[: shape.index(0) + 1] if 0 in shape else shape)
    found = np.array(list(numbers_in(document["value"])))
    unsound = np.isnan(array.ravel())
    assert (np.isnan(found) == unsound).all()
    assert found[~unsound].tobytes() == array.ravel()[~unsound].tobytes()
    assert max(map(len, pieces)) <= 27 * 10_000, "a piece is a short hold of the interpreter's lock"


def test_an_array_is_written_as_lists_are_whatever_its_memory_is_like() -> None:
    array = np.arange(60_000.0).reshape(200, 300)
    array[3, 4] = np.nan
    views = [array.T, array[::2, ::-3], np.asfortranarray(array), array.astype(np.float32), array.astype(">f8")]
    for view in views:
        expected = [["NaN" if np.isnan(item) else item for item in row] for row in view.tolist()]
        assert read(write_json(view)) == expected


def test_all_that_is_special_is_spelled() -> None:
    array = np.tile([np.nan, np.inf, -np.inf, -0.0], 5000)
    assert read(write_json(array)) == ["NaN", "Infinity", "-Infinity", -0.0] * 5000
    assert b"".join(write_json({"a": array[:4]})) == b'{"a":["NaN","Infinity","-Infinity",-0.0]}'


def test_arrays_stand_where_they_stood() -> None:
    large, small = np.arange(20_000.0), np.arange(3.0)
    document = {"a": large, "text": "\0 is \u20ac", "b": [small, {"c": (large[:1001], small)}], "d": large[::-1]}
    assert read(write_json(document)) == {
        **{"a": large.tolist(), "text": "\0 is \u20ac"},
        **{"b": [small.tolist(), {"c": [large[:1001].tolist(), small.tolist()]}], "d": large[::-1].tolist()},
    }


def test_what_stands_in_a_document_besides() -> None:
    given = {
        "map": MappingProxyType({"x": (1, 2)}),
        "float": [WrittenFloat("0.10"), np.float64("nan"), np.float64(-0.0)],
    }
    assert b"".join(write_json(given)) == b'{"map":{"x":[1,2]},"float":[0.1,"NaN",-0.0]}'
    with pytest.raises(TypeError, match="set"):
        write_json({"a": {1, 2}})


def test_an_answer_in_pieces_has_a_length_an_etag_and_no_body_where_none_is_wanted(client: FlaskClient) -> None:
    graph: Any = client.post("/v1/graphs", json={"name": "large", "expression": "F(x) = sum(x * x)"}).json
    values = np.linspace(-1.0, 1.0, 1_200)
    made: Any = client.post(f"/v1/graphs/{graph['id']}/runs", json={"inputs": {"x": values.tolist()}}).json
    path = f"/v1/runs/{made['id']}/nodes/x"
    whole = client.get(path)
    assert whole.json is not None and whole.json["value"] == values.tolist()
    assert whole.content_length == len(whole.data) and whole.headers["ETag"].startswith('"')
    bare = client.head(path)
    assert (bare.content_length, bare.data, bare.headers["ETag"]) == (len(whole.data), b"", whole.headers["ETag"])
    unchanged = client.get(path, headers={"If-None-Match": whole.headers["ETag"]})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    other: Any = client.post(f"/v1/graphs/{graph['id']}/runs", json={"inputs": {"x": [*values[:-1].tolist(), 2]}}).json
    assert client.get(f"/v1/runs/{other['id']}/nodes/x").headers["ETag"] != whole.headers["ETag"]


def test_an_iterator_is_a_list_however_long() -> None:
    item = {"name": "x", "value": np.arange(2000.0)}
    for count in (0, 1, 500, 501, 1000, 1203):
        pieces = write_json({"nodes": ({**item, "name": k} if k % 400 == 0 else k for k in range(count)), "next": None})
        listed = [{"name": k, "value": item["value"].tolist()} if k % 400 == 0 else k for k in range(count)]
        assert read(pieces) == {"nodes": listed, "next": None}
    assert read(write_json([iter([[iter([1])]]), iter(())])) == [[[[1]]], []]
    assert max(map(len, write_json({"nodes": ("x" * 100 for _ in range(20_000))}))) < 60_000
