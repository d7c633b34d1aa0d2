"""The updates of optimisers, twenty steps each from the step before: with `peers` by torch.optim and optax."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from service.core.composition.building import compose_expression, compose_graph
from service.core.errors import InvalidGraph
from service.core.execution.passes import forward_pass

STEPS, RATE, DECAY = 20, 0.05, 0.02
START = np.random.default_rng(1).normal(size=(3, 2))
GRADIENTS = np.random.default_rng(2).normal(size=(STEPS, *START.shape)) * np.geomspace(1e-5, 1, STEPS)[:, None, None]
MOMENTS = "m_next = ema(m, g, beta=0.9); v_next = ema(v, g^2, beta=0.99); "
ADAM = "beta1=0.9, beta2=0.99"


def trained(update: str, gradient: str = "grad") -> Iterator[Any]:
    """W after each step of an update that sets W_next and, from a state x, x_next; states begin as 0."""
    graph, _ = compose_expression(f"g = {gradient}; {update}")
    state = {name: np.zeros(START.shape) for name in graph.inputs if f"{name}_next" in graph.position} | {"W": START}
    for step, grad in enumerate(GRADIENTS, 1):
        known = {"grad": grad, "t": step, "lr": RATE / step, **state}
        values = forward_pass(graph, {name: known[name] for name in graph.inputs})
        state = {name: values[graph.position[f"{name}_next"]] for name in state}
        yield state["W"]


def assert_same(ours: Iterator[Any], theirs: Iterator[Any]) -> None:
    for step, (one, other) in enumerate(zip(ours, theirs, strict=True), 1):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-14, err_msg=f"step {step}")


def adam_by_hand(decay: float) -> Iterator[Any]:
    w, m, v = START, 0.0 * START, 0.0 * START
    for step, g in enumerate(GRADIENTS, 1):
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        ratio = m / (1 - 0.9**step) / (np.sqrt(v / (1 - 0.99**step)) + 1e-8)
        w = w - RATE / step * (ratio + decay * w)
        yield w


@pytest.mark.parametrize(("name", "decay"), [("adam", 0.0), ("adamw", 0.01)])
def test_adam_is_what_its_authors_wrote(name: str, decay: float) -> None:
    assert_same(trained(f"{MOMENTS}W_next = {name}(W, m_next, v_next, t, lr, {ADAM})"), adam_by_hand(decay))


def test_momentum_is_damped() -> None:
    graph, _ = compose_expression("momentum(b, g, momentum=0.5, dampening=0.25)")
    assert forward_pass(graph, {"b": 4.0, "g": 8.0})[graph.position["output"]] == 2 + 6


def test_epsilon_stands_beside_the_root_or_within_it() -> None:
    graph, _ = compose_expression("a = rmsprop(p, g, v, lr, eps=1); b = rmsprop(p, g, v, lr, eps=0, eps_root=1)")
    values = forward_pass(graph, {"p": 0.0, "g": 1.0, "v": 3.0, "lr": -1.0})
    assert values[graph.position["a"]] == pytest.approx(1 / (np.sqrt(3) + 1))
    assert values[graph.position["b"]] == 1 / np.sqrt(4)


def test_an_attribute_is_finite() -> None:
    nodes = [{"name": "m", "operation": "Input"}, {"name": "x", "operation": "Input"}]
    update = {"name": "z", "operation": "Ema", "inputs": ["m", "x"], "attributes": {"beta": "NaN"}}
    with pytest.raises(InvalidGraph, match="a finite number is expected"):
        compose_graph([*nodes, update])


# --- peers ------------------------------------------------------------------------------------------------------------

SGD = "W_next = sgd(W, {}, lr)"
BUFFER = "b_next = momentum(b, g, momentum=0.8); "
SQUARES = "v_next = ema(v, g^2, beta=0.9); "
CENTRED = "a_next = ema(a, g, beta=0.9); "
COUPLED = f"grad + {DECAY} * W"
Update = tuple[str, str]

IN_TORCH: Mapping[str, tuple[Update, Mapping[str, Any]]] = {
    "SGD": ((SGD.format("g"), "grad"), {}),
    "SGD decay": ((SGD.format("g"), COUPLED), {"weight_decay": DECAY}),
    "SGD momentum": ((BUFFER + SGD.format("b_next"), COUPLED), {"momentum": 0.8, "weight_decay": DECAY}),
    "SGD nesterov": ((BUFFER + SGD.format("g + 0.8 * b_next"), "grad"), {"momentum": 0.8, "nesterov": True}),
    "Adam": ((f"{MOMENTS}W_next = adam(W, m_next, v_next, t, lr, {ADAM})", "grad"), {"betas": (0.9, 0.99)}),
    "Adam decay": (
        (f"{MOMENTS}W_next = adam(W, m_next, v_next, t, lr, {ADAM})", COUPLED),
        {"betas": (0.9, 0.99), "weight_decay": DECAY},
    ),
    "Adam amsgrad": (
        (f"{MOMENTS}h_next = max(h, v_next); W_next = adam(W, m_next, h_next, t, lr, {ADAM})", "grad"),
        {"betas": (0.9, 0.99), "amsgrad": True},
    ),
    "AdamW": (
        (f"{MOMENTS}W_next = adamw(W, m_next, v_next, t, lr, {ADAM}, weight_decay={DECAY})", "grad"),
        {"betas": (0.9, 0.99), "weight_decay": DECAY},
    ),
    "RMSprop": ((f"{SQUARES}W_next = rmsprop(W, g, v_next, lr)", COUPLED), {"alpha": 0.9, "weight_decay": DECAY}),
    "RMSprop centred": (
        (f"{SQUARES}{CENTRED}W_next = rmsprop(W, g, v_next - a_next^2, lr)", "grad"),
        {"alpha": 0.9, "centered": True},
    ),
    "RMSprop momentum": (
        (f"{SQUARES}b_next = momentum(b, g / (sqrt(v_next) + 1e-8), momentum=0.8); {SGD.format('b_next')}", "grad"),
        {"alpha": 0.9, "momentum": 0.8},
    ),
}


def in_torch(name: str, options: Mapping[str, Any]) -> Iterator[Any]:
    torch = pytest.importorskip("torch", reason="left to `make test-peers`")
    w = torch.tensor(START, requires_grad=True)
    optimizer = getattr(torch.optim, name)([w], lr=RATE, **options)
    for step, gradient in enumerate(GRADIENTS, 1):
        optimizer.param_groups[0]["lr"] = RATE / step
        w.grad = torch.tensor(gradient)
        optimizer.step()
        yield w.detach().numpy().copy()


@pytest.mark.peers
@pytest.mark.parametrize("name", IN_TORCH)
def test_steps_are_those_of_torch(name: str) -> None:
    update, options = IN_TORCH[name]
    assert_same(trained(*update), in_torch(name.split(maxsplit=1)[0], options))


OPTAX: Mapping[str, tuple[Update, Callable[[Any, Any], Any]]] = {
    "sgd": ((SGD.format("g"), "grad"), lambda optax, lr: optax.sgd(lr)),
    "sgd momentum": ((BUFFER + SGD.format("b_next"), "grad"), lambda optax, lr: optax.sgd(lr, momentum=0.8)),
    "sgd nesterov": (
        (BUFFER + SGD.format("g + 0.8 * b_next"), "grad"),
        lambda optax, lr: optax.sgd(lr, momentum=0.8, nesterov=True),
    ),
    "adam": (
        (f"{MOMENTS}W_next = adam(W, m_next, v_next, t, lr, {ADAM}, eps_root=1e-6)", "grad"),
        lambda optax, lr: optax.adam(lr, b2=0.99, eps_root=1e-6),
    ),
    "adamw": (
        (f"{MOMENTS}W_next = adamw(W, m_next, v_next, t, lr, {ADAM}, weight_decay={DECAY})", "grad"),
        lambda optax, lr: optax.adamw(lr, b2=0.99, weight_decay=DECAY),
    ),
    "rmsprop": (
        (f"{SQUARES}W_next = rmsprop(W, g, v_next, lr, eps=0, eps_root=1e-8)", "grad"),
        lambda optax, lr: optax.rmsprop(lr, decay=0.9),
    ),
    "rmsprop, eps beside the root": (
        (f"{SQUARES}W_next = rmsprop(W, g, v_next, lr)", "grad"),
        lambda optax, lr: optax.rmsprop(lr, decay=0.9, eps_in_sqrt=False),
    ),
    "rmsprop centred": (
        (f"{SQUARES}{CENTRED}W_next = rmsprop(W, g, v_next - a_next^2, lr, eps=0, eps_root=1e-8)", "grad"),
        lambda optax, lr: optax.rmsprop(lr, decay=0.9, centered=True),
    ),
}


def in_optax(make: Callable[[Any, Any], Any]) -> Iterator[Any]:
    jax = pytest.importorskip("jax", reason="left to `make test-peers`")
    optax = pytest.importorskip("optax", reason="left to `make test-peers`")
    with jax.enable_x64(True):
        optimizer = make(optax, lambda count: RATE / (count + 1))
        w = jax.numpy.asarray(START)
        state = optimizer.init(w)
        for gradient in GRADIENTS:
            updates, state = optimizer.update(jax.numpy.asarray(gradient), state, w)
            w = optax.apply_updates(w, updates)
            yield np.asarray(w)


@pytest.mark.peers
@pytest.mark.parametrize("name", OPTAX)
def test_steps_are_those_of_optax(name: str) -> None:
    update, make = OPTAX[name]
    assert_same(trained(*update), in_optax(make))
