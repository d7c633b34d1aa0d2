"""Arrays that the client sends once, against a real service."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from service.client import Client, Problem
from service.client.transport import Transport

WEIGHT = np.random.default_rng(7).standard_normal((128, 160)).astype(np.float32)  # 80 KB
X = np.linspace(-1.0, 1.0, 128)


class Wire:
    """What was sent: method, the last part of the path, and the bytes of the body."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[str, str, int]] = []
        send = Transport.send

        def note(transport: Transport, method: str, path: str, **request: Any) -> Any:
            self.sent.append((method, path.split("/")[2], len(request.get("data", b""))))
            return send(transport, method, path, **request)

        monkeypatch.setattr(Transport, "send", note)

    def taken(self) -> list[tuple[str, str, bool]]:
        """What was sent since it was last asked: method, kind, and whether the body is large."""
        taken, self.sent = self.sent, []
        return [(method, kind, size > WEIGHT.nbytes) for method, kind, size in taken]


@pytest.fixture
def gradbook(service_url: str) -> Iterator[Client]:
    with Client(service_url) as client:
        yield client


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    return Wire(monkeypatch)


INLINE, NAMED, STORED = ("POST", "graphs", True), ("POST", "graphs", False), ("PUT", "tensors", True)


def test_an_array_is_stored_when_it_is_sent_again_and_named_from_then_on(gradbook: Client, wire: Wire) -> None:
    graph = gradbook.create_graph("layer", expression="y = tanh(x @ W); L = sum(y * y)", outputs=["L"])
    wire.taken()
    runs = []
    for expected in ([INLINE], [STORED, NAMED], [NAMED], [NAMED]):
        runs.append(gradbook.create_run(graph, {"x": X, "W": WEIGHT}))
        assert wire.taken() == expected
    for run in runs:
        np.testing.assert_array_equal(run.values["W"], WEIGHT.astype(np.float64))
        np.testing.assert_array_equal(run.gradients["W"], runs[0].gradients["W"])
    changed = WEIGHT.copy()
    changed[0, 0] += 1
    wire.taken()
    for weight, expected in ((changed, [INLINE]), (WEIGHT, [NAMED]), (changed, [STORED, NAMED])):
        made = gradbook.create_run(graph, {"x": X, "W": weight}, keep=False)
        assert wire.taken() == expected
        np.testing.assert_array_equal(made.values["W"], weight)
    lean = gradbook.create_run(graph, {"x": X, "W": WEIGHT}, keep=False, backward=False, gradients="inputs")
    assert (
        lean.outputs == runs[0].outputs and lean.inputs["W"] is None and "W" not in [node.name for node in lean.nodes]
    )
    claims = {"gradients": {"x": runs[0].gradients["x"]}}
    assert gradbook.check_claims(graph, {"x": X, "W": WEIGHT}, claims, keep=False).verdict == "same"
    derived = gradbook.create_derivatives(graph, "vjp", {"x": X, "W": WEIGHT}, wrt=["x"], vector=1.0)
    assert derived.blocks["L", "x"].shape == X.shape and derived.inputs["W"] is None
    assert gradbook.check_gradients(graph, {"x": X, "W": WEIGHT}).verdict == "right"
    recorded = gradbook.record_run(graph, by="us", values={"W": WEIGHT}, gradients={"x": X})
    assert wire.taken() == [NAMED] * 5
    np.testing.assert_array_equal(gradbook.get_run_node(recorded, "W", packed=True).value, WEIGHT)


def test_what_the_service_does_not_have_any_more_is_sent_again(gradbook: Client, wire: Wire) -> None:
    graph = gradbook.create_graph("forgotten", expression="y = sum(W * v)")
    other = -WEIGHT
    gradbook._tensors._sent = {gradbook._tensors.put(WEIGHT): True}
    forgotten = "sha256:" + "0" * 64
    wire.taken()
    run = gradbook._tensors.send(
        {"inputs": {"W": other, "v": 1}},
        None,
        lambda body: gradbook._http.post(f"/v1/graphs/{graph.id}/runs", body, None),
    )
    assert run["id"] and wire.taken() == [INLINE]
    # The second time it is stored; then the service loses it, as by a backup that is put back.
    store = gradbook._tensors._store
    gradbook._tensors._store = lambda digest, packed: digest  # type: ignore[method-assign]
    lost = gradbook.create_run(graph, {"W": other, "v": 1})
    gradbook._tensors._store = store  # type: ignore[method-assign]
    assert wire.taken() == [NAMED, INLINE]
    assert lost.values["y"] == pytest.approx(float(other.sum(dtype=np.float64)))
    with pytest.raises(Problem, match="there is no tensor"):
        gradbook.create_run(graph, {"W": {"tensor": forgotten}, "v": 1})


def test_a_body_under_the_callers_own_key_is_the_same_each_time(gradbook: Client, wire: Wire) -> None:
    graph = gradbook.create_graph("keyed", expression="y = sum(W * v)")
    wire.taken()
    first, again = (gradbook.create_run(graph, {"W": WEIGHT * 3, "v": 2}, key="the same") for _ in range(2))
    assert first.id == again.id and wire.taken() == [INLINE, INLINE]


def test_a_tensor_is_stored_read_and_named_as_a_weight(gradbook: Client) -> None:
    for array in (WEIGHT, np.arange(6.0).reshape(2, 3), np.float64(2.5)):
        digest = gradbook.put_tensor(array)
        read = gradbook.get_tensor(digest)
        np.testing.assert_array_equal(read, array)
        assert read.dtype == array.dtype
    graph = gradbook.create_graph("weighed", expression="y = x @ W", weights={"W": gradbook.put_tensor(WEIGHT)})
    assert gradbook.get_graph(graph).weights == graph.weights == {"W": gradbook.put_tensor(WEIGHT)}
    run = gradbook.create_run(graph, {"x": X})
    np.testing.assert_allclose(run.values["y"], X @ WEIGHT.astype(np.float64), rtol=1e-12)
    assert gradbook.create_run(graph, run.document["inputs"], keep=False).outputs["y"] == pytest.approx(
        run.outputs["y"]
    )
    with pytest.raises(Problem) as refused:
        gradbook.get_tensor("sha256:" + "0" * 64)
    assert refused.value.status == 404
