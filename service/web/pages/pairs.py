"""Which nodes of a comparison's two graphs are one, on its page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.alignment.alignment import How
from service.core.comparison.differing_definitions import difference
from service.core.comparison.verdicts import Comparison
from service.core.figures.text import listed
from service.usecases.alignments import PROBES
from service.usecases.comparisons import Compared

_PAIRS, _CUTS = 1000, 25
_FOUND = {
    How.NAME: "by name",
    How.FIGURES: "by equal figures",
    How.STRUCTURE: "by structure",
    How.VERIFIED: "as what follows agrees",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair of nodes, how it was found, and what is to be said of it."""

    own: str
    other: str
    how: str
    note: str


def show_pairs(compared: Compared) -> Mapping[str, Any]:
    """The pairs of nodes: those that were found by probes, or those whose names were given."""
    if compared.record.align != PROBES:
        given = sorted(compared.record.names.items())[:_PAIRS]
        return {"pairs": [Pair(own, other, "", "") for own, other in given], "cuts": [], "paired": ""}
    found, alignment = compared.found, compared.found.alignment
    positions = np.flatnonzero(alignment.partners >= 0)
    counted = listed([f"{count:,} {_FOUND[how]}" for how, count in alignment.counts.items()])
    return {
        "pairs": [_pair(found, each) for each in positions[:_PAIRS].tolist()],
        "cuts": [_pair(found, each) for each in alignment.cuts[:_CUTS].tolist()],
        "paired": f"{len(positions):,} nodes are paired by what they compute: {counted}.",
    }


def _pair(found: Comparison, position: int) -> Pair:
    alignment, partner = found.alignment, found.partner(position)
    assert partner is not None
    note = "laid out otherwise" if position in alignment.layouts else ""
    if position in alignment.cuts:
        note = difference(found, position, "it") or "defined otherwise"
    how = _FOUND[alignment.how.get(position, How.NAME)]
    return Pair(found.candidate.graph.nodes[position].name, partner.name, how, note)
