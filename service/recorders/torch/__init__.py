"""Record a PyTorch program as it runs.

`capture` sees each call of PyTorch's functions, and `tensors` knows which node each tensor has and takes the gradients.
`tables` lists the modules that say which nodes a function is; `composites` opens those that are many. `aliases` follows
what is changed in place, `exported` has torch.export make a static graph. The doors are `record` and
`record_training`.
"""

from service.recorders.torch.exported import exported
from service.recorders.torch.recorder import record
from service.recorders.torch.training import record_training

__all__ = ["exported", "record", "record_training"]
