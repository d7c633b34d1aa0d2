"""Record PyTorch programs: `from gradbook.torch import record`."""

from service.recorders.recording import NotARecording, Recording
from service.recorders.torch import record

__all__ = ["NotARecording", "Recording", "record"]
