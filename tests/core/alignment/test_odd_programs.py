"""Programs that try the search: odd figures, odd shapes, several differences at once, and very many."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from service.core.alignment.alignment import Alignment, How
from service.core.alignment.proposing import propose_alignment
from service.core.errors import InvalidInputs
from service.core.execution.run import Run
from service.core.figures.figures import pack
from tests.alignment_cases import Form, Program, program, transformer, true_pairs


def form_of(build: Callable[[Form], object], **given: Any) -> Form:
    """A form with these Inputs, built on."""
    form = Form()
    for name, value in given.items():
        form.given(name, value=value)
    build(form)
    return form


def aligned(
    baseline: Form, candidate: Form, names: Mapping[str, str] | None = None, seed: int | None = 1
) -> tuple[Alignment, dict[str, str], list[str]]:
    """What is found, the pairs by true name, and the true names of the cuts."""
    one, other = program(baseline), program(candidate, None if names else seed)
    found = propose_alignment(one.run, other.run, names or {})
    return found, named(found, one, other), sorted(true_name(other, mine) for mine in found.cuts.tolist())


def true_name(candidate: Program, mine: int) -> str:
    return candidate.originals[candidate.run.graph.nodes[mine].name]


def named(found: Alignment, baseline: Program, candidate: Program) -> dict[str, str]:
    partners = enumerate(found.partners.tolist())
    nodes = baseline.run.graph.nodes
    return {true_name(candidate, mine): nodes[other].name for mine, other in partners if other >= 0}


def tutorial(last: str = "Div", *operands: str) -> Form:
    """F = (a + b) · c / d, or another operation at its end."""

    def build(form: Form) -> None:
        form("f", "Mul", form("e", "Add", "a", "b"), "c")
        form("loss", last, *(operands or ("f", "d")))

    return form_of(build, a=5.0, b=1.0, c=-2.0, d=-3.0)


@pytest.mark.parametrize("end", [("Mul",), ("Div", "d", "f")], ids=["another operation", "swapped operands"])
def test_the_end_of_a_graph_is_cut_without_anything_behind_it(end: tuple[str, ...]) -> None:
    _, pairs, cuts = aligned(tutorial(), tutorial(*end))
    assert cuts == ["loss"]
    assert pairs == {name: name for name in ["a", "b", "c", "d", "e", "f", "loss"]}


def test_a_single_node_has_its_partner() -> None:
    single = form_of(lambda form: form("loss", "Identity", "x"), x=3.0)
    assert aligned(single, single)[1:] == ({"x": "x", "loss": "loss"}, [])


@pytest.mark.parametrize(
    "figure", [-1.0, 1e308, [np.nan, 1.0], [np.inf, -np.inf], []], ids=["a NaN", "overflow", "NaN", "infinite", "empty"]
)
def test_figures_that_are_not_numbers_are_data(figure: object) -> None:
    def build(form: Form) -> None:
        root = form("root", "Sqrt", form("square", "Mul", "x", form.constant("k", -2.0)))
        form("loss", "ReduceSum", root, keepdims=0) if np.ndim(figure) else form("loss", "Neg", root)

    once = form_of(build, x=figure)
    _, pairs, cuts = aligned(once, once)
    assert set(pairs) == {"x", "k", "square", "root", "loss"}
    assert not cuts


def test_a_probe_that_an_operation_refuses_is_taken_nearer_to_what_is_given() -> None:
    def build(form: Form) -> None:
        form("loss", "ReduceSum", form("root", "Cholesky", form("x2", "Mul", "x", "w")), keepdims=0)

    near_singular = form_of(build, x=[[1.0, 0.99], [0.99, 1.0]], w=[[1.0, 1.0], [1.0, 1.0]])
    _, pairs, cuts = aligned(near_singular, near_singular)
    assert set(pairs) == {"x", "w", "x2", "root", "loss"}
    assert not cuts


def test_where_no_probe_will_do_the_given_inputs_are_all_there_is() -> None:
    def build(form: Form) -> None:
        form("loss", "ReduceSum", form("picked", "Gather", "x", form("index", "Floor", "i")), keepdims=0)

    on_the_edge = form_of(build, x=[1.5, 2.5, 3.5, 4.5], i=[3.9999999])
    _, pairs, cuts = aligned(on_the_edge, on_the_edge)
    assert set(pairs) == {"x", "i", "index", "picked", "loss"}
    assert not cuts


def test_inputs_at_which_a_graph_cannot_be_run_are_refused() -> None:
    picked = form_of(
        lambda form: form("loss", "ReduceSum", form("g", "Gather", "x", "i"), keepdims=0), x=[1.0], i=[0.0]
    )
    right = program(picked).run
    figures = [
        np.array([7.0]) if node.name == "i" else right.values[place] for place, node in enumerate(right.graph.nodes)
    ]
    with pytest.raises(InvalidInputs, match="'g'"):
        propose_alignment(right, Run(right.graph, pack(figures)), {})


def test_an_axis_that_is_kept_is_the_cut_though_shapes_differ() -> None:
    def centred(keepdims: int) -> Form:
        def build(form: Form) -> None:
            moved = form("moved", "Sub", "x", form("mean", "ReduceMean", "y", axes=[1], keepdims=keepdims))
            form("loss", "ReduceMean", form("square", "Mul", moved, moved), keepdims=0)

        return form_of(build, x=[1.0, 2.0, 4.0, 8.0], y=np.random.default_rng(0).standard_normal((4, 3)))

    _, pairs, cuts = aligned(centred(0), centred(1))
    assert cuts == ["mean"]
    assert pairs["square"] == "square"


def test_a_figure_that_another_axis_gives_another_shape_stops_the_search() -> None:
    def summed(axis: int) -> Form:
        def build(form: Form) -> None:
            form("loss", "ReduceMean", form("bent", "Tanh", form("sum", "ReduceSum", "x", axes=[axis])), keepdims=0)

        return form_of(build, x=np.random.default_rng(0).standard_normal((4, 3)))

    _, pairs, cuts = aligned(summed(0), summed(1))
    assert cuts == ["sum"]
    assert pairs["loss"] == "loss"


def test_figures_whose_shapes_nothing_behind_them_takes_are_left() -> None:
    def summed(axis: int) -> Form:
        def build(form: Form) -> None:
            moved = form("moved", "Add", form("sum", "ReduceSum", "x", axes=[axis], keepdims=0), "b")
            form("loss", "ReduceMean", form("bent", "Tanh", moved), keepdims=0)

        return form_of(build, x=np.random.default_rng(0).standard_normal((4, 3)), b=np.arange(1.0, [4, 5][axis]))

    assert aligned(summed(0), summed(1))[2] == ["moved"]
    _, pairs, cuts = aligned(summed(0), summed(1), {"sum": "sum"})
    assert cuts == ["moved", "sum"]
    assert pairs["sum"] == "sum"


def test_a_pair_that_a_person_names_is_a_cut_where_it_differs() -> None:
    def bent(name: str, operation: str) -> Form:
        def build(form: Form) -> None:
            form(name, operation, form("double", "Add", "x", "x"))
            form("loss", "ReduceSum", form("end", "Mul", name, name), keepdims=0)

        return form_of(build, x=[0.3, -0.8])

    found, pairs, cuts = aligned(bent("tanh", "Tanh"), bent("sine", "Sin"), {"sine": "tanh", "end": "end"})
    assert cuts == ["sine"]
    assert pairs["end"] == "end"
    assert set(found.how.values()) == {How.NAME, How.FIGURES}
    _, pairs, cuts = aligned(bent("tanh", "Tanh"), bent("sine", "Sin"), {"sine": "double"})
    assert "sine" in cuts
    assert pairs["sine"] == "double"


def test_a_pair_that_a_person_names_inside_what_is_the_same_is_a_cut_too() -> None:
    def once(form: Form) -> None:
        form("loss", "ReduceSum", form("y", "Mul", form("bent", "Tanh", "x"), "k"), keepdims=0)

    def otherwise(form: Form) -> None:
        form("loss", "ReduceSum", form("y", "Tanh", form("moved", "Mul", "x", "k")), keepdims=0)

    given = {"x": [0.3, -0.8], "k": [1.0, 1.0]}
    _, pairs, cuts = aligned(form_of(once, **given), form_of(otherwise, **given), {"moved": "bent"})
    assert pairs["moved"] == "bent"
    assert "moved" in cuts


@pytest.mark.parametrize("seed", [1, 2])
def test_one_of_two_equal_branches_is_cut_where_it_differs(seed: int) -> None:
    def branches(last: str) -> Form:
        def build(form: Form) -> None:
            for side, operation in (("left", "Tanh"), ("right", last)):
                form(f"{side} bent", operation, form(f"{side} product", "MatMul", "x", "w"))
            both = form("both", "Add", form("scaled", "Mul", "left bent", "k"), "right bent")
            form("loss", "ReduceMean", form("square", "Mul", both, both), keepdims=0)

        random = np.random.default_rng(0)
        return form_of(build, x=random.standard_normal((3, 4)), w=random.standard_normal((4, 2)), k=1.5)

    _, pairs, cuts = aligned(branches("Tanh"), branches("Sigmoid"), seed=seed)
    assert cuts == ["right bent"]
    assert pairs == {name: name for name in pairs} and len(pairs) == 11


def test_a_function_applied_again_to_what_it_leaves_as_it_is_stands_alone() -> None:
    def scored(again: bool) -> Form:
        def build(form: Form) -> None:
            first = form("first", "LogSoftmax", "x")
            shares = form("exp", "Exp", form("again", "LogSoftmax", first)) if again else form("exp", "Softmax", first)
            form("loss", "ReduceSum", form("both", "Mul", shares, "k"), keepdims=0)

        return form_of(build, x=[0.3, -0.8, 1.0], k=[1.0, 2.5, -0.7])

    _, pairs, cuts = aligned(scored(False), scored(True))
    assert pairs == {name: name for name in ["x", "k", "first", "exp", "both", "loss"]}
    assert not cuts


def test_what_is_held_constant_for_gradients_is_not_what_is_not() -> None:
    def target(detached: bool) -> Form:
        def build(form: Form) -> None:
            value = form("value", "Tanh", "x")
            held = form("held", "StopGradient", value) if detached else value
            form("loss", "ReduceSum", form("product", "Mul", value, held), keepdims=0)

        return form_of(build, x=[0.3, -0.8])

    assert aligned(target(True), target(False))[2] == ["product"]
    assert aligned(target(True), target(True))[2] == []


def test_a_sum_that_changes_nothing_is_what_is_left_out() -> None:
    def step(left_out: bool) -> Form:
        def build(form: Form) -> None:
            product = form("product", "Mul", "state", "w")  # 0, as a first step of a recurrence has it
            total = form("sum", "Identity", product) if left_out else form("sum", "Add", "x", product)
            form("loss", "ReduceMean", form("bent", "Tanh", form("gates", "Add", total, "bias")), keepdims=0)

        return form_of(build, x=[1.5, 2.5], state=[0.0, 0.0], w=[0.3, 0.4], bias=[-1.0, 0.5])

    _, pairs, cuts = aligned(step(False), step(True))
    assert cuts == ["sum"]
    assert pairs["gates"] == "gates"


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("seed", range(4))
def test_what_repeats_another_figure_is_told_by_its_use(depth: int, seed: int) -> None:
    """Where one branch is computed from what the other should be, all its figures are the other's until they meet."""

    def branches(wrong: bool) -> Form:
        def build(form: Form) -> None:
            for branch, source in (("a", "b" if wrong else "a"), ("b", "b")):
                last = form(f"turned {branch}", "Transpose", source, perm=[1, 0])
                for step in range(depth):
                    last = form(f"bent {branch}{step}", "Tanh", last)
                form(f"waved {branch}", "Sin", last)
                form(f"grown {branch}", "Exp", last)
            form("state", "Add", form("weighed", "Mul", "waved a", "w"), form("moved", "Add", "grown a", "v"))
            form("met", "Add", form("other", "Mul", "waved b", "state"), "grown b")
            form("loss", "ReduceMean", form("square", "Mul", "met", "met"), keepdims=0)

        a, b, v, w = np.random.default_rng(0).standard_normal((4, 3, 3))
        return form_of(build, a=a, b=b, v=v, w=w)

    _, pairs, cuts = aligned(branches(False), branches(True), seed=seed)
    assert cuts == ["turned a"]
    assert all(name == other for name, other in pairs.items())
    assert {"turned b", "waved a", "grown a", "waved b", "grown b", "loss"} <= set(pairs)


def test_what_computes_an_input_of_the_other_program_is_not_what_leaves_out_a_summand() -> None:
    def embedded(computed: bool) -> Form:
        kinds, rest = np.random.default_rng(0).standard_normal((2, 3, 4))

        def build(form: Form) -> None:
            kind = form("kind", "Mul", "half", form.constant("two", 2.0)) if computed else "kind"
            total = form("sum", "Identity", kind) if computed else form("sum", "Add", "word", kind)
            form("loss", "ReduceMean", form("bent", "Tanh", form("both", "Add", total, "place")), keepdims=0)

        return form_of(build, word=rest, place=rest + 1, **({"half": kinds / 2} if computed else {"kind": kinds}))

    assert aligned(embedded(False), embedded(True))[2] == ["sum"]


def test_tables_of_another_base_are_told_from_what_takes_them() -> None:
    def turned(base: float, computed: bool) -> Form:
        angles = np.arange(4.0)[:, None] / base ** np.array([0.0, 0.5])

        def build(form: Form) -> None:
            if computed:
                form("cos", "Cos", form.constant("angles", angles.tolist()))
                form("sin", "Sin", "angles")
            for x in ("query", "key"):
                other = form(f"{x} other", "Neg", x)
                form(f"{x} turned", "Add", form(f"{x} c", "Mul", x, "cos"), form(f"{x} s", "Mul", other, "sin"))
            form("scores", "Mul", "query turned", "key turned")
            value = form("bent value", "Cos" if computed else "Exp", form("value", "Mul", "x", f"table {base}"))
            form("loss", "ReduceMean", form("both", "Mul", form("bent", "Tanh", "scores"), value), keepdims=0)

        x, y, z = np.random.default_rng(0).standard_normal((3, 4, 2))
        given = {"query": x, "key": y, "x": z, f"table {base}": z + base}
        return form_of(build, **given, **({} if computed else {"cos": np.cos(angles), "sin": np.sin(angles)}))

    assert aligned(turned(10.0, True), turned(10.0, False))[2] == ["bent value"]
    _, pairs, cuts = aligned(turned(10.0, True), turned(500.0, False))
    assert cuts == ["bent value"]  # an Input has no definition; a comparison says that its figure differs
    assert {name: pairs[name] for name in ("cos", "sin", "query", "key", "query c", "scores", "loss")} == {
        name: name for name in ("cos", "sin", "query", "key", "query c", "scores", "loss")
    }


def test_images_with_channels_last_are_paired_through_their_layout() -> None:
    def pooled(last: bool, pool: str) -> Form:
        def build(form: Form) -> None:
            x = form("first", "Transpose", "x", perm=[0, 3, 1, 2]) if last else "x"
            x = form("pooled", pool, x, kernel_shape=[2, 2], strides=[2, 2])
            x = form("lasting", "Transpose", x, perm=[0, 2, 3, 1]) if last else x
            x = form("bent", "Tanh", x)
            form("loss", "ReduceMean", form("square", "Mul", x, x), keepdims=0)

        images = np.random.default_rng(0).standard_normal((2, 3, 4, 6))
        return form_of(build, x=images.transpose(0, 2, 3, 1) if last else images)

    found, pairs, cuts = aligned(pooled(False, "MaxPool"), pooled(True, "MaxPool"))
    assert not cuts
    assert pairs["bent"] == "bent"
    assert len(found.layouts) == 3
    assert aligned(pooled(False, "MaxPool"), pooled(True, "AveragePool"))[2] == ["pooled"]


def test_a_difference_in_every_layer_is_cut_in_each() -> None:
    for bug, node in (("axis", "shares"), ("scale", "root")):
        baseline, candidate = transformer(6), transformer(6, bug=bug, at=range(6))
        _, pairs, cuts = aligned(baseline, candidate)
        assert cuts == [f"{layer}.{node}" for layer in range(6)]
        assert {name: pairs[name] for name in pairs if pairs[name] != name} == {}


def test_the_same_is_found_each_time() -> None:
    first, second = (aligned(transformer(), transformer(bug="activation", parts=True))[0] for _ in range(2))
    assert (first.partners == second.partners).all()
    assert dict(first.how) == dict(second.how)
    assert first.cuts.tolist() == second.cuts.tolist()


@pytest.mark.slow
def test_graphs_that_have_nothing_in_common_are_searched_within_bounds() -> None:
    def chain(seed: int) -> Form:
        random = np.random.default_rng(seed)

        def build(form: Form) -> None:
            x = "x"
            for place in range(2000):
                operation = ["Mul", "Add", "Sub"][random.integers(3)]
                x = form(f"s{place}", operation, x, form.constant(f"c{place}", float(random.uniform(0.9, 1.1))))
                x = form(f"t{place}", ["Sin", "Tanh", "Softplus"][random.integers(3)], x)
            form("loss", "ReduceMean", x, keepdims=0)

        return form_of(build, x=random.standard_normal(3))

    found, _, _ = aligned(chain(1), chain(2))
    assert 0 < np.count_nonzero(found.partners >= 0) < len(found.partners)


@pytest.mark.slow
def test_ten_thousand_nodes_are_paired_with_ten_thousand() -> None:
    baseline, candidate = program(transformer(265)), program(transformer(265, bug="scale", at=130), 1)
    found = propose_alignment(baseline.run, candidate.run, {})
    pairs = named(found, baseline, candidate)
    assert {candidate.originals[name] for name in true_pairs(baseline, candidate)} <= set(pairs)
    assert [true_name(candidate, mine) for mine in found.cuts.tolist()] == ["130.root"]
