"""The gradient of Pad: what stands in the padding is added to what it was copied from."""

from typing import Any, ClassVar

import numpy as np
import pytest

from service.core.graph.documents import read_attributes
from tests.tensors import evaluate, operation_of


class Watched(np.ndarray):
    """An array that notes how many of its elements are added one by one, by `np.add.at`."""

    one_by_one: ClassVar[list[int]] = []

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **given: Any) -> Any:
        if method == "at":
            Watched.one_by_one.append(np.size(inputs[2]))
        return getattr(ufunc, method)(*map(np.asarray, inputs), **given)


# Pads of an array of 30 by 40, and how many elements the padding has at most.
@pytest.mark.parametrize(
    ("mode", "pads", "copies"),
    [
        ("constant", [2, 3, 1, 4], 0),
        ("edge", [2, 3, 1, 4], 33 * 47 - 30 * 40),
        ("reflect", [2, 3, 1, 4], 33 * 47 - 30 * 40),
        ("wrap", [2, 3, -1, -4], 2 * 40 + 3 * 31),
        ("constant", [-2, 3, 1, -40], 0),
    ],
)
def test_only_the_copies_in_the_padding_are_added_one_by_one(mode: str, pads: list[int], copies: int) -> None:
    given, numbered = {"pads": pads, "mode": mode}, np.arange(1200.0).reshape(30, 40)
    sources = evaluate("Pad", numbered, **given, **{"constant_value": 1200.0} if mode == "constant" else {}).astype(int)
    upstream = np.random.default_rng(0).integers(-9, 10, sources.shape).astype(float)
    expected = np.bincount(sources.ravel(), upstream.ravel(), 1201)[:1200].reshape(30, 40)

    Watched.one_by_one.clear()
    adjoint = operation_of("PadAdjoint")
    found = adjoint.evaluate([upstream.view(Watched), numbered], read_attributes(adjoint, given)[0])
    np.testing.assert_array_equal(np.asarray(found), expected)
    assert sum(Watched.one_by_one) <= copies
