"""All tables together: to import them is to fill FUNCTIONS."""

from service.recorders.torch import (  # noqa: F401
    activations,
    elementwise,
    indexing,
    layers,
    linear_algebra,
    losses,
    margins,
    reductions,
    shaping,
)
from service.recorders.torch.call import FUNCTIONS

__all__ = ["FUNCTIONS"]
