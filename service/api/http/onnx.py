"""An ONNX model, the bytes of one .onnx file, from which a graph is made, where the extra `onnx` is installed.

Opsets from 7 on are read, and nothing is imported approximately: a node that cannot be computed exactly as ONNX says is
refused, with all others of its kind. A node has the name of the tensor that it gives. The model's own inputs come first
among the graph's inputs; its floating-point initializers are the inputs after them, and the graph's `weights`: tensors
that a run takes wherever it is given no others.
"""

from collections.abc import Sequence

from service.api.http.problems import InvalidParameters
from service.core.errors import Fault

MEDIA_TYPE = "application/x-onnx"


def read_shapes(texts: Sequence[str]) -> dict[str, list[int]]:
    """Shapes of a model's inputs, each as NAME=LENGTH,LENGTH…; raises InvalidParameters."""
    shapes: dict[str, list[int]] = {}
    faults = []
    for text in texts:
        name, equals, lengths = text.rpartition("=")
        parts = lengths.split(",") if lengths else []
        if not equals or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
            faults.append(Fault(("input",), f"a shape is written NAME=LENGTH,LENGTH…, not {text!r}"))
        elif name in shapes:
            faults.append(Fault(("input",), f"the shape of {name!r} is given twice"))
        shapes[name] = [] if faults else [int(part) for part in parts]
    if faults:
        raise InvalidParameters(faults)
    return shapes
