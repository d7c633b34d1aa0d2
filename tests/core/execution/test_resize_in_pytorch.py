"""Resize and its gradient against PyTorch's interpolate."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.tensors import evaluate, propagate

torch = pytest.importorskip("torch", reason="left to `make test-peers`")

pytestmark = pytest.mark.peers

MODES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"mode": "nearest"}, {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
    ({"mode": "nearest-exact"}, {"nearest_mode": "round_prefer_ceil"}),
    ({"mode": "bilinear"}, {"mode": "linear"}),
    (
        {"mode": "bilinear", "align_corners": True},
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    ),
    ({"mode": "bilinear", "antialias": True}, {"mode": "linear", "antialias": 1, "exclude_outside": 1}),
    ({"mode": "bicubic"}, {"mode": "cubic"}),
    ({"mode": "bicubic", "align_corners": True}, {"mode": "cubic", "coordinate_transformation_mode": "align_corners"}),
    (
        {"mode": "bicubic", "antialias": True},
        {"mode": "cubic", "antialias": 1, "exclude_outside": 1, "cubic_coeff_a": -0.5},
    ),
]


@pytest.mark.parametrize(("theirs", "ours"), MODES, ids=lambda given: "-".join(map(str, given.values())))
def test_values_and_gradients_are_pytorchs(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    random, wrong = np.random.default_rng(2), []
    for lengths, sizes in product(((4, 5), (3, 1), (7, 6)), ((8, 10), (3, 2), (1, 5), (7, 6))):
        x = random.normal(size=(2, 2, *lengths))
        tensor = torch.tensor(x, requires_grad=True)
        expected = torch.nn.functional.interpolate(tensor, sizes, **theirs)
        upstream = random.normal(size=tuple(expected.shape))
        expected.backward(torch.tensor(upstream))
        given = {"sizes": list(sizes), "axes": [2, 3], **ours}
        found = evaluate("Resize", x, **given), propagate("Resize", upstream, x, **given)[0]
        for one, other in zip(found, (expected.detach().numpy(), tensor.grad.numpy()), strict=True):
            if not np.allclose(one, other, rtol=1e-10, atol=1e-12):
                wrong.append((lengths, sizes, np.abs(one - other).max()))
    assert not wrong
