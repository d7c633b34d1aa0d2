"""Record PyTorch programs: `from gradbook.torch import record`."""

from service.recorders.archive import NotARecording
from service.recorders.optimizers import UnknownOptimizer
from service.recorders.recording import NotDifferentiable, Recording
from service.recorders.torch import exported, record, record_training
from service.recorders.training import TrainingRecording

__all__ = [
    "NotARecording",
    "NotDifferentiable",
    "Recording",
    "TrainingRecording",
    "UnknownOptimizer",
    "exported",
    "record",
    "record_training",
]
