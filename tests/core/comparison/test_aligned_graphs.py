"""Two graphs whose nodes have other names: what is equivalent, cut, without a partner, or laid out otherwise."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.core.alignment.alignment import Alignment
from service.core.alignment.proposing import propose_alignment
from service.core.comparison.judging import compare
from service.core.comparison.listing import explained_origins, judged_figures
from service.core.comparison.verdicts import TOLERANCES, Comparison, Verdict
from service.core.errors import InvalidRequest
from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Graph
from tests.alignment_cases import CASES, Case, program
from tests.planted import altered, graph_of, named, only, origins, run_of, verdicts

X = np.random.default_rng(0).normal(size=(3, 4))
WEIGHT = np.random.default_rng(1).normal(size=(4, 2))


def aligned(
    baseline: Run,
    candidate: Run,
    pairs: Mapping[str, str],
    cuts: Sequence[str] = (),
    layouts: Mapping[str, Any] | None = None,
) -> Comparison:
    """Compare two runs under an alignment by hand, candidate → baseline."""
    own, theirs = candidate.graph.position, baseline.graph.position
    partners = np.full(len(candidate.graph), -1)
    for name, other in pairs.items():
        partners[own[name]] = theirs[other]
    laid = {own[name]: layout for name, layout in (layouts or {}).items()}
    alignment = Alignment(partners, {}, np.array([own[name] for name in cuts], dtype=np.int64), laid)
    return compare(baseline, candidate, TOLERANCES["float64"], propose=lambda *given: alignment)


NORM = "n = layer_norm(x, s, b); y = tanh(n); F = sum(y * y * t)"
PARTS = (
    "m = mean(u, axes=[1], keepdims=1); c = u - m; v = mean(c * c, axes=[1], keepdims=1); d = sqrt(v + 1e-5); "
    "h = c / d; g = h * p + q; z = tanh(g); L = sum(z * z * w)"
)
NORM_AT = {"x": X, "s": np.arange(1.0, 5.0), "b": np.full(4, 0.5), "t": X + 2}
PARTS_AT = {"u": X, "p": NORM_AT["s"], "q": NORM_AT["b"], "w": NORM_AT["t"]}
PAIRS = {"u": "x", "p": "s", "q": "b", "w": "t", "g": "n", "z": "y", "L": "F"}


@pytest.mark.parametrize("wrong", [None, *"mcdhgz"])
@pytest.mark.parametrize("phase", ["values", "gradients"])
def test_what_one_graph_fuses_is_one_function(phase: str, wrong: str | None) -> None:
    """In either direction a planted figure is the only origin, within the fused region too."""
    for pairs, texts in ((PAIRS, (NORM, PARTS)), ({b: c for c, b in PAIRS.items()}, (PARTS, NORM))):
        graphs = [graph_of(text) for text in texts]
        at = [NORM_AT, PARTS_AT] if texts[0] is NORM else [PARTS_AT, NORM_AT]
        planted = {wrong: lambda figure: figure * 1.01 + 0.02} if wrong in graphs[1].position else {}
        candidate = run_of(graphs[1], at[1], **{phase: planted})
        found = aligned(run_of(graphs[0], at[0]), candidate, pairs)
        name = "forward" if phase == "values" else "backward"
        assert origins(found, graphs[1]) == [(name, each) for each in planted]
        assert planted or found.same


def test_a_cut_is_the_origin_and_what_lies_in_it_is_judged_by_itself() -> None:
    parts = PARTS.replace("d = sqrt(v + 1e-5)", "d = sqrt(v) + 1e-1")
    candidate = run_of(graph_of(parts), PARTS_AT)
    baseline = run_of(graph_of(NORM), NORM_AT)
    found = aligned(baseline, candidate, PAIRS, cuts=["g"])
    assert [name for phase, name in origins(found, candidate.graph) if phase == "forward"] == ["g"]
    assert verdicts(found, candidate.graph)["forward"] == {
        **dict.fromkeys("upqw", "same"),
        "g": "origin",
        **dict.fromkeys("zL", "inherited"),
    }
    sentence = str(explained_origins(found)[0].sentence)
    assert "defined differently in the two graphs: it is h·p + q, in the baseline n is layer_norm(x, s, b)." in sentence
    wrong = aligned(baseline, run_of(candidate.graph, PARTS_AT, values={"h": lambda h: h + 1}), PAIRS, cuts=["g"])
    assert origins(wrong, candidate.graph) == [("forward", "h")]
    assert verdicts(wrong, candidate.graph)["forward"]["g"] == "inherited"


def test_a_partner_without_a_name_is_called_by_its_definition_alone() -> None:
    baseline, candidate = graph_of("F = sum(layer_norm(x, s, b) * t)"), graph_of(PARTS.replace("1e-5", "0.1"))
    pairs = {"u": "x", "p": "s", "q": "b", "w": "t", "g": "layernormalization_1", "L": "F"}
    found = aligned(run_of(baseline, NORM_AT), run_of(candidate, PARTS_AT), pairs, ["g"])
    sentence = str(explained_origins(found)[0].sentence)
    assert sentence.endswith("it is h·p + q, in the baseline layer_norm(x, s, b).")


@pytest.mark.parametrize(
    ("baseline", "candidate", "pairs", "told"),
    [
        ("y = relu(x); F = sum(y)", "z = leaky_relu(u); L = sum(z)", "z:y", "z is leaky_relu(u), in the baseline y is"),
        ("t = tanh(x); y = t + x; F = sum(y)", "t = tanh(u); z = t * 1; L = sum(z)", "t:t z:y", "z is t·1, in the"),
        ("s = x + x; y = exp(s); F = sum(y)", "z = exp(u); L = sum(z)", "z:y", "z is"),
    ],
)
def test_a_gradient_differs_by_definition_where_a_cut_is_computed_from_the_node(
    baseline: str, candidate: str, pairs: str, told: str
) -> None:
    """In the candidate or in the baseline alone, directly or by way of nodes without a partner."""
    graph = graph_of(candidate)
    all_pairs = {"u": "x", "L": "F", **dict(pair.split(":") for pair in pairs.split())}
    found = aligned(run_of(graph_of(baseline), {"x": X}), run_of(graph, {"u": X}), all_pairs, cuts=["z"])
    assert [name for phase, name in origins(found, graph) if phase == "forward"] == ["z"]
    of_gradients = [each for each in explained_origins(found) if each.phase.name == "backward"]
    assert {each.hypotheses[0].name for each in of_gradients} <= {"definition"}
    for each in of_gradients:
        assert told in str(each.sentence)
    assert of_gradients or verdicts(found, graph)["backward"]["u"] == "inherited"


@pytest.mark.parametrize(
    ("baseline", "candidate", "pairs"),
    [
        # x and its copy share out what flows back otherwise.
        ("i = identity(x); F = sum(exp(i) * x)", "i = identity(u); e = exp(i); L = sum(e * i)", "i:i e:exp_1"),
        ("a = exp(x); F = sum(a * a)", "a = exp(u); b = exp(u); L = sum(a * b)", "a:a"),
        ("r = x.T; s = r * 1; F = sum(s * r)", "r = u.T; s = r * 1; L = sum(s * s)", "s:s r:r"),
    ],
)
def test_a_gradient_of_another_share_is_not_compared(baseline: str, candidate: str, pairs: str) -> None:
    theirs, own = graph_of(baseline), graph_of(candidate)
    all_pairs = {"u": "x", "L": "F", **dict(pair.split(":") for pair in pairs.split())}
    run = run_of(own, {"u": X})
    found = aligned(run_of(theirs, {"x": X}), run, all_pairs)
    assert found.same and verdicts(found, own)["backward"]["u"] == "same"
    first = pairs.partition(":")[0]
    assert first not in verdicts(found, own)["backward"]
    # By its own replay it is judged all the same.
    wrong = run_of(own, {"u": X}, gradients={first: lambda slope: slope * 3})
    assert origins(aligned(run_of(theirs, {"x": X}), wrong, all_pairs), own) == [("backward", first)]


def test_a_gradient_of_another_share_that_reaches_an_input_differs_by_definition() -> None:
    """At whole numbers round(x) is x, and its gradient is 0."""
    theirs, own = graph_of("e = exp(x); F = sum(e * e)"), graph_of("e = exp(u); r = exp(round(u)); L = sum(e * r)")
    pairs = {"u": "x", "e": "e", "mul_1": "mul_1", "L": "F"}
    whole = np.arange(3.0)
    found = aligned(run_of(theirs, {"x": whole}), run_of(own, {"u": whole}), pairs)
    assert origins(found, own) == [("backward", "e")]
    assert verdicts(found, own)["backward"]["u"] == "inherited"
    assert "The node is used differently in the two graphs." in str(explained_origins(found)[0].sentence)
    # What rounding may do, and what may follow from another mistake, is not accused.
    halves = [replace(run_of(graph, {name: whole}), dtype="bfloat16") for graph, name in ((theirs, "x"), (own, "u"))]
    assert origins(aligned(*halves, pairs), own) == []
    wrong = run_of(own, {"u": whole}, values={"L": 9.0})
    assert origins(aligned(run_of(theirs, {"x": whole}), wrong, pairs), own) == [("forward", "L")]


@pytest.mark.parametrize("turned", [False, True])
def test_tied_weights_share_out_their_gradient(turned: bool) -> None:
    """In one graph they are one Input, in the other two, of which one lies transposed."""
    tied, copied = (
        graph_of("h = tanh(x @ W); y = h @ W.T; F = sum(y * y)"),
        graph_of("h = tanh(x @ W); y = h @ V; F = sum(y * y)"),
    )
    square = np.random.default_rng(2).normal(size=(4, 4))
    runs = run_of(tied, {"x": X, "W": square}), run_of(copied, {"x": X, "W": square, "V": square.T})
    baseline, candidate = reversed(runs) if turned else runs
    names = {name: name for name in ("x", "W", "h", "y", "matmul_1", "mul_1", "F")}
    found = aligned(baseline, candidate, names)
    assert found.same and "W" not in verdicts(found, candidate.graph)["backward"]


def test_a_pair_is_compared_through_its_layout() -> None:
    theirs, own = graph_of("y = x @ W; F = sum(y * y)"), graph_of("z = V @ u; L = sum(z * z)")
    places = np.arange(8).reshape(4, 2).T
    layouts = {"u": np.arange(12).reshape(3, 4).T, "V": places, "z": np.arange(6).reshape(3, 2).T}
    pairs = {"u": "x", "V": "W", "z": "y", "L": "F"}
    baseline = run_of(theirs, {"x": X, "W": WEIGHT})
    run = run_of(own, {"u": X.T, "V": WEIGHT.T})
    found = aligned(baseline, run, pairs, layouts=layouts)
    assert found.same and found.counts["same"] == 8
    assert found.forward is not None
    np.testing.assert_array_equal(named(own, found.forward.baseline)["V"], WEIGHT.T)
    gradient = named(own, run.gradients)["V"]
    wrong = aligned(baseline, altered(run, gradients={"V": 2 * gradient}), pairs, layouts=layouts)
    assert origins(wrong, own) == [("backward", "V")]
    wrong = aligned(baseline, run_of(own, {"u": X.T, "V": WEIGHT.T * 2}), pairs, layouts=layouts)
    assert origins(wrong, own) == [("forward", "V")] and wrong.differing_inputs == ["V"]


def test_a_seed_is_laid_out_as_its_output() -> None:
    theirs, own = graph_of("y = x * 2"), graph_of("z = u * 2")
    seed = np.arange(12.0).reshape(3, 4)

    def run(graph: Graph, name: str, at: FloatArray, flow: FloatArray) -> Run:
        values = forward_pass(graph, {name: at})
        output = graph.outputs[0]
        return Run(graph, values, backward=Backward(output, flow, backward_pass(graph, values, output, flow)))

    layouts = dict.fromkeys("uz", np.arange(12).reshape(3, 4).T)
    pair = run(theirs, "x", X, seed), run(own, "u", X.T, seed.T)
    assert aligned(*pair, {"u": "x", "z": "y"}, layouts=layouts).same


def test_figures_that_were_not_recorded_are_no_figures() -> None:
    """A cut that was not recorded shows in the next figure that was; a layout without figures lays out nothing."""
    theirs, own = graph_of("y = relu(x); F = sum(y)"), graph_of("z = leaky_relu(u); L = sum(z)")
    run = only(run_of(own, {"u": X.T}), values="uL")
    places = np.arange(12).reshape(3, 4).T
    pairs, layouts = {"u": "x", "z": "y", "L": "F"}, {"u": places, "z": places}
    found = aligned(only(run_of(theirs, {"x": X}), values="xF"), run, pairs, cuts=["z"], layouts=layouts)
    assert origins(found, own) == [("forward", "L")]
    assert (
        "What it is computed from is defined differently in the two graphs: z is leaky_relu(u), in the baseline y"
        in (str(explained_origins(found)[0].sentence))
    )
    assert found.forward is not None
    assert found.forward.verdicts[own.position["z"]] == Verdict.NOT_COMPARED


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_a_bug_alone_is_accused_of_programs_aligned_by_probes(case: Case) -> None:
    baseline, candidate = program(case.baseline()), program(case.candidate(), 0)
    found = compare(baseline.run, candidate.run, TOLERANCES["float64"], propose=propose_alignment)
    accused = [candidate.originals[name] for phase, name in origins(found, candidate.run.graph) if phase == "forward"]
    assert (found.arose, found.same) == (bool(case.bug), not case.bug)
    assert len(accused) == len(case.bug[:1]) and set(accused) <= set(case.bug)
    for each in explained_origins(found):
        assert [hypothesis.name for hypothesis in each.hypotheses] == ["definition"]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_a_planted_figure_alone_is_accused_of_programs_aligned_by_probes(case: Case) -> None:
    """Beside what is defined otherwise; planted in a value or a gradient, with a partner or without."""
    baseline, candidate = program(case.baseline()), program(case.candidate(), 1)
    graph = candidate.run.graph
    alignment = propose_alignment(baseline.run, candidate.run, {})
    cuts = {graph.nodes[position].name for position in alignment.cuts.tolist()}
    inputs = {name: candidate.run.values[graph.position[name]] for name in graph.inputs}
    for node in graph.nodes[::8]:
        for phase, kind, there in (("forward", "values", node.inputs), ("backward", "gradients", node.has_gradient)):
            if not there:
                continue
            run = run_of(graph, inputs, **{kind: {node.name: lambda figure: figure * 1.01 + 0.02}})
            found = compare(
                baseline.run, run, TOLERANCES["float64"], propose=lambda *given, alignment=alignment: alignment
            )
            accused = origins(found, graph)
            assert (phase, node.name) in accused
            others = {(each, name) for each, name in accused if name not in cuts} - {(phase, node.name)}
            assert not others or (case.bug and {each for each, _ in others} == {"backward"})


RESHAPED = [  # what stands in the baseline and in the candidate, the cut, and what else has another shape
    ("s = sum(x, axes=[0])", "v = sum(u, axes=[1])", "v"),
    ("s = mean(x)", "v = identity(u)", "v"),
    ("s = identity(x)", "v = mean(u)", "v"),
]


@pytest.mark.parametrize(("baseline", "candidate", "cut"), RESHAPED)
@pytest.mark.parametrize("planted", [None, "values", "gradients"])
def test_a_cut_of_another_shape_is_the_origin(baseline: str, candidate: str, cut: str, planted: str | None) -> None:
    """Its own shape is shown beside the baseline's; what rests on it is judged by its own replay."""
    theirs = graph_of(f"{baseline}; t = tanh(s); F = mean(t * t)")
    own = graph_of(f"{candidate}; w = tanh(v); L = mean(w * w)")
    wrong = {planted: {"w": lambda figure: figure * 1.01 + 0.02}} if planted else {}
    first, second = run_of(theirs, {"x": X}), run_of(own, {"u": X}, **wrong)
    found = compare(first, second, TOLERANCES["float64"], propose=propose_alignment)
    assert origins(found, own)[0] == ("forward", cut)
    phase = {"values": "forward", "gradients": "backward"}
    assert origins(found, own)[1:] == ([(phase[planted], "w")] if planted else [])
    at, there = own.position["v"], theirs.position["s"]
    assert found.forward is not None
    np.testing.assert_array_equal(found.forward.given(at), second.values[at])
    np.testing.assert_array_equal(found.forward.right(at), first.values[there])
    np.testing.assert_array_equal(found.forward.due(at), first.values[there])
    (figure,) = judged_figures(found, np.array([at]))
    assert (figure.worst, figure.absolute_error) == (None, np.inf)
    sentence = str(explained_origins(found)[0].sentence)
    assert sentence.startswith("v has the shape [")
    assert "defined differently in the two graphs" in sentence


@pytest.mark.parametrize("multiple", [1.0, 2.0])
def test_seeds_of_outputs_of_other_shapes_are_those_of_one_sum(multiple: float) -> None:
    def run(graph: Graph, name: str, seed: FloatArray) -> Run:
        values, output = forward_pass(graph, {name: X}), graph.outputs[0]
        return Run(graph, values, backward=Backward(output, seed, backward_pass(graph, values, output, seed)))

    own = graph_of("L = mean(u, axes=[1], keepdims=0)")
    baseline = run(graph_of("F = mean(x, axes=[0], keepdims=0)"), "x", np.ones(4))
    candidate = run(own, "u", np.full(3, multiple))
    if multiple == 1.0:
        found = compare(baseline, candidate, TOLERANCES["float64"], propose=propose_alignment)
        assert origins(found, own) == [("forward", "L")]
        assert verdicts(found, own)["backward"] == dict.fromkeys("uL", "inherited")
    else:
        with pytest.raises(InvalidRequest, match="seeds"):
            compare(baseline, candidate, TOLERANCES["float64"], propose=propose_alignment)
