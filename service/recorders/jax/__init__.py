"""Record what a function of JAX computes.

`program` opens the function's jaxpr into steps and computes their gradients. The tables `operations`, `indexing` and
`windows` say which nodes a step is, in `terms`; `recorder` is the door.
"""

from service.recorders.jax.recorder import record

__all__ = ["record"]
