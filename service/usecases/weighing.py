"""Weigh work before it is done: whether it may be done here."""

from service.core.figures.weight import Weight


class NeedsMore(Exception):
    """The work is too large for where it was begun; it is to be begun again where `weight` is granted."""

    def __init__(self, weight: Weight) -> None:
        super().__init__(weight)
        self.weight = weight


def admit(weight: Weight, granted: Weight | None) -> None:
    """Return if work of that weight may begin; `granted` is what may be used here, None for whatever it takes.

    Raises NeedsMore.
    """
    if granted is not None and not weight.fits(granted):
        raise NeedsMore(weight)
