"""A graph as the source code of one function: its inputs are the parameters, each node is a line, outputs are returned.

Elementwise operations are written by the rulebook's own rules (`expressions.py`), the others by templates (`arrays.py`,
`windows.py`) that call functions written before it (`helpers.py`). Nothing of a graph reaches the code but as an
identifier, as a number, or in a comment or docstring that it cannot leave (`identifiers.py`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.core.errors import Fault, InvalidRequest
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Graph, Node
from service.core.source import arrays, expressions, windows  # noqa: F401 (arrays and windows enter templates)
from service.core.source.expressions import Dialect, Unsaid, write_expression
from service.core.source.helpers import HELPERS, needed
from service.core.source.identifiers import PYTHON, C, Identifiers, commented
from service.core.source.templates import write_call
from service.core.symbolic.term import Literal, Variable, value_term

LANGUAGES = ("numpy", "torch", "jax", "c")
_TITLES = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", "c": "C"}
_DIALECTS = {
    "numpy": expressions.NUMPY,
    "torch": expressions.TORCH,
    "jax": expressions.JAX,
    "c": expressions.C,
}
# Of an operation of any number of operands, which is written with one bracket within another; Python reads 200 of them.
_MOST_OPERANDS = 180
_MOST_NAMED = 5  # nodes that a refusal names of one operation


@dataclass(frozen=True, slots=True)
class Function:
    """A graph as a function of Python: its name, what its parameters are called, by Input, the functions that it calls,
    and its own text."""

    name: str
    parameters: Mapping[str, str]
    helpers: Sequence[str]
    text: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a graph came from: its name, its version, and the digests of weights by input."""

    name: str
    version: int
    weights: Mapping[str, str]


def write_source(graph: Graph, language: str, origin: Origin) -> str:
    """Write a graph as code in one of LANGUAGES.

    Raises InvalidRequest that names every operation that the language cannot say, and in C everything that is no
    number.
    """
    if language == "c":
        return _write_c(graph, *_write_lines(graph, language, origin.name, C), origin)
    function = write_function(graph, language, origin.name, _about(graph, origin))
    return write_module(language, [*function.helpers, function.text], is_float32=bool(graph.float32_nodes))


def write_function(
    graph: Graph, language: str, name: str, about: Sequence[str], reserved: Iterable[str] = ()
) -> Function:
    """Write a graph as a function in Python, with the lines `about` it as its docstring.

    No identifier is one of those `reserved`. Raises as `write_source`.
    """
    function, names, lines = _write_lines(graph, language, name, {*PYTHON, *reserved})
    body = []
    for node, code in lines:
        aside = "" if names[node.name] == node.name else f"  # {commented(node.name)}"
        body.append(f"    {names[node.name]} = {code}{aside}")
    outputs = ", ".join(names[name] for name in graph.outputs)
    docstring = [f"    {line}".rstrip() for line in (f'"""{about[0]}', *about[1:])]
    docstring = [*docstring, '    """'] if about[1:] else [f'{docstring[0]}"""']
    parameters = {name: names[name] for name in graph.inputs}
    text = [f"def {function}({', '.join(parameters.values())}):", *docstring, *body, f"    return {outputs}"]
    return Function(function, parameters, needed(language, (code for _, code in lines)), "\n".join(text))


def write_module(language: str, blocks: Sequence[str], *, is_float32: bool = False) -> str:
    """Write blocks of code in Python below the imports that they need."""
    return "\n\n\n".join([_imports(language, "\n".join(blocks), is_float32), *blocks]) + "\n"


def _write_lines(
    graph: Graph, language: str, name: str, reserved: Iterable[str]
) -> tuple[str, Mapping[str, str], "_Lines"]:
    """What the function and each node are called, and the code of each node's value."""
    made = Identifiers({*reserved, *HELPERS[language]})
    function = made.make(name)
    names = {node.name: made.make(node.name) for node in graph.nodes}
    lines, unsaid = [], dict[str, list[str]]()
    for node in graph.nodes:
        try:
            lines.append((node, _write_node(graph, node, names, language)))
        except Unsaid as error:
            unsaid.setdefault(error.operation.name, []).append(node.name)
    faults = [Fault(("language",), _refusal(language, name, nodes)) for name, nodes in unsaid.items()]
    if faults:
        raise InvalidRequest(faults)
    return function, names, lines


def _refusal(language: str, operation: str, nodes: Sequence[str]) -> str:
    listed = ", ".join(map(repr, nodes[:_MOST_NAMED])) + (" and more" if len(nodes) > _MOST_NAMED else "")
    what = f"{operation} of a tensor" if operation in ("Input", "Constant") else operation
    only = "; C is written of numbers alone" if language == "c" else ""
    return (
        f"{_TITLES[language]} has no words here for {what}, which {listed} {'is' if len(nodes) == 1 else 'are'}{only}"
    )


def _write_node(graph: Graph, node: Node, names: Mapping[str, str], language: str) -> str:
    """The code of a node's value; raises Unsaid."""
    operation, dialect = node.operation, _DIALECTS[language]
    operands = [names[name] for name in node.inputs]
    is_float32 = bool(graph.float32_nodes)
    if operation.is_input:
        if language == "c" and node.attributes.get("shape"):
            raise Unsaid(operation)
        return _write_input(names[node.name], language, node.attributes.get("dtype", "float64"))
    if operation.is_constant:
        value = np.asarray(node.attributes["value"])
        if language == "c":
            if value.ndim:
                raise Unsaid(operation)
            return write_expression(Literal(float(value)), dialect)
        return write_array(value, language, is_float32)
    if operation.is_elementwise:
        if len(operands) > _MOST_OPERANDS:
            raise Unsaid(operation)
        return write_expression(value_term(operation, [Variable(x) for x in operands], node.attributes), dialect)
    if language == "c":
        raise Unsaid(operation)
    return write_call(node, operands, language)


_MODULES = {"numpy": "np", "torch": "torch", "jax": "jnp"}


def _write_input(name: str, language: str, dtype: str) -> str:
    if language == "c":
        return ""
    module = _MODULES[language]
    read = "as_tensor" if language == "torch" else "asarray"
    return f"{module}.{read}({name}, dtype={module}.{dtype})"


def write_array(value: FloatArray, language: str, is_float32: bool = False) -> str:
    """Write an array, of whatever shape, as an expression of a language other than C."""
    module = _MODULES[language]
    make = "torch.tensor" if language == "torch" else f"{module}.array"
    dtype = f", dtype={module}.float32" if is_float32 else ", dtype=torch.float64" if language == "torch" else ""
    written = f"{make}({_nested(value, _DIALECTS[language])}{dtype})"
    return written if value.size or not value.ndim else f"{module}.zeros({value.shape!r}{dtype})"


def _nested(value: np.ndarray, dialect: Dialect) -> str:
    if value.ndim:
        return f"[{', '.join(_nested(each, dialect) for each in value)}]"
    return write_expression(Literal(float(value)), dialect)


# --- files -----------------------------------------------------------------------------------------------------------

_Lines = Sequence[tuple[Node, str]]


def _about(graph: Graph, origin: Origin) -> list[str]:
    """What a reader is told of the graph, a line each: its name, its digest, and inputs that are more than numbers."""
    told = [f"{commented(origin.name)}@{origin.version}, a graph of Gradbook.", "", f"Digest: {graph.digest}"]
    for name in graph.inputs:
        attributes = graph.nodes[graph.position[name]].attributes
        said = []
        if attributes.get("shape"):
            said.append(f"shape {list(attributes['shape'])}".replace("None", "any"))
        if name in origin.weights:
            said.append(f"weights {commented(origin.weights[name])}")
        if said:
            told.append(f"{commented(name)}: {', '.join(said)}")
    return told


def _imports(language: str, code: str, is_float32: bool) -> str:
    def uses(module: str) -> bool:
        return re.search(rf"(?<![\w.]){module}\.", code) is not None

    standard = [f"import {module}" for module in ("math", "pathlib") if uses(module)]
    numpy = ["import numpy"] if uses("numpy") else []
    ours = {
        "numpy": ["import numpy as np", *(["from scipy import special"] if uses("special") else [])],
        "torch": [*numpy, "import torch"],
        "jax": ["import jax", "import jax.numpy as jnp", *numpy],
    }[language]
    doubles = 'jax.config.update("jax_enable_x64", True)' if language == "jax" and not is_float32 else ""
    parts = ["\n".join(standard), "\n".join(ours), doubles]
    return "\n\n".join(filter(None, parts))


def _write_c(graph: Graph, function: str, names: Mapping[str, str], lines: _Lines, origin: Origin) -> str:
    body = []
    for node, code in lines:
        if not node.operation.is_input:
            aside = "" if names[node.name] == node.name else f"  /* {commented(node.name)} */"
            body.append(f"    const double {names[node.name]} = {code};{aside}")
    parameters = [f"double {names[name]}" for name in graph.inputs]
    about = _about(graph, origin)
    if len(graph.outputs) == 1:
        head, tail = f"double {function}", [f"    return {names[graph.outputs[0]]};"]
    else:
        head, parameters = f"void {function}", [*parameters, "double *results"]
        tail = [f"    results[{index}] = {names[name]};" for index, name in enumerate(graph.outputs)]
        about.append(f"results: {', '.join(map(commented, graph.outputs))}")
    comment = ["/*", *(f" * {line}".rstrip() for line in about), " */"]
    text = [*comment, f"{head}({', '.join(parameters) or 'void'}) {{", *body, *tail, "}"]
    return "\n\n".join(["#include <math.h>", *needed("c", (code for _, code in lines)), "\n".join(text)]) + "\n"
