"""Activation functions, the remainder and the gamma functions against PyTorch, where it is installed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from service.core.graph.documents import read_attributes
from tests.tensors import operation_of

torch = pytest.importorskip("torch", reason="left to `make test-peers`")

pytestmark = pytest.mark.peers
F = torch.nn.functional

RANDOM = np.random.default_rng(0)
X = np.concatenate([RANDOM.normal(0.0, 3.0, 2000), [-3.0, -0.5, 0.5, 3.0, 30.0, -30.0, 300.0, -300.0]])
Y = RANDOM.normal(0.0, 2.0, X.shape)
POSITIVE = np.abs(X) + 1e-3

# Where PyTorch has fewer digits in float64: a sixth in float32, and a trigamma right to 1e-9.
COARSE = {"HardSigmoid": 1e-7, "Digamma": 1e-9, "Polygamma": 1e-9}

CASES: list[tuple[str, dict[str, Any], tuple[Any, ...], Callable[..., Any]]] = [
    ("HardSigmoid", {"alpha": 1 / 6}, (X,), F.hardsigmoid),
    ("HardSwish", {}, (X,), F.hardswish),
    ("Swish", {}, (X,), F.silu),
    ("Swish", {"alpha": 1.7}, (X,), lambda x: x * torch.sigmoid(1.7 * x)),
    ("Mish", {}, (X,), F.mish),
    ("Celu", {"alpha": 0.5}, (X,), lambda x: F.celu(x, 0.5)),
    ("PRelu", {}, (X, Y), lambda x, slope: torch.where(x > 0, x, slope * x)),
    ("ThresholdedRelu", {"alpha": 0.7}, (X,), lambda x: F.threshold(x, 0.7, 0.0)),
    ("Shrink", {"lambd": 0.7}, (X,), lambda x: F.hardshrink(x, 0.7)),
    ("Shrink", {"lambd": 0.7, "bias": 0.7}, (X,), lambda x: F.softshrink(x, 0.7)),
    ("Mod", {}, (X, Y), torch.remainder),
    ("Mod", {"fmod": 1}, (X, Y), torch.fmod),
    ("Lgamma", {}, (X,), torch.lgamma),
    ("Digamma", {}, (POSITIVE,), torch.digamma),
    ("Polygamma", {"n": 1}, (POSITIVE,), lambda x: torch.polygamma(1, x)),
    ("Polygamma", {"n": 3}, (POSITIVE,), lambda x: torch.polygamma(3, x)),
]


@pytest.mark.parametrize(("name", "attributes", "operands", "theirs"), CASES)
def test_values_and_slopes_are_pytorchs(
    name: str, attributes: dict[str, Any], operands: tuple[Any, ...], theirs: Callable[..., Any]
) -> None:
    operation = operation_of(name)
    known, faults = read_attributes(operation, attributes)
    assert not faults
    with np.errstate(all="ignore"):
        value = operation.evaluate(operands, known)
        slopes = operation.differentiate(operands, value, known)
    leaves = [torch.tensor(operand, requires_grad=True) for operand in operands]
    expected = theirs(*leaves)
    rtol = COARSE.get(name, 1e-12)
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=rtol, atol=1e-14)
    expected.sum().backward()
    for slope, leaf in zip(slopes, leaves, strict=True):
        np.testing.assert_allclose(np.broadcast_to(slope, X.shape), leaf.grad.numpy(), rtol=rtol, atol=1e-13)
