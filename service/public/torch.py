"""Record PyTorch programs: `from gradbook.torch import record`."""

from service.recorders.recording import NotARecording, NotDifferentiable, Recording
from service.recorders.torch import exported, record

__all__ = ["NotARecording", "NotDifferentiable", "Recording", "exported", "record"]
