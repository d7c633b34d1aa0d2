"""A script that shows an origin with NumPy, PyTorch or JAX alone: what is right, what was recorded, how far apart."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.core.derivatives.gradient_graph import gradient_graph
from service.core.figures.figures import FloatArray
from service.core.reproduction.smallest import Smallest, seeded
from service.core.source.identifiers import commented
from service.core.source.writing import write_array, write_function, write_module

LANGUAGES = ("numpy", "torch", "jax")

# Arrays of more elements are not written into the script, but read from a file beside it.
LARGEST_WRITTEN = 256

_RESERVED = ("right", "recorded", "seed", "beside", "pathlib")
_WIDTH = 100
_LOADED = {
    "numpy": 'beside["{}"]',
    "torch": 'torch.from_numpy(beside["{}"])',
    "jax": 'jnp.asarray(beside["{}"])',
}
_DIFFERENTIATED = {
    "torch": ["{x}.requires_grad_()", "{call}.backward(seed)", "right = {x}.grad"],
    "jax": ["(right,) = jax.vjp(lambda {x}: {call}, {x})[1](seed)"],
}


@dataclass(frozen=True, eq=False)
class Script:
    """Code in Python and, by its variables, the figures in it; it reads those that are large from the .npz beside it of
    its own name, if it `reads` any."""

    name: str
    text: str
    figures: Mapping[str, FloatArray]
    reads: bool


def write_script(small: Smallest, language: str, about: Sequence[str]) -> Script:
    """Write a script in one of LANGUAGES, with paragraphs `about` it.

    PyTorch and JAX differentiate by themselves; NumPy is given the derivative. Raises InvalidRequest that names every
    operation that the language cannot say.
    """
    graph, inputs, what = small.graph, small.inputs, f"value of {small.output}"
    differentiated = small.seed is not None and _is_differentiated(small, language)
    if small.seed is not None and not differentiated:
        graph, inputs = seeded(small)
        graph = gradient_graph(graph, graph.outputs[0], [small.node])
        what = f"gradient of {small.node}"
    function = write_function(graph, language, what, [f"The {commented(what)}."], _RESERVED)
    figures = {function.parameters[name]: inputs[name] for name in graph.inputs}
    call = f"{function.name}({', '.join(figures)})"
    right = [f"right = {call}"]
    if small.seed is not None and differentiated:
        x, figures["seed"] = function.parameters[small.node], small.seed
        right = [line.format(call=call, x=x) for line in _DIFFERENTIATED[language]]
    figures["recorded"] = small.recorded
    is_float32 = bool(graph.float32_nodes)
    if is_float32:
        figures = {name: figure.astype(np.float32) for name, figure in figures.items()}
    lines = [*_assign(figures, language, is_float32), "", *right, *_compare(small, language)]
    blocks = [*function.helpers, function.text, "\n".join(lines)]
    text = write_module(language, blocks, is_float32=is_float32)
    docstring = "\n\n".join("\n".join(textwrap.wrap(commented(each), _WIDTH, break_on_hyphens=False)) for each in about)
    return Script(function.name, f'"""{docstring}\n"""\n\n{text}', figures, any(map(_is_large, figures.values())))


def _is_differentiated(small: Smallest, language: str) -> bool:
    """Whether the library itself is to differentiate: it may refuse to where the output moves by jumps, if at all."""
    refused = language == "torch" and any(node.operation.name == "FloorDiv" for node in small.graph.nodes)
    return language in _DIFFERENTIATED and small.node != small.output and bool(np.any(small.right)) and not refused


def _is_large(figure: FloatArray) -> bool:
    return figure.size > LARGEST_WRITTEN


def _assign(figures: Mapping[str, FloatArray], language: str, is_float32: bool) -> list[str]:
    """The lines that give the variables their figures."""
    lines = [
        f"{name} = {_LOADED[language].format(name)}"
        if _is_large(figure)
        else f"{name} = {write_array(figure, language, is_float32)}"
        for name, figure in figures.items()
    ]
    if not any(map(_is_large, figures.values())):
        return lines
    module = "np" if language == "numpy" else "numpy"
    return [f'beside = {module}.load(pathlib.Path(__file__).with_suffix(".npz"))', *lines]


def _compare(small: Smallest, language: str) -> list[str]:
    """The lines that print the library's version, what is right and what was recorded, and how far they are apart."""
    version = f'print("{language}", {"np" if language == "numpy" else language}.__version__)'
    if small.right.shape != small.recorded.shape:
        return [version, *(f'print("{each} has the shape", tuple({each}.shape))' for each in ("right", "recorded"))]
    if not small.right.ndim:
        shown = {"right": "float(right)", "recorded": "float(recorded)", "difference": "float(recorded - right)"}
        return [version, *(f'print("{name}", {code})' for name, code in shown.items())]
    return [
        version,
        *(["torch.set_printoptions(precision=8)"] if language == "torch" else []),
        'print("right", right)',
        'print("recorded", recorded)',
        'print("largest difference", float(abs(recorded - right).max()))',
    ]
