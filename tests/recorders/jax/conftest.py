"""What these tests share: JAX compiles each primitive by itself, and at this size compiling is all that takes long."""

import importlib.util
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def compiled_plainly() -> Iterator[None]:
    """Leave out of XLA's optimizations what takes time."""
    if importlib.util.find_spec("jax") is None:
        yield
        return
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
