"""The frames of the program that is being recorded: its lines and its local names."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch

_OURS = str(Path(__file__).parents[2])
_NOT_THE_PROGRAMS = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]))


def line_of_program() -> str | None:
    """The line that is being executed, "file.py:12", the file relative to the working directory."""
    frame = next(_frames(), None)
    return None if frame is None else f"{os.path.relpath(frame.f_code.co_filename)}:{frame.f_lineno}"


def local_name(value: Any) -> str | None:
    """The local variable that holds a value, in the innermost function that has one."""
    for frame in _frames():
        for name, held in frame.f_locals.items():
            if held is value and name.isidentifier():
                return name
    return None


def _frames() -> Iterator[FrameType]:
    """From the innermost out; none of those of a command of ours that calls the program."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_NOT_THE_PROGRAMS):
            if file.startswith(_OURS):
                return
            yield frame
        frame = frame.f_back
