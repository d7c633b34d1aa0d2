"""About how much a computation takes, estimated from shapes before it begins."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weight:
    """`operations` on floating-point numbers, and `nbytes`, the most memory at once beside what is held already.

    An operation is as long as the addition of two numbers of an array, about a nanosecond.
    """

    operations: float = 0.0
    nbytes: float = 0.0

    def fits(self, most: "Weight") -> bool:
        """Whether neither is over `most`."""
        return self.operations <= most.operations and self.nbytes <= most.nbytes

    def __add__(self, other: "Weight") -> "Weight":
        """Of both, where what the one holds is held while the other is done."""
        return Weight(self.operations + other.operations, self.nbytes + other.nbytes)

    def then(self, other: "Weight") -> "Weight":
        """Of one after the other, where what the one holds is let go before the other begins."""
        return Weight(self.operations + other.operations, max(self.nbytes, other.nbytes))

    def __mul__(self, count: float) -> "Weight":
        """Of so many, all of them held at once."""
        return Weight(self.operations * count, self.nbytes * count)

    def times(self, count: float) -> "Weight":
        """Of doing it that many times, one after the other."""
        return Weight(self.operations * count, self.nbytes if count else 0.0)
