"""What JAX computed against our own run of the recorded graph, and where a slip in the program is found."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.client import Client
from service.recorders.recording import Recording

jax = pytest.importorskip("jax", reason="left to `make test-peers`")

from service.recorders.jax import record  # noqa: E402  # it needs JAX
from tests.recorders.jax.programs import CASES, LABELS, SQUARE, Case, X, cross_entropy, normal  # noqa: E402

pytestmark = pytest.mark.peers
jnp = jax.numpy


@pytest.fixture(scope="module")
def client(service_url: str) -> Iterator[Client]:
    with Client(service_url) as client:
        yield client


def run_here(client: Client, recording: Recording, graph: str) -> Any:
    return client.create_run(graph, recording.inputs, output=recording.output, seed=recording.seed, conventions="jax")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_our_run_agrees_and_a_slip_is_named(case: Case, client: Client) -> None:
    right, wrong = (record(case.program, *case.arguments, slip) for slip in (False, True))
    theirs = right.upload(client)
    ours = run_here(client, right, theirs.graph_id)
    comparison = client.create_comparison(ours, theirs)
    assert not right.unmapped
    assert not comparison.document["arose"]
    # Gradients in bfloat16 keep two digits; errors below that grow.
    assert comparison.verdict == "same" or right.dtype == "bfloat16"
    found = client.create_comparison(ours, wrong.upload(client))
    assert [(origin.phase, origin.node) for origin in found.origins] == [(case.phase, case.node)]


def test_gradients_of_arguments_are_those_of_jax() -> None:
    case = CASES["mlp"]
    recording = record(case.program, *case.arguments, False)
    expected = jax.jit(jax.grad(case.program), static_argnums=3)(*case.arguments, False)
    np.testing.assert_allclose(recording.gradients["p.norm.scale"], expected["norm"]["scale"], rtol=1e-4)
    assert recording.gradients["p.w"].dtype == np.float32
    assert "labels" not in recording.gradients


def test_names_are_those_of_arguments_scopes_and_functions() -> None:
    def loss(p: Any, x: Any) -> Any:
        with jax.named_scope("layer"):
            return jax.nn.silu(x @ p["w"]).sum()

    recording = record(loss, {"w": SQUARE}, X, source=True)
    names = [node["name"] for node in recording.nodes]
    assert names == ["p.w", "x", "layer/dot_general", "layer/silu/logistic", "layer/silu/mul", "layer/reduce_sum"]
    assert recording.name == "loss"
    assert recording.by == f"JAX {jax.__version__}"
    assert recording.sources["layer/silu/mul"].startswith("test_recorder.py:")
    assert not record(loss, {"w": SQUARE}, X).sources


def test_one_of_several_results_is_chosen_and_seeded(client: Client) -> None:
    def both(x: Any) -> Any:
        return x @ SQUARE, {"loss": jnp.tanh(x).sum(), "count": jnp.int32(4)}

    with pytest.raises(ValueError, match="there are '0', '1\\.loss'"):
        record(both, X)
    with pytest.raises(ValueError, match="no array of floats at '1\\.count'"):
        record(both, X, output="1.count")
    recording = record(both, X, output="0", seed=np.full(8, 2.0))
    np.testing.assert_allclose(recording.gradients["x"], np.full((4, 8), 2.0) @ SQUARE.T, rtol=1e-5)
    assert recording.outputs == ["dot_general"]
    theirs = recording.upload(client)
    assert client.create_comparison(run_here(client, recording, theirs.graph_id), theirs).verdict == "same"


def test_random_keys_and_flags_are_no_inputs() -> None:
    def noisy(x: Any, key: Any, train: bool) -> Any:
        return (x + jax.random.normal(key, x.shape)).sum() if train else x.sum()

    recording = record(noisy, X, jax.random.key(0), True)
    assert [node["operation"] for node in recording.nodes] == ["Input", "Constant", "Add", "ReduceSum"]
    assert recording.notes == ["key is random bits: what is drawn with it is a Constant."]


def test_what_has_no_operation_is_told_and_the_rest_recorded(client: Client) -> None:
    def loss(x: Any) -> Any:
        lengths = jnp.abs(jax.lax.complex(x[0], x[1]))
        return (lengths * jnp.tanh(x[2])).sum() + jax.lax.bessel_i0e(x[3]).sum()

    with pytest.warns(
        RuntimeWarning, match=r"complex \(complex numbers\); abs \(complex numbers\); bessel_i0e \(the rulebook"
    ):
        recording = record(loss, X)
    assert [each["nodes"] for each in recording.unmapped] == [[], ["abs"], ["bessel_i0e"]]
    assert "x" not in recording.gradients and "tanh" in recording.gradients
    theirs = recording.upload(client)
    comparison = client.create_comparison(run_here(client, recording, theirs.graph_id), theirs)
    assert comparison.verdict == "same"


def test_a_dtype_that_no_graph_has_is_told() -> None:
    with pytest.warns(RuntimeWarning, match=r"convert_element_type \(the dtype float8_e4m3fn\)"):
        recording = record(lambda x: (x.astype(jnp.float8_e4m3fn).astype(jnp.float32) ** 2).sum(), X)
    assert recording.dtype == "float32" and "x" not in recording.gradients


def test_loops_and_branches_are_told_and_long_loops_left_closed() -> None:
    def loss(x: Any) -> Any:
        y = jax.lax.cond(x[0, 0] > 9, jnp.sin, jnp.tanh, x)
        return jax.lax.scan(lambda total, _: (total + y.mean(), None), 0.0, length=30_000)[0]

    with pytest.warns(RuntimeWarning, match=r"scan \(more than 20,000 operations\)"):
        recording = record(loss, X)
    assert recording.unmapped[0]["nodes"] == ["scan"]
    assert recording.notes[0] == "cond is recorded as it went: branch 0 of 2."


def test_a_wrong_derivative_rule_is_an_origin(client: Client, tmp_path: Path) -> None:
    """A gradient that the program clips is not the derivative of what it computes."""

    @jax.custom_vjp
    def clipped(x: Any) -> Any:
        return x

    clipped.defvjp(lambda x: (x, None), lambda _, upstream: (jnp.clip(upstream, -0.1, 0.1),))
    recording = record(lambda w: (clipped(X @ w) ** 2).sum(), SQUARE)
    recording.save(tmp_path / "clipped.npz")
    read = Recording.load(tmp_path / "clipped.npz")
    assert read.notes == ["clipped has a derivative rule of its own, which is not recorded."]
    theirs = read.upload(client, name="clipped")
    comparison = client.create_comparison(run_here(client, read, theirs.graph_id), theirs)
    assert [(origin.phase, origin.node) for origin in comparison.origins] == [("backward", "dot_general")]


def test_nothing_is_left_of_the_recorder_in_the_program() -> None:
    """The program that was recorded computes what it did, and in float64 where JAX is told so."""
    before = jax.value_and_grad(cross_entropy)(normal(30, 4, 3), LABELS)
    record(cross_entropy, normal(30, 4, 3), LABELS)
    after = jax.value_and_grad(cross_entropy)(normal(30, 4, 3), LABELS)
    np.testing.assert_array_equal(before[1], after[1])
    with jax.enable_x64(True):
        recording = record(lambda x: jnp.tanh(x).sum(), np.float64(0.3))
    assert recording.dtype == "float64"
    assert recording.values["tanh"] == pytest.approx(np.tanh(0.3), rel=1e-15)
