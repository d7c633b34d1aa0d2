"""Two programs that compute the same, or all but one thing, under names made up and in another order."""

import pytest

from service.core.alignment.proposing import propose_alignment
from tests.alignment_cases import CASES, Case, program, true_pairs


def check(case: Case, seed: int) -> None:
    """All true pairs are found, and the bug is the cut, in a program that is renamed and shuffled by the seed."""
    baseline, candidate = program(case.baseline()), program(case.candidate(), seed)
    found = propose_alignment(baseline.run, candidate.run, {})
    graph, other = candidate.run.graph, baseline.run.graph
    pairs = {
        graph.nodes[mine].name: other.nodes[partner].name
        for mine, partner in enumerate(found.partners.tolist())
        if partner >= 0
    }
    wanted = true_pairs(baseline, candidate)
    assert {name: pairs.get(name) for name in wanted} == wanted
    assert {candidate.originals[graph.nodes[mine].name] for mine in found.cuts.tolist()} == set(case.bug)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_all_that_is_the_same_is_paired_and_a_bug_is_the_cut(case: Case) -> None:
    check(case, 0)


@pytest.mark.slow
def test_two_hundred_programs_are_paired() -> None:
    for seed in range(1, 1 + 200 // len(CASES) + 1):
        for case in CASES:
            check(case, seed)
