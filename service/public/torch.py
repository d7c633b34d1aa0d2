"""Record PyTorch programs: `from gradbook.torch import record`."""

from service.recorders.archive import NotARecording
from service.recorders.recording import NotDifferentiable, Recording
from service.recorders.torch import exported, record

__all__ = ["NotARecording", "NotDifferentiable", "Recording", "exported", "record"]
