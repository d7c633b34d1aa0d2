"""Record functions of JAX: `from gradbook.jax import record`."""

from service.recorders.jax import record
from service.recorders.recording import NotARecording, Recording

__all__ = ["NotARecording", "Recording", "record"]
