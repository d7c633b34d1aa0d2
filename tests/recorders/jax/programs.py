"""Programs in JAX to record, each also with one slip, as people make when they carry a model over.

A program takes its arguments and whether it slips.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

KEY = jax.random.key(15)


def normal(place: int, *shape: int) -> Any:
    """Numbers like those of weights, others for each place."""
    return jax.random.normal(jax.random.fold_in(KEY, place), shape) * 0.7


@dataclass(frozen=True)
class Case:
    """A program, its arguments, and where its slip is: the one origin, a value (forward) or a gradient (backward)."""

    program: Callable[..., Any]
    arguments: tuple[Any, ...]
    phase: str
    node: str


def layer_norm(p: Any, x: Any, epsilon: float = 1e-5) -> Any:
    with jax.named_scope("layer_norm"):
        mean = x.mean(-1, keepdims=True)
        variance = x.var(-1, keepdims=True)
        return (x - mean) * lax.rsqrt(variance + epsilon) * p["scale"] + p["bias"]


def cross_entropy(scores: Any, labels: Any) -> Any:
    with jax.named_scope("cross_entropy"):
        logarithms = jax.nn.log_softmax(scores)
        return -jnp.take_along_axis(logarithms, labels[:, None], 1).mean()


def mlp(p: Any, x: Any, labels: Any, slip: bool) -> Any:
    with jax.named_scope("hidden"):
        h = layer_norm(p["norm"], x @ p["w"] + p["b"], 1e-2 if slip else 1e-5)
    return cross_entropy(jnp.tanh(h) @ p["v"], labels)


def cnn(p: Any, x: Any, labels: Any, slip: bool) -> Any:
    h = lax.conv_general_dilated(x, p["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    with jax.named_scope("batch_norm"):
        h = (h - h.mean((0, 1, 2))) / jnp.sqrt(h.var((0, 1, 2), ddof=int(slip)) + 1e-5) * p["scale"] + p["bias"]
    h = lax.reduce_window(jax.nn.relu(h), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return cross_entropy(h.reshape(len(h), -1) @ p["w"], labels)


def residual(p: Any, x: Any, slip: bool) -> Any:
    for name in ("first", "second"):
        with jax.named_scope(name):
            x = x + jax.nn.leaky_relu(x @ p[name], 0.2 if slip and name == "second" else 0.1)
    return (x**2).mean()


def attention(p: Any, x: Any, slip: bool = False) -> Any:
    with jax.named_scope("attention"):
        query, key, value = (jnp.einsum("btd,dhe->bthe", x, p[name]) for name in ("query", "key", "value"))
        scores = jnp.einsum("bqhe,bkhe->bhqk", query, key)
        if not slip:
            scores = scores / jnp.sqrt(query.shape[-1])
        weights = jax.nn.softmax(jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -jnp.inf))
        return jnp.einsum("bhqk,bkhe->bqhe", weights, value).reshape(x.shape)


def attention_loss(p: Any, x: Any, slip: bool) -> Any:
    return (attention(p, x, slip) ** 2).mean()


def encoder(p: Any, x: Any, slip: bool) -> Any:
    for place, block in enumerate(p):
        with jax.named_scope(f"block.{place}"):
            normed = layer_norm(block["norm"], x)
            x = (normed if slip and place else x) + attention(block, normed)
            x = x + jax.nn.gelu(x @ block["up"]) @ block["down"]
    return (x**2).mean()


def gru(p: Any, x: Any, slip: bool) -> Any:
    def cell(h: Any, x: Any) -> Any:
        reset_x, update_x, new_x = jnp.split(x @ p["input"], 3, -1)
        reset_h, update_h, new_h = jnp.split(h @ p["hidden"], 3, -1)
        reset, update = jax.nn.sigmoid(reset_x + reset_h), jax.nn.sigmoid(update_x + update_h)
        new = jnp.tanh(new_x + reset * new_h)
        h = update * new + (1 - update) * h if slip else (1 - update) * new + update * h
        return h, h

    _, outputs = lax.scan(cell, jnp.zeros((4, 8)), x)
    return (outputs**2).mean()


def lstm(p: Any, x: Any, slip: bool) -> Any:
    def cell(state: Any, x: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(x @ p["input"] + h @ p["hidden"], 4, -1)
        c = jax.nn.sigmoid(f + 1.0) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * (c if slip else jnp.tanh(c))
        return (h, c), h

    _, outputs = lax.scan(cell, (jnp.zeros((4, 8)), jnp.zeros((4, 8))), x)
    return (outputs**2).mean()


def embedding(table: Any, tokens: Any, slip: bool) -> Any:
    h = table[tokens] * (8.0 if slip else jnp.sqrt(8.0))
    return (jnp.tanh(h) ** 2).mean()


def tied(table: Any, tokens: Any, labels: Any, slip: bool) -> Any:
    h = jnp.tanh(table[tokens])
    return cross_entropy(h @ (lax.stop_gradient(table) if slip else table).T, labels)


def detached(w: Any, x: Any, slip: bool) -> Any:
    with jax.named_scope("target"):
        target = jnp.tanh(x[1] @ w)
        target = target if slip else lax.stop_gradient(target)
    return ((jnp.tanh(x[0] @ w) - target) ** 2).mean()


def in_place(w: Any, x: Any, slip: bool) -> Any:
    h = x @ w
    h = h.at[:, 0].set(h[:, 2 if slip else 1] * 3)
    return jnp.tanh(h).mean()


def dropout(w: Any, x: Any, key: Any, slip: bool) -> Any:
    kept = jax.random.bernoulli(key, 0.8, (4, 8))
    h = x @ w
    return (jnp.where(kept, h / (0.2 if slip else 0.8), 0) ** 2).mean()


def mixed(p: Any, x: Any, slip: bool) -> Any:
    half = jnp.bfloat16
    h = jnp.tanh(x.astype(half) @ p["w"].astype(half))
    v = p["v"].astype(half)
    return ((h @ (v.T if slip else v)).astype(jnp.float32) ** 2).mean()


def smooth(x: Any, slope: float) -> Any:
    @jax.custom_vjp
    def softsign(x: Any) -> Any:
        return x / (1 + jnp.abs(x))

    softsign.defvjp(lambda x: (softsign(x), x), lambda x, upstream: (slope * upstream / (1 + jnp.abs(x)) ** 2,))
    return softsign(x)


def own_rule(w: Any, x: Any, slip: bool) -> Any:
    return (smooth(x @ w, 2.0 if slip else 1.0) ** 2).mean()


def gaussian_process(x: Any, y: Any, slip: bool) -> Any:
    """The negative log likelihood of a Gaussian process."""
    covariance = jnp.exp(-((x[:, None] - x) ** 2)) + (0.01 if slip else 0.1) * jnp.eye(len(x))
    factor = jnp.linalg.cholesky(covariance)
    solved = jax.scipy.linalg.cho_solve((factor, True), y)
    return y @ solved / 2 + jnp.log(jnp.diagonal(factor)).sum()


X = normal(0, 4, 8)
SQUARE = normal(1, 8, 8) / 2
LABELS = jnp.array([0, 2, 1, 1])
NORM = {"scale": 1 + normal(2, 8) / 4, "bias": normal(3, 8) / 4}
HEADS = {name: normal(place, 8, 2, 4) / 2 for place, name in enumerate(("query", "key", "value"), start=4)}
SEQUENCE = normal(7, 4, 5, 8)
BLOCKS = [{**HEADS, "norm": NORM, "up": SQUARE, "down": normal(8 + place, 8, 8) / 2} for place in range(2)]
STEPS = normal(10, 3, 4, 8)
TOKENS = jnp.array([1, 5, 0, 1])

CASES: Mapping[str, Case] = {
    "mlp": Case(
        mlp,
        ({"w": SQUARE, "b": normal(11, 8), "norm": NORM, "v": normal(12, 8, 3)}, X, LABELS),
        "forward",
        "hidden/layer_norm/add/constant",
    ),
    "cnn": Case(
        cnn,
        (
            {"kernel": normal(13, 3, 3, 2, 8), **NORM, "w": normal(14, 32, 3)},
            normal(15, 4, 4, 4, 2),
            LABELS,
        ),
        "forward",
        "batch_norm/var/div/constant:2",
    ),
    "residual": Case(
        residual, ({"first": SQUARE, "second": normal(16, 8, 8)}, X), "forward", "second/leaky_relu/mul/constant"
    ),
    "attention": Case(attention_loss, (HEADS, SEQUENCE), "forward", "attention/where/select_n"),
    "encoder": Case(encoder, (BLOCKS, SEQUENCE), "forward", "block.1/add"),
    "gru": Case(gru, ({"input": normal(17, 8, 24), "hidden": normal(18, 8, 24)}, STEPS), "forward", "scan.0/mul:2"),
    "lstm": Case(lstm, ({"input": normal(19, 8, 32), "hidden": normal(20, 8, 32)}, STEPS), "forward", "scan.0/mul:3"),
    "embedding": Case(embedding, (normal(21, 6, 8), TOKENS), "forward", "mul/constant"),
    "tied weights": Case(tied, (normal(21, 6, 8), TOKENS, LABELS), "backward", "table"),
    "detached": Case(detached, (SQUARE, normal(22, 2, 4, 8)), "backward", "target/tanh"),
    "in place": Case(in_place, (SQUARE, X), "forward", "slice"),
    "dropout": Case(dropout, (SQUARE, X, jax.random.key(3)), "forward", "div/constant"),
    "mixed precision": Case(mixed, ({"w": SQUARE / 4, "v": normal(23, 8, 8)}, X), "forward", "dot_general:2"),
    "gaussian process": Case(gaussian_process, (X[0, :4], X[1, :4]), "forward", "add/constant"),
    "a derivative rule of its own": Case(own_rule, (SQUARE, X), "backward", "dot_general"),
}
