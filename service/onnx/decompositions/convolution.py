"""Convolutions: between x, whose elements lie under windows, and y, which has one element at each step."""

from collections.abc import Sequence
from dataclasses import replace

from service.core.figures.figures import Shape
from service.core.graph.graph import Node
from service.core.rulebook.operations.transposed_convolution import transposed_window
from service.core.rulebook.operations.window import window
from service.onnx.decompositions.shared import decomposes, reshape
from service.onnx.decompositions.windows import Windows
from service.onnx.writing import Writer


def _convolution(w: Writer, node: Node, x: Shape, kernel: Shape) -> Windows:
    a = node.attributes
    return Windows(w, x, window(x[2:], kernel[2:], a["strides"], a["dilations"], a["pads"], a["auto_pad"]))


def _transposed(w: Writer, node: Node, y: Shape, kernel: Shape) -> Windows:
    slid, lengths = transposed_window(y, kernel, tuple(node.attributes.values()))
    return Windows(w, (y[0], kernel[1] * node.attributes["group"], *lengths), slid)


class _Products:
    """The three products of x, y and kernel, each in the form of one of them."""

    def __init__(self, windows: Windows, kernel: Shape, groups: int) -> None:
        self.windows, self.kernel, self.groups = windows, kernel, groups
        self.steps, self.positions = windows.positions.shape

    def _x(self, x: str) -> str:
        shape = [self.windows.shape[0], self.groups, self.kernel[1], self.steps, self.positions]
        return reshape(self.windows.w, self.windows.gather(x, 0.0), shape)

    def _y(self, y: str) -> str:
        shape = [self.windows.shape[0], self.groups, self.kernel[0] // self.groups, self.steps]
        return reshape(self.windows.w, y, shape)

    def _kernel(self, kernel: str) -> str:
        shape = [self.groups, self.kernel[0] // self.groups, self.kernel[1], self.positions]
        return reshape(self.windows.w, kernel, shape)

    def to_x(self, y: str, kernel: str) -> str:
        made = self.windows.w.emit("Einsum", self._y(y), self._kernel(kernel), equation="ngms,gmcp->ngcsp")
        return self.windows.scatter(made)

    def to_y(self, x: str, kernel: str) -> str:
        made = self.windows.w.emit("Einsum", self._x(x), self._kernel(kernel), equation="ngcsp,gmcp->ngms")
        shape = [self.windows.shape[0], self.kernel[0], *self.windows.steps]
        return reshape(self.windows.w, made, shape)

    def to_kernel(self, x: str, y: str) -> str:
        made = self.windows.w.emit("Einsum", self._x(x), self._y(y), equation="ngcsp,ngms->gmcp")
        return reshape(self.windows.w, made, self.kernel)


@decomposes("ConvTranspose")
def _transposed_to_shape(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """ONNX Runtime refuses some shapes that the value is to have."""
    a = node.attributes
    padded = max(a["output_padding"] or (0,)) >= min(a["strides"] or (1,)) and any(a["output_padding"] or ())
    if a["output_shape"] is None and not padded:
        return None
    shape, kernel = (w.shape(name) for name in node.inputs[:2])
    made = _Products(_transposed(w, node, shape, kernel), kernel, node.attributes["group"]).to_x(x[0], x[1])
    if len(x) < 3:
        return made
    return w.emit("Add", made, reshape(w, x[2], [-1, *[1] * (len(shape) - 2)]))


@decomposes("Conv")
def _conv_as_it_is(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """Padding that is the SAME, ONNX Runtime does not take beside dilations."""
    a = node.attributes
    if not a["auto_pad"].startswith("SAME") or max(a["dilations"] or (1,)) == 1:
        return None
    shape, kernel = (w.shape(name) for name in node.inputs[:2])
    slid = window(shape[2:], kernel[2:], a["strides"], a["dilations"], a["pads"], a["auto_pad"])
    w.write_alike(replace(node, attributes={**a, "auto_pad": "NOTSET", "pads": (*slid.before, *slid.after)}), x)
    return node.name


@decomposes("ConvInputAdjoint")
def _conv_input_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    _, kernel, shape = (w.shape(name) for name in node.inputs)
    return _Products(_convolution(w, node, shape, kernel), kernel, node.attributes["group"]).to_x(x[0], x[1])


@decomposes("ConvKernelAdjoint")
def _conv_kernel_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    shape, _, kernel = (w.shape(name) for name in node.inputs)
    return _Products(_convolution(w, node, shape, kernel), kernel, node.attributes["group"]).to_kernel(x[0], x[1])


@decomposes("ConvTransposeInputAdjoint")
def _transposed_input_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    _, kernel, shape = (w.shape(name) for name in node.inputs)
    return _Products(_transposed(w, node, shape, kernel), kernel, node.attributes["group"]).to_y(x[0], x[1])


@decomposes("ConvTransposeKernelAdjoint")
def _transposed_kernel_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    shape, _, kernel = (w.shape(name) for name in node.inputs)
    return _Products(_transposed(w, node, shape, kernel), kernel, node.attributes["group"]).to_kernel(x[1], x[0])
