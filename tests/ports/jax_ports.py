"""Ports of those networks to JAX, as their authors might write them: other names, weights lie as JAX's libraries lay
them, other operations, images with their channels last; and with `slip` one mistake.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Parameters = Mapping[str, Any]


def cross_entropy(logits: Any, targets: Any, *, is_sum: bool = False) -> Any:
    with jax.named_scope("loss"):
        each = (jax.nn.one_hot(targets, logits.shape[-1]) * jax.nn.log_softmax(logits)).sum(-1)
        return -(each.sum() if is_sum else each.mean())


def classify(p: Parameters, features: Any, targets: Any, slip: str) -> Any:
    with jax.named_scope("dense"):
        h = features @ p["stem.weight"] + p["stem.bias"]
    with jax.named_scope("layer_norm"):
        mean = h.mean(-1, keepdims=True)
        variance = (h**2).mean(-1, keepdims=True) - mean**2
        h = (h - mean) * lax.rsqrt(variance + (1e-2 if slip == "epsilon" else 1e-5))
        h = h * (p["norm.bias"] if slip == "scale" else p["norm.weight"]) + p["norm.bias"]
    h = jax.nn.gelu(h, approximate=slip == "approximate")
    return cross_entropy(h @ p["head.weight"] + p["head.bias"], targets, is_sum=slip == "sum")


def convolve(image: Any, kernel: Any, bias: Any) -> Any:
    return lax.conv_general_dilated(image, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + bias


def max_pool(image: Any) -> Any:
    return lax.reduce_window(image, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def average_pool(image: Any) -> Any:
    return lax.reduce_window(image, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4


def conv_net(p: Parameters, pixels: Any, targets: Any, slip: str) -> Any:
    h = convolve(pixels, p["first.weight"], p["first.bias"])
    with jax.named_scope("batch_norm"):
        variance = h.var((0, 1, 2), ddof=int(slip == "variance"))
        h = (h - h.mean((0, 1, 2))) / jnp.sqrt(variance + 1e-5) * p["norm.weight"] + p["norm.bias"]
    h = jax.nn.relu(h)
    h = convolve(average_pool(h) if slip == "pool" else max_pool(h), p["second.weight"], p["second.bias"])
    h = max_pool(h * jax.nn.sigmoid(h))
    h = h.reshape(len(h), -1) if slip == "flatten" else h.transpose(0, 3, 1, 2).reshape(len(h), -1)
    return cross_entropy(h @ p["head.weight"] + p["head.bias"], targets)


def rotate(x: Any, slip: str) -> Any:
    """The rotary embedding of (batch, length, heads, width), by halves."""
    with jax.named_scope("rope"):
        half = x.shape[-1] // 2
        frequencies = 1 / (500.0 if slip == "base" else 10000.0) ** (jnp.arange(half) / half)
        angle = (jnp.arange(x.shape[1])[:, None] * frequencies)[:, None, :]
        sine, cosine = jnp.sin(angle), jnp.cos(angle)
        a, b = x[..., :half], x[..., half:]
        turned = b * cosine - a * sine if slip == "rotation" else b * cosine + a * sine
        return jnp.concatenate([a * cosine - b * sine, turned], -1)


def rotary_attention(p: Parameters, sequence: Any, slip: str) -> Any:
    batch, length, width = sequence.shape
    with jax.named_scope("rms_norm"):
        h = sequence / jnp.sqrt(jnp.mean(sequence**2, -1, keepdims=True) + 1e-5) * p["norm.weight"]
    query, key, value = ((h @ p[f"{name}.weight"]).reshape(batch, length, 2, width // 2) for name in "qkv")
    query, key = rotate(query, slip), rotate(key, slip)
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key)
    scores = scores / (width if slip == "scale" else width // 2) ** 0.5
    if slip != "mask":
        scores = jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -jnp.inf)
    mixed = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), value).reshape(batch, length, width)
    x = sequence + mixed @ p["o.weight"]
    with jax.named_scope("mlp"):
        gate = x @ p["gate.weight"] + p["gate.bias"]
        gate = jax.nn.gelu(gate) if slip == "activation" else jax.nn.silu(gate)
        y = (gate * (x @ p["up.weight"] + p["up.bias"])) @ p["down.weight"] + p["down.bias"]
    return ((y if slip == "residual" else x + y) ** 2).mean()


def actor_critic(p: Parameters, observation: Any, chosen: Any, returns: Any, slip: str) -> Any:
    """The value is computed before the policy, so that functions are counted otherwise."""

    def dense(x: Any, name: str) -> Any:
        return x @ p[f"{name}.weight"] + p[f"{name}.bias"]

    h = jax.nn.relu(dense(jax.nn.relu(dense(observation, "trunk")), "inner"))
    values = dense(jax.nn.relu(dense(h, "critic")), "value")[:, 0]
    logits = dense(jax.nn.relu(dense(h, "actor")), "policy")
    log_probabilities = jax.nn.log_softmax(logits)
    entropy = -(jnp.exp(log_probabilities) * log_probabilities).sum(-1).mean()
    error = returns - values
    advantages = error if slip == "detached" else lax.stop_gradient(error)
    taken = jnp.take_along_axis(log_probabilities, chosen[:, None], 1)[:, 0]
    value_loss = (1.0 if slip == "half" else 0.5) * (error**2).mean()
    bonus = 0.01 * entropy
    loss = value_loss - (taken * advantages).mean()
    return loss + bonus if slip == "entropy" else loss - bonus


@dataclass(frozen=True)
class Port:
    """A port, and of each of its slips the figures that are named, by phase and node."""

    program: Callable[..., Any]
    slips: Mapping[str, str] = field(default_factory=dict)


PORTS = {
    "classifier": Port(
        classify,
        {
            "epsilon": "forward layer_norm/add:2",
            "scale": "forward layer_norm/add:2",
            "approximate": "forward mul:4",
            "sum": "forward loss/neg",
        },
    ),
    "conv net": Port(
        # Of the pool in parts, NHWC, what is cut was not recorded: `add:2` is the next figure that was.
        conv_net,
        {"variance": "forward batch_norm/add:2", "pool": "forward add:2", "flatten": "forward reshape"},
    ),
    "rotary attention": Port(
        rotary_attention,
        {
            "base": "forward bqhd,bkhd->bhqk/dot_general",
            "rotation": "forward bqhd,bkhd->bhqk/dot_general",
            "scale": "forward div",
            "mask": "forward sub",
            "activation": "forward mlp/mul:4",
            "residual": "forward integer_pow",
        },
    ),
    "actor-critic": Port(
        actor_critic, {"detached": "backward squeeze", "half": "forward mul:2", "entropy": "forward add:7"}
    ),
}


def carried_over(name: str, figure: Any) -> Any:
    """A parameter as JAX's libraries lay it: (in, out), and kernels (height, width, in, out)."""
    array = jnp.asarray(figure)
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T if name.endswith("weight") else array


def arguments_of(module: Any, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
    """The arguments of the port of a module: its parameters, and its own arguments with the channels last."""
    parameters = {name: carried_over(name, each.detach().numpy()) for name, each in module.named_parameters()}
    figures = [jnp.asarray(each.numpy()) for each in arguments.values()]
    return parameters, *(each.transpose(0, 2, 3, 1) if each.ndim == 4 else each for each in figures)
