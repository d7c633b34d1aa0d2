"""Record functions of JAX: `from gradbook.jax import record`."""

from service.recorders.jax import record
from service.recorders.recording import NotARecording, NotDifferentiable, Recording

__all__ = ["NotARecording", "NotDifferentiable", "Recording", "record"]
