"""Alignments: which nodes of two graphs are one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from service.client.figures import Document
from service.client.results.result import Row, Table


@dataclass(frozen=True, slots=True)
class Alignment(Table):
    """The pairs of two graphs' nodes, candidate → baseline.

    `how` says how each pair was found: by name, figures, structure, or verified; `counts` says how many were found in
    each way, those included that a comparison leaves out of its lists. `cuts` are the pairs, candidate and baseline,
    that compute another function, `layouts` those whose elements lie otherwise, transposed or reshaped, and `unpaired`
    the nodes of each side, "candidate" and "baseline", without a partner. As a table it lists the pairs.
    """

    pairs: Mapping[str, str]
    how: Mapping[str, str]
    counts: Mapping[str, int]
    cuts: tuple[tuple[str, str], ...]
    layouts: Mapping[str, str]
    unpaired: Mapping[str, tuple[str, ...]]
    document: Document = field(repr=False, compare=False)

    def _shown_rows(self) -> Iterable[Row]:
        cut = {candidate for candidate, _ in self.cuts}
        for candidate, baseline in self.pairs.items():
            yield {
                "candidate": candidate,
                "baseline": baseline,
                "how": self.how[candidate],
                "cut": candidate in cut,
                "layout": candidate in self.layouts,
            }


def read_alignment(document: Document) -> Alignment:
    """Read an alignment."""
    return Alignment(
        pairs=document["pairs"],
        how=document["how"],
        counts=document["counts"],
        cuts=tuple((candidate, baseline) for candidate, baseline in document["cuts"]),
        layouts=document["layouts"],
        unpaired={side: tuple(names) for side, names in document["unpaired"].items()},
        document=document,
    )
