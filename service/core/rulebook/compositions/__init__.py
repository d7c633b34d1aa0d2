"""The composed operations. Importing this package registers all of them, in this order."""

from service.core.rulebook.compositions import attention, normalization, optimizers, recurrent

__all__ = ["attention", "normalization", "optimizers", "recurrent"]
