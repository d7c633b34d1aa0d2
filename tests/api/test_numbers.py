"""Figures go in and out without losing a bit."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from service.api.http.json_writing import write_json
from service.api.numbers import read_array, write_array
from service.core.errors import InvalidInputs

SPECIAL = [
    "0.0", "-0.0", "-0", "1", "1e308", "-1.7976931348623157e308", "5e-324", "-2.2250738585072014e-308",
    "0.1", "0.30000000000000004", "9007199254740993", '"NaN"', '"Infinity"', '"-Infinity"',
]  # fmt: skip


def bits(value: Any) -> bytes:
    """The eight bytes of a number as JSON has it; every NaN is one."""
    return struct.pack("<d", float(value))


@pytest.mark.parametrize("written", SPECIAL)
def test_a_number_goes_through_the_service_and_back_bit_by_bit(client: FlaskClient, written: str) -> None:
    graph: Any = client.post("/v1/graphs", json={"name": "same", "expression": "F(x) = Identity(x)"}).json
    body = f'{{"inputs":{{"x":{written}}},"seed":{written}}}'
    made: Any = client.post(f"/v1/graphs/{graph['id']}/runs", data=body, content_type="application/json").json
    read: Any = client.get(f"/v1/runs/{made['id']}").json
    node: Any = client.get(f"/v1/runs/{made['id']}/nodes/F").json
    expected = float(json.loads(written))
    expected = -0.0 if written == "-0" else expected
    for answer in (made, read):
        figures = [answer["inputs"]["x"], answer["outputs"]["F"], answer["gradients"]["x"], answer["seed"]]
        figures += [node["value"], node["gradient"]]
        assert {bits(figure) for figure in figures} == {bits(expected)}
        assert all(isinstance(figure, str) == written.startswith('"') for figure in figures)


@given(arrays(np.float64, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3), elements=st.floats(width=64)))
def test_arrays_are_written_and_read(array: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    text = b"".join(write_json(write_array(array)))
    read = read_array(json.loads(text, parse_constant=pytest.fail), ())
    empty_axes = array.shape[: array.shape.index(0) + 1] if 0 in array.shape else array.shape
    assert read.shape == empty_axes  # what follows an empty axis is not in the lists
    unsound = np.isnan(array)
    assert (np.isnan(read) == unsound).all() if read.shape == array.shape else not read.size
    assert read.tobytes() == array.tobytes() or unsound.any()


def test_numbers_are_the_shortest_that_round_trip(client: FlaskClient) -> None:
    graph: Any = client.post("/v1/graphs", json={"name": "short", "expression": "F = x + 0.2"}).json
    response = client.post(f"/v1/graphs/{graph['id']}/runs", json={"inputs": {"x": 0.1}})
    assert '"outputs":{"F":0.30000000000000004}' in response.text and '"inputs":{"x":0.1}' in response.text


@pytest.mark.parametrize(
    ("value", "position"),
    [
        ("1", ()),
        (None, ()),
        ([1, [2]], (1,)),
        ([[1], [2, 3]], (1,)),
        ([[1, 2], [3, "x"]], (1, 1)),
        ([[[1], [2]], [[3], 4]], (1, 1)),
        ([[], [1]], (1,)),
    ],
)
def test_what_is_no_array_is_pointed_at(value: Any, position: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInputs) as raised:
        read_array(value, ("inputs", "x"))
    assert [fault.location for fault in raised.value.faults] == [("inputs", "x", *position)]


def test_dimensions_end_somewhere() -> None:
    value: Any = 1
    for _ in range(32):
        value = [value]
    assert read_array(value, ()).ndim == 32
    with pytest.raises(InvalidInputs, match="32 dimensions"):
        read_array([value], ())
