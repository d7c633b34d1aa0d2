"""What a comparison found, in words: its verdict, what explains the differences, and how far they go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.comparison.causes import Cause, find_causes
from service.core.comparison.error_measures import minimum_tolerance
from service.core.comparison.inheritance import Place, inherited_from
from service.core.comparison.listing import explained_origins
from service.core.comparison.verdicts import DIFFERENT, JUDGED, Comparison, Phase, Verdict
from service.core.figures.text import listed, short_number
from service.core.symbolic.phrases import Sentence

_NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_NAMED, _DETAILED = 8, 4  # names that a sentence lists, and origins of one cause that are told singly
_SLIP, _INPUT, _DEFINITION, _CHOICE = "slip", "other input", "other definition", "choice where no derivative exists"


@dataclass(frozen=True, slots=True)
class ShownCause:
    """A cause: what is said of it and, if several figures have it, of each; how many those are, and the nodes whose
    figures follow from them, the first few by name.

    `places` are all the figures that it explains; not `whole` if they are too many to be found. `origin` is phase and
    node of the first of them, if it can be reproduced.
    """

    kind: str
    sentence: Sentence
    details: Sequence[Sentence]
    count: int
    follow: Sequence[str]
    more: int
    places: frozenset[Place]
    whole: bool
    origin: tuple[str, str] | None


def show_causes(found: Comparison) -> list[ShownCause]:
    """What explains the differences: the causes of the origins, then choices where no derivative exists."""
    return [_shown(found, cause) for cause in (*find_causes(found), *_choices(found))]


def _choices(found: Comparison) -> list[Cause]:
    """One finding for each group of libraries whose choices explain figures."""
    phase = found.backward
    groups: dict[tuple[str, ...], list[int]] = {}
    for position in phase.positions(Verdict.CONVENTION) if phase else ():
        groups.setdefault(found.conventions[position], []).append(position)
    nodes, causes = found.candidate.graph.nodes, []
    for libraries, positions in groups.items():
        assert phase is not None
        names, more = _named([nodes[position].name for position in positions])
        subject = listed([*names, *([f"{more:,} more"] if more else [])])
        is_one = len(positions) == 1
        said = f"The gradient{'' if is_one else 's'} of {subject} {'is' if is_one else 'are'} the choice of "
        sentence = Sentence(f"{said}{listed(libraries)} where no derivative exists.")
        causes.append(Cause(sentence, tuple((phase, position) for position in positions)))
    return causes


def _shown(found: Comparison, cause: Cause) -> ShownCause:
    nodes, follow = found.candidate.graph.nodes, inherited_from(found, cause.explains)
    names, more = _named([nodes[position].name for _, position in follow.places])
    told = {(each.phase, each.position): each.sentence for each in explained_origins(found)[:100]}
    details = [told[place] for place in cause.explains if place in told] if len(cause.explains) > 1 else []
    places = frozenset((*cause.explains, *follow.places))
    return ShownCause(
        _kind(found, *cause.explains[0]),
        cause.sentence,
        details[:_DETAILED],
        len(cause.explains),
        names,
        more,
        places,
        follow.whole,
        _reproducible(found, *cause.explains[0]),
    )


def _named(names: Sequence[str]) -> tuple[Sequence[str], int]:
    different = list(dict.fromkeys(names))
    return different[:_NAMED], len(different[_NAMED:])


def _kind(found: Comparison, phase: Phase, position: int) -> str:
    if phase.verdicts[position] == Verdict.CONVENTION:
        return _CHOICE
    if position in phase.definitions:
        return _DEFINITION
    is_input = phase is found.forward and found.candidate.graph.nodes[position].operation.is_input
    return _INPUT if is_input else _SLIP


def _reproducible(found: Comparison, phase: Phase, position: int) -> tuple[str, str] | None:
    node, follows = found.candidate.graph.nodes[position], position not in phase.unreplayed
    computed = bool(node.inputs) or phase is found.backward
    is_origin = phase.verdicts[position] == Verdict.ORIGIN
    return (phase.name, node.name) if is_origin and computed and (follows or position in phase.definitions) else None


def number_word(count: int) -> str:
    """A count as a sentence has it: in words up to twelve."""
    return _NUMBERS[count] if count < len(_NUMBERS) else f"{count:,}"


def verdict(counts: Mapping[str, int], causes: Sequence[ShownCause]) -> str:
    """The comparison in a sentence or two: Six of eleven figures differ. Two slips explain them all."""
    total, differing = sum(counts.values()), _differing(counts)
    if not total:
        return "No figure was compared"
    if not differing:
        return f"{_all_of(total, 'figure').capitalize()} agree{'s' if total == 1 else ''}"
    if differing == total:
        said = f"{_all_of(total, 'figure').capitalize()} differ{'s' if total == 1 else ''}."
    else:
        said = f"{number_word(differing).capitalize()} of {number_word(total)} figures differ{_s(differing)}."
    return f"{said} {_explained(differing, causes)}"


def _explained(differing: int, causes: Sequence[ShownCause]) -> str:
    if not causes:
        return "Errors below the tolerance grew into them." if differing > 1 else "An error below the tolerance grew."
    kinds = dict.fromkeys(cause.kind for cause in causes)
    parts = [_counted(sum(cause.kind == kind for cause in causes), kind) for kind in kinds]
    subject, verb_ending = listed(parts).capitalize(), _s(len(causes))
    if not all(cause.whole for cause in causes):
        return f"{subject} {'is' if len(causes) == 1 else 'are'} where it begins."
    explained = len(frozenset[Place]().union(*(cause.places for cause in causes)))
    if explained < differing:
        return f"{subject} explain{verb_ending} {number_word(explained)} of them."
    them = "it" if differing == 1 else "both" if differing == 2 else "them all"
    return f"{subject} explain{verb_ending} {them}."


def _s(count: int) -> str:
    """The ending of a verb after so many."""
    return "s" if count == 1 else ""


def _counted(count: int, what: str) -> str:
    return f"{number_word(count)} {what if count == 1 else _plural(what)}"


def _plural(what: str) -> str:
    return what.replace("choice", "choices") if what == _CHOICE else f"{what}s"


def _all_of(count: int, what: str) -> str:
    return {1: f"the one {what}", 2: f"both {what}s"}.get(count, f"all {number_word(count)} {what}s")


def _differing(counts: Mapping[str, int]) -> int:
    return sum(counts[each.name.lower()] for each in DIFFERENT)


def brief(counts: Mapping[str, int]) -> str:
    """The counts for a list: six of eleven differ."""
    total, differing = sum(counts.values()), _differing(counts)
    return f"{number_word(differing)} of {number_word(total)} differ{_s(differing)}" if differing else "the same"


def agreeing(found: Comparison) -> str:
    """Which figures agree: All four values and one of seven gradients agree."""
    parts, together = [], 0
    for phase in found.phases:
        judged, same = (int(np.isin(phase.verdicts, wanted).sum()) for wanted in (JUDGED, (Verdict.SAME,)))
        what = "value" if phase is found.forward else "gradient"
        if same:
            together += same
            some = f"{number_word(same)} of {number_word(judged)} {what}s"
            parts.append(_all_of(same, what) if same == judged else some)
    if not parts:
        return "No figure agrees."
    said = listed(parts)
    return f"{said[0].upper()}{said[1:]} agree{_s(together)}."


def tolerance_words(tolerance: Any) -> str:
    """The tolerance of a comparison as it was asked for."""
    if isinstance(tolerance, str):
        return f"tolerance {tolerance}"
    bounds = (("relative", tolerance.get("rtol")), ("absolute", tolerance.get("atol")))
    told = [f"{short_number(float(bound))} {kind}" for kind, bound in bounds if bound]
    return f"tolerance {listed(told)}" if told else "no tolerance"


def least_tolerance(found: Comparison) -> str:
    """Under which tolerance the two runs would be the same."""
    least = minimum_tolerance(found)
    relative, absolute = least["rtol"], least["atol"]
    if absolute == 0.0:
        return "Every figure is equal: no tolerance is needed."
    told = [
        f"{kind} tolerance of {_rounded_up(bound)}"
        for kind, bound in (("a relative", relative), ("an absolute", absolute))
        if bound is not None
    ]
    if not told:
        return "No tolerance makes them the same."
    verb = "would make" if not found.same else "would do to make"
    return f"{listed(told, 'or').capitalize()} {verb} them the same."


def _rounded_up(bound: float) -> str:
    """A bound in three digits, none of which makes it less than it is."""
    text = short_number(bound)
    if float(text.replace("−", "-")) >= bound:
        return text
    return short_number(bound * 1.005)
