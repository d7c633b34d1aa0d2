"""Record a PyTorch program as it runs.

`capture` sees each call of PyTorch's functions and the gradients of its results. The tables `elementwise`, `shaping`,
`reductions`, `indexing`, `layers` and `losses` say which nodes a function is; `composites` opens those that are many.
`aliases` follows what is changed in place, `exported` has torch.export make a static graph, and `record` is the door.
"""

from service.recorders.torch.exported import exported
from service.recorders.torch.recorder import record

__all__ = ["exported", "record"]
