"""Runs that somebody else computed, kept as they were given."""

from typing import Any

import numpy as np
import pytest

from service.core.errors import InvalidInputs, InvalidRequest, LimitExceeded, NotFound
from service.core.execution.nonfinite import FirstNonfinite
from service.settings import Limits
from service.usecases.context import Context
from service.usecases.graphs import create_graph
from service.usecases.idempotency import IdempotencyKey
from service.usecases.recordings import record_run
from service.usecases.runs import StoredRun, create_run, get_run, list_runs

SEED = "e = a + b; f = e * c; F = f / d"


@pytest.fixture
def graph(context: Context) -> str:
    """The seed example's graph."""
    return create_graph(context, "g", expression=SEED, tags={})[0].id


def arrays(given: Any) -> dict[str, Any]:
    """Figures as arrays."""
    return {name: np.asarray(figure, dtype=np.float64) for name, figure in given.items()}


def record(
    context: Context, graph: str, inputs: Any = (), values: Any = (), gradients: Any = (), **options: Any
) -> StoredRun:
    """Record a run."""
    given = {"values": arrays(dict(values)), "gradients": arrays(dict(gradients))}
    return record_run(context, graph, arrays(dict(inputs)), by="somebody", **given, **{"tags": {}, **options})


def faults(error: type[Exception], *arguments: Any, **options: Any) -> list[tuple[tuple[Any, ...], str]]:
    """What is wrong with a recording that is refused."""
    with pytest.raises(error) as caught:
        record(*arguments, **options)
    return [(fault.location, fault.detail) for fault in caught.value.faults]


def given(run: StoredRun) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values and the gradients that a run has, by name."""
    return tuple(
        {node.name: figure.tolist() for node, figure in zip(run.nodes, figures, strict=True) if figure is not None}
        for figures in (run.values, run.gradients if run.gradients is not None else [None] * len(run.nodes))
    )


def runs(context: Context) -> int:
    """How many runs are kept."""
    return len(list_runs(context, graph=None, label=None, tag=None, recorded_by=None, after=None, limit=100))


@pytest.mark.parametrize(
    ("inputs", "values", "gradients"),
    [
        ({}, {"e": 6.5}, {}),
        ({}, {}, {"f": -3.0, "F": 1.0}),
        ({"a": 5.0, "b": 1.0}, {"a": 4.0, "F": 4.0}, {"a": 6.0}),
        (
            {"a": [1.0, 2.0], "b": 1.0, "c": 1.0, "d": [[1.0], [2.0]]},
            {"F": [[1.0, 2.0], [3.0, 4.0]]},
            {"a": [1.0, 1.0]},
        ),
        ({}, {"e": [[1.0, 2.0]], "F": [[1.0], [2.0]]}, {"e": [[1.0, 2.0]], "c": [5.0, 6.0, 7.0]}),
    ],
)
def test_any_subset_is_kept(context: Context, graph: str, inputs: Any, values: Any, gradients: Any) -> None:
    run = record(context, graph, inputs, values, gradients)
    assert given(run) == given(get_run(context, run.record.id)) == ({**inputs, **values}, gradients)
    assert (run.record.has_values, run.record.has_gradients) == (bool(inputs or values), bool(gradients))
    assert (run.record.source, run.record.recorded_by, run.record.output) == ("recorded", "somebody", "F")


def test_it_is_kept_bit_for_bit(context: Context, graph: str) -> None:
    odd = np.array(
        [0x8000_0000_0000_0000, 1, 0x7FF8_0000_0000_0001, 0xFFF0_0000_0000_0000, 0x3FD5_5555_5555_5555], dtype=np.uint64
    ).view(np.float64)
    run = record(context, graph, {}, {"e": odd}, {"f": odd[::-1]})
    kept = get_run(context, run.record.id)
    position = context.graph(kept.record.graph_digest).position
    assert kept.gradients is not None
    value, gradient = kept.values[position["e"]], kept.gradients[position["f"]]
    assert value is not None and gradient is not None
    assert (value.tobytes(), gradient.tobytes()) == (odd.tobytes(), odd[::-1].tobytes())


def test_what_is_said_about_it_is_kept(context: Context, graph: str) -> None:
    run = record(
        context,
        graph,
        {"d": 0.0},
        {"e": np.nan, "F": np.inf},
        {"F": 1.0, "c": np.inf, "d": 1.0},
        dtype="float32",
        label="a label",
        tags={"from": "there"},
        seed=np.array(1.0),
    )
    record_ = get_run(context, run.record.id).record
    assert (record_.dtype, record_.label, record_.tags) == ("float32", "a label", {"from": "there"})
    first = FirstNonfinite("e", "F", "e"), FirstNonfinite("c", "c", None)
    assert (record_.nonfinite_forward, record_.nonfinite_backward) == first
    assert record_.created_at.utcoffset() is not None
    assert len(list_runs(context, graph=graph, label=None, tag=None, recorded_by="somebody", after=None, limit=9)) == 1
    assert list_runs(context, graph=graph, label=None, tag=None, recorded_by="else", after=None, limit=9) == []


def test_where_no_derivative_exists_is_marked_as_far_as_it_is_known(context: Context) -> None:
    graph = create_graph(context, "k", expression="p = abs(x); q = max(y, z)", tags={})[0]
    position = context.graph(graph.digest).position
    run = record(context, graph.id, {}, {"x": 0.0, "p": 0.0, "y": 1.0, "z": 1.0}, output="p")
    assert run.record.nondifferentiable == (position["p"],)


def test_the_seed_has_the_outputs_shape(context: Context, graph: str) -> None:
    def seed(*arguments: Any, **options: Any) -> Any:
        kept = record(context, graph, *arguments, **options).record.seed
        return None if kept is None else kept.tolist()

    assert seed({}, {"e": 1.0}) is None
    assert seed({}, {}, {"e": 1.0}) == 1.0
    assert seed({}, {}, {"e": 1.0}, seed=np.array(2.5)) == 2.5
    assert seed({}, {}, {"F": [1.0, 2.0]}) == [1.0, 1.0]
    assert seed({}, {"F": [1.0, 2.0]}, {"e": 1.0}, seed=np.array([3.0, 4.0])) == [3.0, 4.0]
    batch = {"a": [1.0, 2.0], "b": 1.0, "c": 1.0, "d": 1.0}
    assert seed(batch, {}, {"b": 1.0}, seed=np.array(2.0)) == [2.0, 2.0]
    with pytest.raises(InvalidInputs, match="the seed has shape"):
        seed(batch, {}, {"b": 1.0}, seed=np.array([1.0, 2.0, 3.0]))
    with pytest.raises(InvalidInputs, match="the seed has shape"):
        seed({}, {}, {"e": 1.0}, seed=np.array([1.0, 2.0]))


def test_an_output_is_named_where_gradients_are_given(context: Context) -> None:
    graph = create_graph(context, "two", expression="p = x * 2; q = x * 3", tags={})[0].id
    assert record(context, graph, {}, {"p": 1.0}).record.output is None
    assert record(context, graph, {}, {}, {"x": 1.0}, output="q").record.output == "q"
    with pytest.raises(InvalidRequest, match="several outputs"):
        record(context, graph, {}, {}, {"x": 1.0})
    with pytest.raises(InvalidRequest, match="several outputs"):
        record(context, graph, {}, {"p": 1.0}, seed=np.array(1.0))
    with pytest.raises(InvalidRequest, match="no node 'r'"):
        record(context, graph, {}, {"p": 1.0}, output="r")


def test_names_that_are_no_nodes_are_all_named(context: Context) -> None:
    graph = create_graph(context, "c", expression="y = x * 2", tags={})[0].id
    assert faults(InvalidInputs, context, graph, {"y": 1.0, "w": 1.0}, {"v": 1.0}, {"u": 1.0, "constant_1": 1.0}) == [
        (("inputs", "y"), "the graph has no input 'y'"),
        (("inputs", "w"), "the graph has no input 'w'"),
        (("recorded", "values", "v"), "the graph has no node 'v'"),
        (("recorded", "gradients", "u"), "the graph has no node 'u'"),
        (("recorded", "gradients", "constant_1"), "'constant_1' is a Constant, which has no gradient"),
    ]
    nothing = "values, gradients or both are expected: nothing is given"
    assert faults(InvalidInputs, context, graph, {"x": 1.0}) == [(("recorded",), nothing)]
    assert runs(context) == 0


def test_shapes_that_do_not_fit_are_all_named(context: Context, graph: str) -> None:
    whole = {"a": [1.0, 2.0], "b": 1.0, "c": 1.0, "d": 1.0}
    assert faults(
        InvalidInputs, context, graph, whole, {"e": 1.0, "F": [1.0, 2.0, 3.0]}, {"b": [1.0, 1.0, 1.0], "f": 1.0}
    ) == [
        (("recorded", "values", "e"), "'e' has shape [2]; the figure has []"),
        (("recorded", "values", "F"), "'F' has shape [2]; the figure has [3]"),
        (("recorded", "gradients", "b"), "'b' has shape []; the gradient has [3]"),
        (("recorded", "gradients", "f"), "'f' has shape [2]; the gradient has []"),
    ]
    ((where, detail),) = faults(InvalidInputs, context, graph, {}, {"e": [1.0, 2.0], "c": [1.0, 2.0, 3.0]})
    assert where == ("recorded", "values", "e") and detail.startswith("'f' (Mul) cannot take shapes [2], [3]")
    ((where, detail),) = faults(InvalidInputs, context, graph, {"a": [1.0, 2.0], "b": [1.0, 2.0, 3.0]}, {"F": 1.0})
    assert where == ("inputs",) and detail.startswith("'e' (Add) cannot take shapes [2], [3]")
    assert faults(InvalidInputs, context, graph, {"a": 1.0}, {"a": [1.0]}) == [
        (("recorded", "values", "a"), "'a' has shape [] in inputs, another here")
    ]
    assert runs(context) == 0


def test_it_is_limited(context: Context, graph: str) -> None:
    small = Context(context.database, Limits(run_elements=100))
    with pytest.raises(LimitExceeded, match="at most 100 elements"):
        record(small, graph, {}, {"a": np.zeros(60)}, {"a": np.zeros(60)})
    with pytest.raises(LimitExceeded, match="at most 100 elements"):  # e would have 400
        record(small, graph, {"a": np.zeros((20, 1)), "b": np.zeros((1, 20))}, {"c": 1.0})
    assert record(small, graph, {"a": np.zeros(30)}, {"c": 1.0}).record.has_values


def test_a_graph_that_is_not_there(context: Context) -> None:
    with pytest.raises(NotFound):
        record(context, "nothing", {}, {"x": 1.0})


def test_under_one_key_it_is_kept_once(context: Context, graph: str) -> None:
    key = IdempotencyKey("k", "f")
    first = record(context, graph, {}, {"e": 1.0}, key=key)
    assert record(context, graph, {}, {"e": 1.0}, key=key).record.id == first.record.id
    assert runs(context) == 1


def test_many_inputs_are_read_in_one_pass(context: Context) -> None:
    names = [f"x{position}" for position in range(20_000)]
    nodes = [
        *({"name": name, "operation": "Input"} for name in names),
        {"name": "F", "operation": "Sum", "inputs": names},
    ]
    graph = create_graph(context, "wide", nodes=nodes, tags={})[0].id
    figures = dict.fromkeys(names, 1.0)
    assert record(context, graph, figures, {"F": 20_000.0}, figures).record.has_gradients


def test_our_own_figures_recorded_are_ours(context: Context, graph: str) -> None:
    inputs = arrays({"a": 5.0, "b": 1.0, "c": -2.0, "d": -3.0})
    ours = create_run(context, graph, inputs, tags={})
    values, gradients = given(ours)
    again = record(context, graph, {}, values, gradients)
    assert again.gradients is not None and ours.gradients is not None
    assert again.values.flat.tobytes() == ours.values.flat.tobytes()
    assert again.gradients.flat.tobytes() == ours.gradients.flat.tobytes()
    assert (again.values.present, again.record.seed) == (None, ours.record.seed)
