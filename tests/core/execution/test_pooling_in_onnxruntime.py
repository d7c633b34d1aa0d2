"""Average pools against ONNX Runtime's, windows over padding alone among them."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest

from tests.tensors import evaluate

onnxruntime = pytest.importorskip("onnxruntime", reason="left to `make test-peers`")

pytestmark = pytest.mark.peers

FLOAT, INT, INTS = 1, 2, 7  # TensorProto.FLOAT, AttributeProto.INT and INTS


def field(number: int, content: int | str | bytes) -> bytes:
    """A field of a Protocol Buffers message: a whole number, or bytes with their length before them."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    encoded = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(encoded)) + encoded


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first, the eighth bit set in all but the last."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def described(name: str, rank: int) -> bytes:
    """The ValueInfoProto of a tensor of float32 with lengths unknown."""
    dimensions = b"".join(field(1, field(2, f"{name}{axis}")) for axis in range(rank))
    return field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, dimensions)))


def attribute(name: str, value: int | Sequence[int]) -> bytes:
    """An AttributeProto."""
    if isinstance(value, int):
        return field(1, name) + field(3, value) + field(20, INT)
    return field(1, name) + b"".join(field(8, number) for number in value) + field(20, INTS)


def model(operation: str, rank: int, **attributes: int | Sequence[int]) -> bytes:
    """The ModelProto of y = operation(x), opset 19."""
    given = b"".join(field(5, attribute(*each)) for each in attributes.items())
    node = field(1, "x") + field(2, "y") + field(4, operation) + given
    graph = field(1, node) + field(2, "pool") + field(11, described("x", rank)) + field(12, described("y", rank))
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 19))


@pytest.mark.parametrize("count_include_pad", [0, 1])
def test_average_pools_are_those_of_onnx_runtime(count_include_pad: int) -> None:
    """Over one axis, at every small length, kernel, dilation, stride and pads; in float32, which is all it has."""
    random = np.random.default_rng(0)
    padding_alone = 0
    for length, kernel, dilation, stride in product(range(1, 5), range(1, 4), range(1, 4), (1, 2)):
        for pads in product(range(kernel), repeat=2):
            if dilation * (kernel - 1) + 1 > length + sum(pads):
                continue
            x = random.normal(size=(1, 2, length)).astype(np.float32)
            given = {"kernel_shape": [kernel], "dilations": [dilation], "strides": [stride], "pads": [*pads]}
            written = model("AveragePool", 3, **given, count_include_pad=count_include_pad)
            session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
            (expected,) = session.run(None, {"x": x})
            found = evaluate("AveragePool", x, **given, count_include_pad=count_include_pad)
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7, err_msg=f"{given} of {length}")
            padding_alone += int(np.any(expected == 0.0))
    assert padding_alone > 0
