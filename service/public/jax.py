"""Record functions of JAX: `from gradbook.jax import record`."""

from service.recorders.archive import NotARecording
from service.recorders.jax import record
from service.recorders.recording import NotDifferentiable, Recording

__all__ = ["NotARecording", "NotDifferentiable", "Recording", "record"]
