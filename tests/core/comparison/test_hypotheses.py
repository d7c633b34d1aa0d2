"""Each hypothesis, on the mistake it is about."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.comparison.first_difference import rounding
from service.core.comparison.hypotheses import Hypothesis, explain
from service.core.comparison.slips.table import HYPOTHESES
from service.core.comparison.verdicts import Comparison, Phase, Tolerance, Verdict, first_difference
from service.core.execution.run import Run
from service.core.rulebook import registry
from service.core.rulebook.registry import define
from tests.core.comparison.porting_slips import PORTS
from tests.core.comparison.students_slips import STUDENTS
from tests.core.comparison.test_update_slips import SLIPS as UPDATES
from tests.planted import SEED, SEED_INPUTS, altered, graph_of, judge, origins, run_of

TRANSPOSED = np.array([[0.1, 0.2], [0.3, 0.4]])


@dataclass(frozen=True)
class Planted:
    """One mistake: at a node's value or gradient, the wrong figure or a function of the right one; what follows it
    does (`spread`) or not; and what is to be said of it."""

    hypothesis: str
    node: str
    wrong: Any
    says: str
    text: str = SEED
    inputs: Mapping[str, Any] = field(default_factory=lambda: SEED_INPUTS)
    phase: str = "backward"
    spread: bool = True
    first: bool = True

    @property
    def sides(self) -> tuple[Run, Run]:
        """The right run and the wrong one."""
        graph = graph_of(self.text)
        right = run_of(graph, self.inputs)
        mistake = {"values" if self.phase == "forward" else "gradients": {self.node: self.wrong}}
        return right, run_of(graph, self.inputs, **mistake) if self.spread else altered(right, **mistake)


PATHS = {"text": "F = (a + b) * (b + d)", "inputs": {"a": 2.0, "b": 1.0, "d": 7.0}}
BATCH = {"text": "h = tanh(w * x); F = h * y", "inputs": {"w": 0.5, "x": np.array([1.0, 2.0, 4.0]), "y": 3.0}}
MEAN = {"text": "m = mean(a, b, c); F = m * d", "inputs": {"a": 1.0, "b": 3.0, "c": 8.0, "d": 2.5}}
SQUARE = {"text": "p = x * y; F = exp(p)", "inputs": {"x": TRANSPOSED, "y": 1.7}}

CASES = [
    Planted("sign", "c", 2.0, "∂F/∂c is 2; it should be −1/3 × e = −2. The sign is wrong."),
    Planted("sign", "f", 12.0, "f is 12; it should be e·c = −12. The sign is wrong.", phase="forward"),
    Planted("sign", "a", -5.0, "a is −5; it should be 5. The sign is wrong.", phase="forward"),
    Planted(
        "reciprocal of the local gradient",
        "f",
        -3.0,
        "∂F/∂f is −3; it should be 1 × 1/d = −1/3. −3 is the reciprocal of the right local gradient.",
    ),
    Planted(
        "reciprocal of the local gradient",
        "e",
        1 / 6,
        "∂F/∂e is 1/6; it should be −1/3 × c = 2/3. The reciprocal of the local gradient toward 'f' was used.",
    ),
    Planted(
        "reciprocal of the local gradient",
        "x",
        np.inf,
        "∂F/∂x is ∞; it should be 1 × y = 0. ∞ is the reciprocal of the right local gradient.",
        text="F = x * y",
        inputs={"x": 2.0, "y": 0.0},
    ),
    Planted(
        "operand taken as its reciprocal",
        "d",
        108.0,
        "∂F/∂d is 108; it should be 1 × (−f/d²) = 4/3. In the local gradient 1/d was taken for d: −1/3 for −3.",
    ),
    Planted(
        "contribution missing",
        "b",
        3.0,
        "∂F/∂b is 3; it should be 3 × 1 + 8 × 1 = 11. The contribution through a + b, 8, is missing.",
        **PATHS,
    ),
    Planted(
        "contribution missing",
        "b",
        8.0,
        "∂F/∂b is 8; it should be 3 × 1 + 8 × 1 = 11. The contribution through b + d, 3, is missing.",
        **PATHS,
    ),
    Planted("contribution missing", "c", 0.0, "The contribution through 'f', −2, is missing."),
    Planted(
        "only the last contribution kept",
        "b",
        8.0,
        "Only the last contribution, through a + b, was kept: overwritten, not added.",
        first=False,
        **PATHS,
    ),
    Planted(
        "only the last contribution kept",
        "x",
        np.cos(1.2),
        "Only the last contribution, through 'p', was kept: overwritten, not added.",
        text="p = sin(x); q = exp(x); r = x * x; F = p + q * r",
        inputs={"x": 1.2},
    ),
    Planted(
        "upstream factor dropped",
        "e",
        -2.0,
        "∂F/∂e is −2; it should be −1/3 × c = 2/3. The upstream gradient −1/3 from 'f' was left out.",
    ),
    Planted(
        "upstream factor dropped",
        "w",
        lambda right: np.sum(BATCH["inputs"]["x"]),
        "The upstream gradient from w·x was left out.",
        **BATCH,
    ),
    Planted(
        "local factor dropped",
        "e",
        -1 / 3,
        "∂F/∂e is −1/3; it should be −1/3 × c = 2/3. The local gradient −2 toward 'f' was left out.",
    ),
    Planted(
        "operands swapped",
        "F",
        0.25,
        "F is 0.25; it should be f/d = 4. The operands f and d were swapped.",
        phase="forward",
        spread=False,
    ),
    Planted(
        "operands swapped",
        "c",
        2 / 3,
        "∂F/∂c is 2/3; it should be −1/3 × e = −2. In the local gradient the operands of 'f' were swapped.",
        first=False,  # it is c's own value for e's, and the gradient of e
    ),
    Planted(
        "transposed",
        "p",
        lambda p: p.T,
        "p is 0.51 at [0, 1]; it should be x·y = 0.34 there.",
        phase="forward",
        **SQUARE,
    ),
    Planted("transposed", "p", lambda p: p.T, "It is transposed.", **SQUARE),
    Planted(
        "sum for mean",
        "m",
        12.0,
        "m is 12; it should be mean(a, b, c) = 4. It is 3 times too large: a sum was taken for a mean of 3.",
        phase="forward",
        first=True,
        **MEAN,
    ),
    Planted(
        "sum for mean",
        "b",
        2.5,
        "It is 3 times too large: a sum was taken for a mean of 3.",
        first=False,  # to drop the local gradient 1/3 is the same mistake
        **MEAN,
    ),
    Planted(
        "sum for mean",
        "w",
        lambda right: right / 3,
        "It is 3 times too small: a mean was taken for a sum of 3.",
        **BATCH,
    ),
    Planted(
        "sum for mean",
        "F",
        lambda right: right / 3,
        "It is 3 times too small: a mean was taken for a sum of 3.",
        **BATCH,
    ),
    Planted("another node's figure", "a", -2.0, "It is the gradient of 'c'.", first=False),
    Planted(
        "another node's figure", "e", -3.0, "e is −3; it should be a + b = 6. It is the value of 'd'.", phase="forward"
    ),
    Planted(
        "another node's figure",
        "h",
        lambda right: 0.5 * BATCH["inputs"]["x"],
        "It is the value of w·x.",
        phase="forward",
        first=False,  # tanh left out is nearer
        **BATCH,
    ),
    Planted(
        "recorded wrong but used right",
        "e",
        7.3,
        "e is 7.3; it should be a + b = 6. All that depends on it is right: it was recorded wrong, but used right.",
        phase="forward",
        spread=False,
    ),
    Planted(
        "recorded wrong but used right",
        "e",
        7.3,
        "∂F/∂e is 7.3; it should be −1/3 × c = 2/3. "
        "All that depends on it is right: it was recorded wrong, but used right.",
        spread=False,
    ),
    Planted(
        "constant factor",
        "e",
        42.0,
        "e is 42; it should be a + b = 6. It is 7 times what it should be.",
        phase="forward",
    ),
    Planted("constant factor", "e", -2 / 15, "It is −0.2 times what it should be."),
    Planted(
        "constant factor",
        "h",
        lambda right: 0.37 * right,
        "It is 0.37 times what it should be, everywhere.",
        phase="forward",
        **BATCH,
    ),
    Planted(
        "rounded to 0",
        "r",
        0.0,
        "The right figure, 1.225e−05, was rounded to 0.",
        text="r = x * x; F = r + 1",
        inputs={"x": 0.0035},
        phase="forward",
    ),
    Planted(
        "float32 rounding",
        "F",
        np.float32(1 / 3),
        "F is 0.3333333432674408; it should be x/y = 0.3333333333333333. The difference is no more than rounding to "
        "float32 makes.",
        text="F = x / y",
        inputs={"x": 1.0, "y": 3.0},
        phase="forward",
    ),
]


def explained(case: Planted) -> tuple[Hypothesis, ...]:
    """What is said of the one origin, which must be the mistake."""
    baseline, candidate = case.sides
    found = judge(baseline, candidate)
    assert origins(found, candidate.graph) == [(case.phase, case.node)]
    phase = found.forward if case.phase == "forward" else found.backward
    assert phase is not None
    return explain(found, phase, candidate.graph.position[case.node], candidate)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.hypothesis} {case.phase} {case.node}")
def test_a_planted_mistake_is_named(case: Planted) -> None:
    reported = explained(case)
    names = [hypothesis.name for hypothesis in reported]
    assert case.hypothesis in names
    hypothesis = reported[names.index(case.hypothesis)]
    assert case.says in hypothesis.sentence
    assert hypothesis.sentence.startswith(("∂F/∂" if case.phase == "backward" else "") + f"{case.node} is ")
    assert hypothesis.error is not None and hypothesis.error < 1e-7
    if case.first:
        assert names[0] == case.hypothesis
    errors = [(each.error, each.name) for each in reported]
    assert [error for error, _ in errors] == sorted(error for error, _ in errors if error is not None)


def test_every_hypothesis_has_its_mistake() -> None:
    met = (
        {case.hypothesis for case in CASES}
        | {name for name, *_ in UPDATES.values()}
        | {name for slip in [*STUDENTS, *PORTS] for name in slip.names.split("|")}
    )
    assert met == {name for _, (name, _) in HYPOTHESES} | {"float32 rounding"}


def test_equal_errors_are_reported_in_the_order_of_the_table() -> None:
    order = [name for _, (name, _) in HYPOTHESES]
    several = 0
    for case in CASES:
        exact = [order.index(each.name) for each in explained(case) if each.error == 0.0]
        assert exact == sorted(exact)
        several += len(exact) > 1
    assert several > 3


@given(st.floats(1.001, 1.9).filter(lambda factor: abs(factor * 2 - round(factor * 2)) > 1e-3))
def test_a_figure_that_no_mistake_makes_is_left_unexplained(factor: float) -> None:
    case = Planted("none", "f", lambda right: right * factor * np.pi, "", phase="forward")
    assert explained(case) == ()


def test_a_figure_that_is_not_a_number_is_left_unexplained() -> None:
    assert explained(Planted("none", "c", np.nan, "")) == ()
    assert explained(Planted("none", "a", 0.25, "", text="F = sqrt(a)", inputs={"a": 0.0})) == ()


def test_a_mistake_that_could_not_have_been_made_is_no_hypothesis() -> None:
    """A Cholesky factor has none itself where it is not positive definite."""
    x = np.array([[0.01, 0.09], [0.09, 1.0]])
    case = Planted(
        "none", "L", lambda right: right + 0.123, "", "L = cholesky(x); F = sum(L)", {"x": x}, phase="forward"
    )
    assert "applied twice" not in {each.name for each in explained(case)}


def test_a_right_zero_has_neither_a_wrong_sign_nor_a_factor() -> None:
    case = Planted("none", "x", 0.7, "", text="F = x * y", inputs={"x": 2.0, "y": 0.0})
    assert explained(case) == ()
    assert explained(replace(case, node="p", phase="forward", text="p = x * y; F = p + x")) == ()


def test_a_wider_tolerance_lets_more_hypotheses_pass() -> None:
    graph = graph_of(SEED)
    right, wrong = run_of(graph, SEED_INPUTS), run_of(graph, SEED_INPUTS, gradients={"c": 2.001})
    position = graph.position["c"]
    for tolerance, names in (("float64", []), (Tolerance(1e-2, 0.0), ["sign", "constant factor"])):
        found = judge(right, wrong, tolerance)
        assert found.backward is not None
        assert [each.name for each in explain(found, found.backward, position, wrong)] == names


# --- what stands outside the table --------------------------------------------------------------------------------


def reported(found: Comparison, candidate: Run, phase: Phase | None, node: str) -> tuple[Hypothesis, ...]:
    """What is said of a node."""
    assert phase is not None
    return explain(found, phase, candidate.graph.position[node], candidate)


def test_a_definition_that_differs_is_the_only_hypothesis() -> None:
    changed = graph_of("e = a + b; f = e + c; F = f / d")
    right, candidate = run_of(graph_of(SEED), SEED_INPUTS), run_of(changed, SEED_INPUTS)
    found = judge(right, candidate)
    forward = reported(found, candidate, found.forward, "f")
    assert [(each.name, each.error) for each in forward] == [("definition", None)]
    assert forward[0].sentence == (
        "f is 4; it should be −12. The node is defined differently in the two graphs: it is e + c, in the baseline e·c."
    )
    backward = reported(found, candidate, found.backward, "c")
    assert [(each.name, each.error) for each in backward] == [("definition", None)]
    assert backward[0].sentence == (
        "∂F/∂c is −1/3; it should be −2. The node is used differently in the two graphs: f is e + c, in the baseline "
        "e·c."
    )


def test_errors_that_grew_are_rounding() -> None:
    graph = graph_of("p = x + y; q = p - y; F = q * 1e9")
    inputs = {"x": np.float32(1e-3), "y": np.float32(3.0)}
    right, candidate = run_of(graph, inputs), run_of(graph, inputs, dtype="float32")
    found = judge(right, candidate)
    first = first_difference(found)
    assert first is not None and first[0].verdicts[first[1]] == Verdict.INHERITED
    hypothesis = rounding(found, *first, candidate)
    assert hypothesis.name == "rounding"
    assert hypothesis.sentence == (
        "p is 3.000999927520752; it should be x + y = 3.0010000000474975. It follows from the run's own figures: "
        "rounding errors below the tolerance grew."
    )
    assert hypothesis.error == pytest.approx(7.25e-8, rel=1e-2)


def test_what_could_not_be_replayed_is_held_against_the_baseline_in_words_too() -> None:
    graph = graph_of("p = x * y; F = p * p")
    right = run_of(graph, {"x": 2.0, "y": 3.0})
    unknown = {"x": None, "y": None}
    right, wrong = altered(right, values=unknown), altered(right, values=unknown | {"p": -6.0})
    found = judge(right, wrong)
    assert reported(found, wrong, found.forward, "p")[0].sentence == "p is −6; it should be 6. The sign is wrong."


# Values that a node may be taken for: x and s were there before e; p, q and F are computed from it.
CHAIN, CHAIN_INPUTS = graph_of("s = x * 7; e = x + y; p = e * 2; q = tanh(p); F = q * 3 + s"), {"x": 0.3, "y": 0.4}


@pytest.mark.parametrize(("other", "before"), [("x", True), ("s", True), ("p", False), ("q", False), ("F", False)])
@pytest.mark.parametrize("rows", [None, 3])
def test_a_value_is_never_that_of_a_node_downstream(other: str, before: bool, rows: int | None) -> None:
    inputs: dict[str, Any] = CHAIN_INPUTS
    if rows:
        inputs = {name: figure + np.arange(rows) / 10 for name, figure in CHAIN_INPUTS.items()}
    right = run_of(CHAIN, inputs)
    wrong = run_of(CHAIN, inputs, values={"e": right.values[CHAIN.position[other]]})
    found = judge(right, wrong)
    said = [each for each in reported(found, wrong, found.forward, "e") if "another node" in each.name]
    assert [each.sentence.endswith(f"It is the value of '{other}'.") for each in said] == [True] * before


def test_a_gradient_may_be_that_of_a_node_downstream() -> None:
    right = run_of(CHAIN, CHAIN_INPUTS)
    assert right.gradients is not None
    wrong = run_of(CHAIN, CHAIN_INPUTS, gradients={"e": right.gradients[CHAIN.position["q"]]})
    found = judge(right, wrong)
    assert "another node's figure" in [each.name for each in reported(found, wrong, found.backward, "e")]


# --- operations that are not elementwise --------------------------------------------------------------------------


@pytest.fixture
def own_product(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A matrix product, and picking one row; for as long as a test runs."""
    for entries in ("_by_name", "_by_alias", "_by_function"):
        monkeypatch.setattr(registry, entries, dict(getattr(registry, entries)))

    def product_shape(shapes: Sequence[tuple[int, ...]], attributes: Any) -> tuple[int, ...]:
        if shapes[0][1] != shapes[1][0]:
            raise ValueError("the matrices do not fit")
        return shapes[0][0], shapes[1][1]

    define(
        "OwnProduct",
        "x y",
        forward=np.matmul,
        contributions=lambda upstream, x, y, z: (upstream @ y.T, x.T @ upstream),
        infer_shape=product_shape,
    )
    define(
        "OwnRow",
        "x index",
        forward=lambda x, index: x[int(index)],
        contributions=lambda upstream, x, index, z: (np.outer(np.arange(len(x)) == index, upstream), None),
        infer_shape=lambda shapes, attributes: shapes[0][1:],
    )
    yield


MATRICES = {"x": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]]), "y": np.array([[1.0, 0.5], [2.0, -1.0], [0.0, 3.0]])}
# The contribution to x that goes through the sine, of a sum of all elements of sin(x) · y.
THROUGH_SINE = np.cos(MATRICES["x"]) * (np.ones((2, 2)) @ MATRICES["y"].T)


@pytest.mark.usefixtures("own_product")
@pytest.mark.parametrize(
    ("node", "phase", "wrong", "names"),
    [
        ("x", "backward", lambda right: right + np.pi, []),
        ("x", "backward", lambda right: -right, ["sign", "constant factor"]),
        ("x", "backward", lambda right: THROUGH_SINE, ["contribution missing"]),
        (
            "x",
            "backward",
            lambda right: right - THROUGH_SINE,
            ["contribution missing", "only the last contribution kept"],
        ),
        ("x", "backward", lambda right: 2.0 * THROUGH_SINE, []),
        ("i", "backward", lambda right: 0.5, []),
        ("p", "forward", lambda right: right.T, ["transposed"]),
    ],
)
def test_what_is_said_of_them(node: str, phase: str, wrong: Callable[[Any], Any], names: list[str]) -> None:
    graph = graph_of("p = ownproduct(x, y); r = ownrow(p, i); s = sin(x); q = ownproduct(s, y); F = p + q + r")
    inputs = {"x": MATRICES["x"], "y": MATRICES["y"], "i": 1.0}
    right = run_of(graph, inputs)
    wrongly = run_of(graph, inputs, **{"values" if phase == "forward" else "gradients": {node: wrong}})
    found = judge(right, wrongly)
    assert origins(found, graph) == [(phase, node)]
    assert [each.name for each in reported(found, wrongly, getattr(found, phase), node)] == names


@pytest.mark.usefixtures("own_product")
def test_a_contribution_of_theirs_may_be_missing_or_the_last() -> None:
    graph = graph_of("p = ownproduct(x, y); s = ownproduct(x, z); F = p + s")
    inputs = {**MATRICES, "z": MATRICES["y"] * 3.0 + 1.0}
    right = run_of(graph, inputs)
    through_p = np.ones((2, 2)) @ inputs["y"].T
    wrong = run_of(graph, inputs, gradients={"x": through_p})
    found = judge(right, wrong)
    names = {each.name: each.sentence for each in reported(found, wrong, found.backward, "x")}
    assert set(names) == {"contribution missing", "only the last contribution kept"}
    assert "The contribution through 's', 5 there, is missing." in names["contribution missing"]
    assert "through 'p'" in names["only the last contribution kept"]


@pytest.mark.usefixtures("own_product")
def test_operands_that_can_be_swapped_are() -> None:
    graph = graph_of("F = ownproduct(x, y)")
    inputs = {"x": MATRICES["x"][:, :2], "y": MATRICES["y"][:2]}
    wrong = run_of(graph, inputs, values={"F": inputs["y"] @ inputs["x"]})
    found = judge(run_of(graph, inputs), wrong)
    assert "operands swapped" in [each.name for each in reported(found, wrong, found.forward, "F")]
    unswappable = {"x": MATRICES["x"], "y": MATRICES["y"][:, :1]}
    wrong = run_of(graph, unswappable, values={"F": lambda right: right + 0.123})
    found = judge(run_of(graph, unswappable), wrong)
    assert reported(found, wrong, found.forward, "F") == ()


# --- NaN ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "x", "kind", "node", "because"),
    [
        (
            "F = where(x == 0, 1, sin(x) / x)",
            0.0,
            "values",
            "F",
            "NaN is 0/0, 0 × ∞ or 0·log 0 in sin(x)/x, which is not",
        ),
        (
            "F = where(x > 0, x * log(x), 0)",
            0.0,
            "values",
            "F",
            "NaN is 0/0, 0 × ∞ or 0·log 0 in x·log(x), which is not",
        ),
        ("c = floor(x); F = sqrt(c)", 0.5, "gradients", "x", "NaN is 0 × ∞ along a closed edge: nothing flows back"),
        ("F = x + 1", 0.0, "values", "F", None),
        ("F = x * 0", 2.0, "gradients", "x", None),
        ("F = sqrt(x)", 0.0, "values", "F", "NaN is 0/0, 0 × ∞ or 0·log 0, left as it is"),
        ("F = x^2", 2.0, "gradients", "x", None),
        ("F = x^2", 2.0, "values", "F", None),
        ("F = x^2", 2.0, "gradients", "F", None),
    ],
)
def test_nan_is_explained_by_what_makes_nan_alone(text: str, x: float, kind: str, node: str, because: str) -> None:
    graph = graph_of(text)
    right = run_of(graph, {"x": x})
    wrong = run_of(graph, {"x": x}, **{kind: {node: np.nan}})
    found = judge(right, wrong)
    said = reported(found, wrong, found.forward if kind == "values" else found.backward, node)
    assert [each.name for each in said] == ["0/0 left as NaN"] * (because is not None)
    assert all(each.because.startswith(because) for each in said)


def test_where_the_only_nan_stands_is_said_too() -> None:
    graph = graph_of("F = softmax(x)")
    inputs = {"x": np.array([1000.0, 0.0, 0.0])}
    wrong = run_of(graph, inputs, values={"F": lambda right: np.where(np.arange(3) == 0, np.nan, right)})
    found = judge(run_of(graph, inputs), wrong)
    said = reported(found, wrong, found.forward, "F")
    assert [each.name for each in said] == ["0/0 left as NaN", "one part wrong"]


# --- two backward passes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gradients", "first", "said"),
    [
        ({"x": 24.0, "y": 6.0}, "counted twice", "It is counted twice: the gradients of two backward passes"),
        ({"x": 24.0}, "power rule", "It is counted twice, and it alone: before a second backward pass"),
    ],
)
def test_two_backward_passes_come_first_unless_another_gradient_is_right(
    gradients: dict[str, float], first: str, said: str
) -> None:
    graph = graph_of("F = x^3 + y^3")
    inputs = {"x": 2.0, "y": 1.0}
    candidate = run_of(graph, inputs, gradients=gradients)
    found = judge(run_of(graph, inputs), candidate)
    hypotheses = reported(found, candidate, found.backward, "x")
    assert hypotheses[0].name == first
    (twice,) = [each for each in hypotheses if each.name == "counted twice"]
    assert twice.because.startswith(said)


def test_a_right_gradient_of_0_tells_nothing_of_two_passes() -> None:
    graph = graph_of("F = x^3 + y^3")
    candidate = run_of(graph, {"x": 2.0, "y": 0.0}, gradients={"x": 24.0})
    found = judge(run_of(graph, {"x": 2.0, "y": 0.0}), candidate)
    assert reported(found, candidate, found.backward, "x")[0].name == "counted twice"


# --- near 0 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "x", "wrong", "names"),
    [
        ("F = exp(x) * 1e-12", 2.0, 0.0, ["rounded to 0", "rounded or cut"]),
        ("F = exp(x) * 1e-12", 2.0, 1.3e-13, []),
        ("F = x * 1e-9", 3.5e-6, 4.7e-15, []),
        ("F = x * 1e-9", 3.5e-6, -3.5e-15, ["sign"]),
    ],
)
def test_near_0_a_mistake_is_named_where_it_makes_the_figure(text: str, x: float, wrong: float, names: Any) -> None:
    graph = graph_of(text)
    candidate = run_of(graph, {"x": x}, values={"F": wrong})
    found = judge(run_of(graph, {"x": x}), candidate, Tolerance(1e-9, 1e-15))
    said = [each.name for each in reported(found, candidate, found.forward, "F")]
    assert said[: len(names)] == names
    assert names or not said


def test_no_digit_of_an_exponent_is_exchanged() -> None:
    graph = graph_of("r = x * x; F = r + 1")
    candidate = run_of(graph, {"x": 0.0035}, values={"r": 0.0})
    found = judge(run_of(graph, {"x": 0.0035}), candidate)
    names = [each.name for each in reported(found, candidate, found.forward, "r")]
    assert names[0] == "rounded to 0" and "digits exchanged" not in names


def test_a_sum_that_cancels_may_miss_0_by_its_rounding() -> None:
    graph = graph_of("p = x * 0.1; q = x * 0.2; F = p + q + x * 0.3")
    inputs = {"x": 1.0}
    candidate = run_of(graph, inputs, gradients={"x": 0.1 + 0.3})
    found = judge(run_of(graph, inputs), candidate)
    assert reported(found, candidate, found.backward, "x")[0].name == "contribution missing"
