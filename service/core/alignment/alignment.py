"""What an alignment of two graphs says."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np

from service.core.figures.figures import IntArray


class How(Enum):
    """How a pair was found."""

    NAME = "name"
    FIGURES = "figures"
    STRUCTURE = "structure"
    VERIFIED = "verified"


@dataclass(frozen=True, eq=False)
class Alignment:
    """The pairs of a candidate's nodes with a baseline's, one with one, all by position.

    `partners` has for each node of the candidate its partner, −1 without one; `how` says how each pair was found, by
    name where it says nothing. `cuts` are those of the candidate's nodes that compute another function than their
    partners do. `layouts` has for a pair whose elements lie otherwise, transposed or reshaped, an array of the
    candidate's shape that says where each of its elements lies in the baseline's figure:
    `candidate = baseline.ravel()[layout]`, each element once.
    """

    partners: IntArray
    how: Mapping[int, How]
    cuts: IntArray
    layouts: Mapping[int, IntArray]

    @property
    def counts(self) -> dict[How, int]:
        """How many pairs were found in each way."""
        ways = Counter(self.how.get(position, How.NAME) for position in np.flatnonzero(self.partners >= 0).tolist())
        return {how: ways[how] for how in How if ways[how]}
