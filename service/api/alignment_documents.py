"""What is answered of alignments, as JSON documents."""

from itertools import islice
from typing import Any

import numpy as np

from service.core.alignment.alignment import Alignment, How
from service.core.graph.graph import Graph


def alignment_document(
    baseline: Graph, candidate: Graph, alignment: Alignment, most: int | None = None
) -> dict[str, Any]:
    """The pairs of two graphs' nodes, how they were found, and what has none: at most `most` of each, None for all."""
    partners = alignment.partners
    alone = np.ones(len(baseline), dtype=bool)
    alone[partners[partners >= 0]] = False

    def pair(position: int) -> tuple[str, str]:
        return candidate.nodes[position].name, baseline.nodes[int(partners[position])].name

    paired = np.flatnonzero(partners >= 0)[:most].tolist()
    return {
        "pairs": dict(map(pair, paired)),
        "how": {candidate.nodes[each].name: alignment.how.get(each, How.NAME).value for each in paired},
        "counts": {how.value: count for how, count in alignment.counts.items()},
        "cuts": [pair(each) for each in alignment.cuts[:most].tolist()],
        "layouts": dict(map(pair, islice(sorted(alignment.layouts), most))),
        "unpaired": {
            "candidate": [candidate.nodes[each].name for each in np.flatnonzero(partners < 0)[:most].tolist()],
            "baseline": [baseline.nodes[each].name for each in np.flatnonzero(alone)[:most].tolist()],
        },
    }
