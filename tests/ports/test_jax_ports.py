"""Networks of PyTorch against their ports to JAX, both recorded: what is named is the mistake of the port alone."""

from typing import Any

import pytest

from service.client import Client
from tests.ports.named import named

pytest.importorskip("torch", reason="left to `make test-peers`")
pytest.importorskip("jax", reason="left to `make test-peers`")

from service.recorders.jax import record as record_jax
from service.recorders.torch import record as record_torch
from tests.ports.jax_ports import PORTS, arguments_of
from tests.ports.originals import original

pytestmark = pytest.mark.peers

CASES = [(name, slip) for name, port in PORTS.items() for slip in ("", *port.slips)]


@pytest.mark.parametrize(("name", "slip"), CASES, ids=[" ".join(case).strip() for case in CASES])
def test_a_right_port_is_acquitted_and_a_slip_named_alone(client: Client, name: str, slip: str) -> None:
    module, arguments = original(name)
    ported = arguments_of(module, arguments)  # before training moves the statistics of a norm
    ours = record_torch(module, arguments).upload(client, name=name)
    theirs = record_jax(PORTS[name].program, *ported, slip).upload(client, name=f"{name} in JAX")
    assert named(client, ours, theirs) == ([PORTS[name].slips[slip]] if slip else [])


REFACTORED = {"": [], "half": ["forward mul:3"], "entropy": ["forward add:2"], "detached": ["backward getitem"]}


@pytest.mark.parametrize("slip", REFACTORED)
def test_names_that_a_recorder_counts_may_shift(client: Client, slip: str) -> None:
    """By names alone relu:3, relu:4 and squeeze of the right program would be accused."""

    def recorded(name: str, slip: str = "") -> Any:
        return record_torch(*original(name, slip)).upload(client, name=name)

    assert named(client, recorded("actor-critic"), recorded("value first", slip)) == REFACTORED[slip]
