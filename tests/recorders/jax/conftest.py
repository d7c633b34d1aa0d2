"""What these tests share: JAX compiles each primitive by itself, and at this size compiling is all that takes long."""

import importlib.util
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def as_set_by_default() -> Iterator[None]:
    """In float32, which other tests leave; and without those of XLA's optimizations that take time."""
    if importlib.util.find_spec("jax") is None:
        yield
        return
    import jax

    doubled = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", False)
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    jax.config.update("jax_enable_x64", doubled)
