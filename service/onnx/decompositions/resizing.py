"""Interpolation: a matrix along each axis."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from service.core.figures.figures import Shape
from service.core.graph.graph import Node
from service.core.rulebook.operations.interpolation import Interpolation, interpolation_weights, resized_axes
from service.onnx.decompositions.shared import decomposes
from service.onnx.writing import Unwritten, Writer


def _along_axes(w: Writer, x: str, matrices: Sequence[tuple[int, NDArray[Any]]], rank: int) -> str:
    """Multiply by a matrix along each axis."""
    for axis, matrix in matrices:
        order = [axis, *(each for each in range(rank) if each != axis)]
        letters = "abcdefghijklmnopqrstuvwxy"[:rank]
        result = letters.replace(letters[axis], "z")
        equation = f"z{letters[order[0]]},{letters}->{result}"
        x = w.emit("Einsum", w.number(matrix), x, equation=equation)
    return x


def _interpolation(node: Node, shape: Shape) -> list[tuple[int, NDArray[Any]]]:
    given = Interpolation(*(node.attributes.get(each.name, each.default) for each in node.operation.attributes))
    extrapolates = node.operation.name == "Resize" and given.extrapolation_value != 0.0
    if given.coordinates == "tf_crop_and_resize" and extrapolates:
        raise Unwritten("with an extrapolation value ONNX Runtime does not compute what it says")
    return [(along.axis, interpolation_weights(along, given).toarray()) for along in resized_axes(shape, given)]


@decomposes("Resize")
def _resize(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """ONNX Runtime lacks some ways: of these a matrix along each axis."""
    a = node.attributes
    rare = a["antialias"] or a["exclude_outside"] or a["keep_aspect_ratio_policy"] != "stretch"
    rare = rare or (a["mode"] != "nearest" and len(w.shape(node.inputs[0])) != 4)
    if not rare and a["coordinate_transformation_mode"] != "tf_crop_and_resize":
        return None
    shape = w.shape(node.inputs[0])
    return _along_axes(w, x[0], _interpolation(node, shape), len(shape))


@decomposes("ResizeAdjoint")
def _resize_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    shape = w.shape(node.inputs[1])
    matrices = [(axis, matrix.T) for axis, matrix in _interpolation(node, shape)]
    return _along_axes(w, x[0], matrices[::-1], len(shape))
