"""What a request may take is decided before it is done."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import pytest

from service.core.comparison.claims import Claim
from service.core.errors import LimitExceeded
from service.core.figures.weight import Weight
from service.settings import Limits
from service.usecases.comparisons import check_claims, create_comparison
from service.usecases.context import Context
from service.usecases.derivatives import create_derivatives, get_derivatives
from service.usecases.explanations import list_paths, list_steps
from service.usecases.gradient_checks import check_gradients
from service.usecases.gradient_graphs import create_gradient_graph, get_formula
from service.usecases.graphs import add_nodes, create_graph
from service.usecases.recordings import record_run
from service.usecases.runs import create_run, get_run, get_run_node, list_runs, one_sided_at, run_backward
from service.usecases.weighing import BINARY, COMPACT_NODE, JSON, LOADED_NODE, NeedsMore, WholeAnswer, admit


@pytest.mark.parametrize(("operations", "nbytes"), [(11, 0), (0, 101), (11, 101)])
def test_work_over_what_is_granted_asks_for_more(operations: float, nbytes: float) -> None:
    with pytest.raises(NeedsMore) as raised:
        admit(Weight(operations, nbytes), Limits(), Weight(10, 100))
    assert raised.value.weight == Weight(operations, nbytes)


def test_work_within_what_is_granted_may_begin() -> None:
    admit(Weight(10, 100), Limits(), Weight(10, 100))
    admit(Weight(1e12, 1e9), Limits(), None)


def test_what_is_too_large_anywhere_is_refused_rather_than_sent_elsewhere() -> None:
    limits = Limits(operations=10, job_operations=20, request_memory=100, answer_bytes=1000)
    for weight, limit, estimate in ((Weight(21, 0), "job_operations", 21), (Weight(0, 101), "request_memory", 101)):
        for granted in (None, Weight(1, 1), Weight(inf, 1000)):
            with pytest.raises(LimitExceeded) as raised:
                admit(weight, limits, granted)
            assert (raised.value.limit, raised.value.actual) == (limit, estimate)


def test_what_takes_longer_than_a_request_may_is_done_where_that_is_granted() -> None:
    limits = Limits(operations=10, job_operations=20)
    admit(Weight(11, 0), limits, Weight(inf, 1))
    with pytest.raises(NeedsMore):
        admit(Weight(11, 0), limits, Weight(10, 1))
    with pytest.raises(LimitExceeded) as raised:
        admit(Weight(11, 0), limits, None)
    assert (raised.value.limit, raised.value.maximum, raised.value.actual) == ("operations", 10, 11)


def test_an_answer_adds_to_the_weight_and_has_a_limit_of_its_own() -> None:
    limits = Limits(answer_bytes=1000)
    admit(Weight(), limits, None, WholeAnswer(BINARY, 100, 1))
    with pytest.raises(NeedsMore) as asked:
        admit(Weight(1, 1), limits, Weight(), WholeAnswer(JSON, 10, 1))
    assert asked.value.weight.nbytes > 1 + 10 * JSON.number
    with pytest.raises(LimitExceeded, match="as application/x-npz") as raised:
        admit(Weight(), limits, None, WholeAnswer(JSON, 100, 1))
    assert raised.value.limit == "answer_bytes" and raised.value.actual == 100 * JSON.number + JSON.item
    with pytest.raises(LimitExceeded) as raised:
        admit(Weight(), limits, None, WholeAnswer(BINARY, 1000, 1))
    assert "npz" not in raised.value.detail


def graph_of(context: Context, expression: str) -> str:
    """The id of a graph."""
    return create_graph(context, "g", expression=expression, tags={})[0].id


def refused(context: Context, act: Callable[[], Any]) -> LimitExceeded:
    """The refusal, for which next to nothing was allocated."""
    tracemalloc.start()
    try:
        with pytest.raises(LimitExceeded) as raised:
            act()
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    return raised.value


OVERSIZED_RUNS = {
    "windows that are copied out": ("conv(x, w)", {"x": (1, 1, 1500, 1500), "w": (1, 1, 300, 300)}),
    "a pool with large windows": ("max_pool(x, kernel_shape=[900, 900])", {"x": (1, 1, 1500, 1500)}),
    "a sum over a stack in the gradient": ("sum(x @ y)", {"x": (1000, 1000), "y": (1500, 1000, 1)}),
    "an outer product by the way": (
        "einsum(x, y, z, equation='i,j,ij->')", {"x": (3000,), "y": (3000,), "z": (3000, 3000)}
    ),
    "padding": (
        "max_pool(x, kernel_shape=[9000, 9000], pads=[8999, 8999, 8999, 8999], strides=[9000, 9000])",
        {"x": (5, 5, 2, 2)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OVERSIZED_RUNS)
def test_a_run_that_is_too_large_is_refused_before_it_allocates(context: Context, case: str) -> None:
    expression, shapes = OVERSIZED_RUNS[case]
    context.limits = replace(context.limits, operations=10**10, request_memory=2**29)
    graph = graph_of(context, expression)
    inputs = {name: np.broadcast_to(1.0, shape) for name, shape in shapes.items()}
    found = refused(context, lambda: create_run(context, graph, inputs, tags={}))
    assert found.limit in ("request_memory", "operations") and found.actual is not None
    assert found.actual > found.maximum


OVERSIZED_DERIVATIVES: dict[str, tuple[str, dict[str, tuple[int, ...]], Callable[..., Any]]] = {
    "a hessian": (
        "sum(exp(x) * x)",
        {"x": (3000,)},
        lambda context, graph, inputs: create_derivatives(context, graph, "hessian", inputs),
    ),
    "a jacobian": (
        "softmax(x @ w)",
        {"x": (1000,), "w": (1000, 10)},
        lambda context, graph, inputs: create_derivatives(context, graph, "jacobian", inputs, outputs=["output"]),
    ),
    "a check of every element": (
        "sum(exp(x) * x)",
        {"x": (900,)},
        lambda context, graph, inputs: check_gradients(context, graph, inputs, method="central"),
    ),
}


@pytest.mark.parametrize("case", OVERSIZED_DERIVATIVES)
def test_derivatives_that_are_too_large_are_refused_before_they_allocate(context: Context, case: str) -> None:
    expression, shapes, act = OVERSIZED_DERIVATIVES[case]
    context.limits = replace(context.limits, request_memory=2**20, answer_bytes=2**30, run_elements=10**9)
    graph = graph_of(context, expression)
    inputs = {name: np.broadcast_to(1.0, shape) for name, shape in shapes.items()}
    found = refused(context, lambda: act(context, graph, inputs))
    assert found.limit == "request_memory" and found.actual is not None and found.actual > found.maximum


def test_derivatives_that_are_too_long_are_refused(context: Context) -> None:
    context.limits = replace(context.limits, answer_bytes=10_000)
    graph = graph_of(context, "y = exp(x)")
    with pytest.raises(LimitExceeded) as raised:
        create_derivatives(context, graph, "jacobian", {"x": np.ones(30)})
    assert raised.value.limit == "answer_bytes" and raised.value.actual and raised.value.actual > 30 * 30 * 25
    assert "npz" not in raised.value.detail
    with pytest.raises(LimitExceeded, match="answer"):
        check_gradients(context, graph, {"x": np.ones(300)}, method="central")
    assert check_gradients(context, graph, {"x": np.ones(300)}, method="taylor").verdict == "right"


def test_a_large_run_asks_for_more_before_it_has_any_effect(context: Context) -> None:
    context.granted = Weight(5e7, 32 * 2**20)
    graph = graph_of(context, "F = sum(x * x)")
    assert create_run(context, graph, {"x": np.ones(1000)}, tags={}).record.id
    with pytest.raises(NeedsMore) as raised:
        create_run(context, graph, {"x": np.ones(1_000_000)}, tags={}, whole=JSON)
    assert raised.value.weight.nbytes > 1_000_000 * (4 * 8 + 2 * 25)


SMALL_WORK = Weight(5e7, 32 * 2**20)  # about 50 ms
CHAIN = "; ".join(["n0 = x", *(f"n{k} = sin(n{k - 1}) * x" for k in range(1, 100))])


def stored(context: Context, expression: str, **shapes: tuple[int, ...]) -> tuple[str, str]:
    """The ids of a graph and of a kept run of it."""
    graph = graph_of(context, expression)
    inputs = {name: np.random.default_rng(1).random(shape) + np.array(0.5) for name, shape in shapes.items()}
    return graph, create_run(context, graph, {each: np.asarray(x) for each, x in inputs.items()}, tags={}).record.id


def asked_for(context: Context, granted: Weight, act: Callable[[], Any]) -> Weight:
    """What an act asks for where so much is granted; nothing is stored by then."""
    context.granted, before = granted, rows(context)
    try:
        with pytest.raises(NeedsMore) as raised:
            act()
        assert rows(context) == before
    finally:
        context.granted = None
    return raised.value.weight


def rows(context: Context) -> list[int]:
    """How much of everything is stored."""
    with context.database.read() as connection:
        tables = ("contents", "runs", "run_figures", "comparisons", "derivatives")
        return [connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() for table in tables]


def test_small_work_of_every_kind_is_done_here(context: Context) -> None:
    context.granted = SMALL_WORK
    graph, run = stored(context, "e = a + b; f = e * c; F = f / d", a=(), b=(), c=(), d=())
    get_run(context, run)
    get_run(context, run, whole=JSON)
    get_run(context, run, ends_only=True, whole=BINARY)
    get_run_node(context, run, "f", whole=JSON)
    list_runs(context, graph=graph, label=None, tag=None, recorded_by=None, after=None, limit=9)
    list_steps(context, run, node=None, start=0, limit=1000)
    list_paths(context, run, node="a", limit=10)
    get_formula(context, graph, of="F", wrt="a")
    create_gradient_graph(context, graph, tags={})
    inputs = {name: np.array(1.0) for name in "abcd"}
    check_gradients(context, graph, inputs)
    for kind in ("jacobian", "hessian"):
        create_derivatives(context, graph, kind, inputs)
    create_comparison(context, run, run, names={})
    wrong = {name: Claim(np.array(9.0), np.array(0.0)) for name in ("f", "d")}
    check_claims(context, graph, inputs, values={}, gradients=wrong, by="t")


def test_large_work_of_every_kind_asks_for_more(context: Context) -> None:
    graph, run = stored(context, CHAIN, x=())
    tensors, wide = stored(context, "F = sum(exp(x) * x)", x=(200_000,))
    vector = {"x": np.ones(500)}
    acts: list[Callable[[], Any]] = [
        lambda: get_run(context, wide),
        lambda: get_run(context, wide, ends_only=True, whole=JSON),
        lambda: get_run_node(context, wide, "x", whole=JSON),
        lambda: list_steps(context, run, node=None, start=0, limit=100),
        lambda: list_steps(context, wide, node="x", start=0, limit=100),
        lambda: list_paths(context, run, node="x", limit=1000),
        lambda: get_formula(context, graph, wrt="x"),
        lambda: create_gradient_graph(context, graph, tags={}),
        lambda: check_gradients(context, tensors, vector, method="central"),
        lambda: create_derivatives(context, tensors, "hessian", vector),
        lambda: create_comparison(context, wide, wide, names={}),
        lambda: create_graph(context, "h", expression=CHAIN * 3, tags={}),
        lambda: create_graph(context, "h", nodes=[{}] * 5000, tags={}),
        lambda: add_nodes(context, graph, nodes=[{}] * 5000, tags={}),
    ]
    for act in acts:
        asked_for(context, Weight(5e7, 3 * 2**20), act)
    context.granted = SMALL_WORK
    list_steps(context, run, node=None, start=0, limit=10)
    list_steps(context, run, node=None, start=380, limit=5)
    with pytest.raises(NeedsMore):  # x has a hundred consumers
        list_steps(context, run, node="x", start=0, limit=10)


def test_two_runs_that_are_compared_weigh_together_before_either_is_read(context: Context) -> None:
    """Their weight is that of what is held, 16 bytes an element of each, and of what reading it takes beside."""
    _, run = stored(context, "F = sum(exp(x) * x)", x=(200_000,))
    of_one = asked_for(context, Weight(5e7, 1e6), lambda: get_run(context, run)).nbytes
    granted = Weight(5e7, of_one)
    assert asked_for(context, granted, lambda: create_comparison(context, run, run, names={})).nbytes == 2 * of_one


def test_a_graph_weighs_by_its_nodes_until_it_is_loaded(context: Context) -> None:
    graph, run = stored(context, CHAIN, x=())
    context.graphs.remove(context.record(graph).digest)
    count = context.record(graph).node_count
    assert asked_for(context, COMPACT_NODE * 100, lambda: get_run(context, run)) == COMPACT_NODE * count
    get_run(context, run)
    context.granted = COMPACT_NODE * 100
    get_run(context, run)


def test_a_graph_of_many_nodes_weighs_again_when_all_of_them_are_looked_at(context: Context) -> None:
    digest = context.record(graph_of(context, "y = " + " + ".join(["x"] * 1500))).digest
    count = len(context.compact_graph(digest))
    assert asked_for(context, Weight(5e7, 1e6), lambda: context.graph(digest)) == LOADED_NODE * count
    assert not context.graph(digest).is_compact
    context.granted = Weight()
    context.graph(digest)


def test_a_graph_of_many_nodes_weighs_before_its_shapes_are_inferred(context: Context) -> None:
    graph = graph_of(context, "y = " + " + ".join(["x"] * 1500))
    weight = asked_for(context, Weight(1e7, 2**30), lambda: create_run(context, graph, {"x": np.ones(2)}, tags={}))
    assert weight.operations == 20_000 * 1500
    assert create_run(context, graph, {"x": np.ones(2)}, tags={}).record.id


def test_what_is_read_whole_has_the_limit_of_an_answer(context: Context) -> None:
    graph, run = stored(context, "F = exp(x)", x=(300,))
    context.limits = replace(context.limits, answer_bytes=12_000)
    for act in (
        lambda: get_run(context, run, whole=JSON),
        lambda: get_run(context, run, ends_only=True, whole=JSON),
        lambda: get_run_node(context, run, "x", whole=JSON),
        lambda: create_run(context, graph, {"x": np.ones(300)}, tags={}, keep=False, whole=JSON),
    ):
        with pytest.raises(LimitExceeded, match="application/x-npz") as raised:
            act()
        assert raised.value.limit == "answer_bytes"
    get_run_node(context, run, "x", whole=BINARY)
    assert len(get_run(context, run).values) == 2
    made = create_derivatives(context, graph, "jvp", {"x": np.ones(100)}, vector={"x": np.ones(100)})
    context.limits = replace(context.limits, answer_bytes=5000)
    with pytest.raises(LimitExceeded, match="answer"):
        get_derivatives(context, made.id)


def test_derivatives_from_both_sides_count_once_it_is_known_where_they_are(context: Context) -> None:
    graph = graph_of(context, "F = relu(x)")
    context.limits = replace(context.limits, answer_bytes=21_000)
    assert create_run(context, graph, {"x": np.ones(100)}, seed=np.ones(100), tags={}, keep=False, whole=JSON)
    with pytest.raises(LimitExceeded, match="answer"):
        create_run(context, graph, {"x": np.zeros(100)}, seed=np.ones(100), tags={}, keep=False, whole=JSON)


def test_derivatives_from_both_sides_are_weighed_before_the_run_is_stored(context: Context) -> None:
    graph = graph_of(context, "F = relu(x)")
    granted, smooth, bent = Weight(5e8, 23e6), {"x": np.ones(100_000)}, {"x": np.zeros(100_000)}
    asked_for(context, granted, lambda: create_run(context, graph, bent, seed=np.ones(100_000), tags={}))
    run = create_run(context, graph, bent, backward=False, tags={}).record.id
    asked_for(context, granted, lambda: run_backward(context, run, seed=np.ones(100_000)))
    recorded = {"F": np.zeros(100_000)}
    asked_for(
        context, granted, lambda: record_run(context, graph, bent, by="t", values=recorded, gradients={}, tags={})
    )
    context.granted = granted
    create_run(context, graph, smooth, seed=np.ones(100_000), tags={})
    with pytest.raises(NeedsMore):
        one_sided_at(context, get_run(context, run))


def test_many_origins_are_explained_where_more_is_granted(context: Context) -> None:
    graph, run = stored(context, CHAIN, x=())
    found = get_run(context, run)
    values = {node.name: Claim(np.array(float(k)), np.array(0.0)) for k, node in enumerate(found.nodes) if node.inputs}
    asked = asked_for(
        context,
        Weight(1e9, 2**30),
        lambda: check_claims(context, graph, {"x": np.array(1.0)}, values=values, gradients={}, by="t"),
    )
    assert asked.operations > 10e6 * len(values) / 2
