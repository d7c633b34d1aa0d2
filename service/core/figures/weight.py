"""About how much a computation takes, estimated from shapes before it begins."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weight:
    """`operations` on floating-point numbers, and `nbytes`, the most memory at once beside what is held already."""

    operations: float = 0.0
    nbytes: float = 0.0

    def fits(self, most: "Weight") -> bool:
        """Whether neither is over `most`."""
        return self.operations <= most.operations and self.nbytes <= most.nbytes
