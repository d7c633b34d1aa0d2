"""Each primitive's node against the primitive: the figures of our run are JAX's."""

from collections.abc import Callable
from typing import Any

import pytest

from service.client import Client

jax = pytest.importorskip("jax", reason="left to `make test-peers`")

from service.recorders.jax import record  # noqa: E402  # it needs JAX

pytestmark = pytest.mark.peers
jnp, lax = jax.numpy, jax.lax

X = jnp.array([0.31, -0.72, 0.55, 1.24])
TABLE = jnp.arange(12.0).reshape(3, 4) / 7
IMAGE = jnp.sin(jnp.arange(32.0)).reshape(1, 4, 4, 2)
WHERE = jnp.array([2, 0, 2])


def elementwise(x: Any) -> Any:
    smooth = lax.cbrt(x) + jnp.exp2(x) + lax.rsqrt(x * x) + x**3 + lax.logistic(x) + jnp.logaddexp(x, 1)
    stepped = lax.round(x * 2) + lax.round(x * 2, lax.RoundingMethod.TO_NEAREST_EVEN) + lax.rem(x, 0.4) + jnp.sign(x)
    whole = (x * 3).astype(int) / 2 + (x * 3).astype(int) // 2 + (x > 0).astype(int) + lax.reduce_precision(x, 8, 7)
    logic = jnp.isfinite(x) & ~(x > 1) | (x < 0) ^ (x > 0.4)
    chosen = lax.select_n((x > 0).astype(jnp.int32) + (x > 1), x, 2 * x, x * x)
    bounded = lax.clamp(-0.5, x, 0.5) + lax.clamp(x - 0.1, x * 2, x + 0.2) + lax.optimization_barrier(x)
    return jnp.where(logic & x.astype(bool), smooth, stepped) + whole + chosen + bounded


def shapes(x: Any) -> Any:
    y = TABLE * x
    parts = jnp.split(y, [1, 3], axis=1)
    sizes = (jnp.flip(y), jnp.tile(y, (2, 1)), jnp.stack([x, 2 * x], 1), jnp.pad(y, ((1, 0), (0, 2))))
    spread = lax.pad(y, 0.5, ((1, 0, 2), (-1, 0, 0)))
    return sum(jnp.tanh(each).sum() for each in (*parts, *sizes, spread, lax.pad(y, 0.0, ((-1, 0, 0), (0, -1, 0)))))


def reductions(x: Any) -> Any:
    y = jnp.cos(TABLE * 3) * x
    order = jnp.argsort(y, 1)
    picked = jnp.take_along_axis(y, order[:, 1:2], 1).sum() + jnp.argmax(y) + jnp.argmin(y, 0).sum()
    scans = lax.cumsum(y, 0, reverse=True) * lax.cumprod(y, 1)
    told = jnp.where(jnp.all(y > -9, 1) | jnp.any(y > 9, 1), y.max(1), y.min(1))
    largest, middle = lax.top_k(y, 2)[0].prod(), jnp.sort(y, 0)[1].sum()
    return picked + scans.sum() + told.sum() + jnp.prod(y, 1).sum() + largest + middle


def indexing(x: Any, at: Any) -> Any:
    y = TABLE * x
    taken = y[at] + y[at, 1:2] + jnp.take(y, at, axis=1)[:, :1] + y[at, at][:, None]
    clipped = jnp.take(y, at + 1, axis=0, mode="clip") + jnp.take(y, at + 1, axis=0, mode="fill", fill_value=1.5)
    moved = lax.dynamic_slice(y, (at[0], 0), (2, 4)).sum() + lax.dynamic_update_slice(y, 2 * y[:1], (at[1], 1)).std()
    put = y.at[at].add(y * y) * y.at[:, at].mul(3.0)[:, :4] * y.at[1].max(0.3) - y.at[0, at].subtract(x[0], mode="drop")
    dropped = y.at[at + 1].add(1.0 * y)
    return jnp.tanh(taken).sum() + clipped.sum() + moved + put.sum() + (dropped * y).sum()


def products(x: Any) -> Any:
    y, matrix = TABLE * x, jnp.outer(x, x) + jnp.eye(4)
    batched = jnp.einsum("abc,adc->abd", IMAGE[0], IMAGE[0] * x[:, None, None])
    solved = jnp.linalg.solve(matrix, x).sum() + jnp.linalg.solve(matrix, matrix * x).sum()
    triangle = lax.linalg.triangular_solve(matrix, y, left_side=False, lower=True).sum()
    return (y @ x).sum() + batched.sum() + solved + triangle + jnp.linalg.det(matrix) + jnp.linalg.slogdet(matrix)[1]


def windows(x: Any) -> Any:
    image = IMAGE * x[:2]
    layout = ("NHWC", "HWIO", "NHWC")
    kernel = IMAGE[:, :2, :2].reshape(2, 2, 1, 2)
    strided = lax.conv_general_dilated(image, kernel, (2, 1), ((1, 0), (0, -1)), (2, 1), (1, 2), layout, 2)
    pooled = [
        lax.reduce_window(image, start, kind, (1, 2, 3, 1), (1, 2, 1, 1), "SAME")
        for start, kind in ((-jnp.inf, lax.max), (jnp.inf, lax.min), (0.0, lax.add))
    ]
    return jnp.tanh(strided).sum() + sum((each * each).sum() for each in pooled)


def control(x: Any) -> Any:
    y = lax.cond(x[0] > 0, jnp.tanh, jnp.exp, x)
    y = lax.while_loop(lambda state: state[0] < 3, lambda state: (state[0] + 1, lax.sin(state[1])), (0, y))[1]
    y, turns = lax.scan(lambda y, each: (y * each, y), y, jnp.arange(1.0, 3), reverse=True)
    return jax.checkpoint(jax.nn.relu6)(y) + turns[0]


CASES = [
    (elementwise, ()),
    (shapes, ()),
    (reductions, ()),
    (indexing, (WHERE,)),
    (products, ()),
    (windows, ()),
    (control, ()),
]


@pytest.mark.parametrize(("function", "others"), CASES, ids=[function.__name__ for function, _ in CASES])
def test_a_node_computes_what_the_primitive_does(
    function: Callable[..., Any], others: tuple[Any, ...], service_url: str
) -> None:
    recording = record(lambda x, *given: function(x, *given).sum(), X, *others)
    assert not recording.unmapped
    with Client(service_url) as client:
        theirs = recording.upload(client, name=function.__name__)
        ours = client.create_run(theirs.graph_id, recording.inputs, conventions="jax")
        comparison = client.create_comparison(ours, theirs)
    assert [(origin.phase, origin.node) for origin in comparison.origins] == []
    assert comparison.verdict == "same"
