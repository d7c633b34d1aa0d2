"""A graph as the source code of one function: its inputs are the parameters, each node is a line, outputs are returned.

Elementwise operations are written by the rulebook's own rules (`expressions.py`), the others by templates (`arrays.py`,
`windows.py`) that call functions written before it (`helpers.py`). Nothing of a graph reaches the code but as an
identifier, as a number, or in a comment or docstring that it cannot leave (`identifiers.py`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.core.errors import Fault, InvalidRequest
from service.core.graph.graph import Graph, Node
from service.core.rulebook.operation import Operation
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
_MOST_NAMED = 5  # nodes that a refusal names of one operation


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
    made = Identifiers({*(C if language == "c" else PYTHON), *HELPERS[language]})
    function = made.make(origin.name)
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
    write = _write_c if language == "c" else _write_python
    return write(graph, language, function, names, lines, origin)


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
        return _write_constant(operation, np.asarray(node.attributes["value"]), language, is_float32)
    if operation.is_elementwise:
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


def _write_constant(operation: Operation, value: np.ndarray, language: str, is_float32: bool) -> str:
    dialect = _DIALECTS[language]
    if language == "c":
        if value.ndim:
            raise Unsaid(operation)
        return write_expression(Literal(float(value)), dialect)
    module = _MODULES[language]
    make = "torch.tensor" if language == "torch" else f"{module}.array"
    dtype = f", dtype={module}.float32" if is_float32 else ", dtype=torch.float64" if language == "torch" else ""
    written = f"{make}({_nested(value, dialect)}{dtype})"
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


def _write_python(
    graph: Graph, language: str, function: str, names: Mapping[str, str], lines: _Lines, origin: Origin
) -> str:
    body = []
    for node, code in lines:
        aside = "" if names[node.name] == node.name else f"  # {commented(node.name)}"
        body.append(f"    {names[node.name]} = {code}{aside}")
    outputs = ", ".join(names[name] for name in graph.outputs)
    about = _about(graph, origin)
    docstring = ['    """' + about[0], *(f"    {line}".rstrip() for line in about[1:]), '    """']
    parameters = ", ".join(names[name] for name in graph.inputs)
    text = [f"def {function}({parameters}):", *docstring, *body, f"    return {outputs}"]
    helpers = needed(language, (code for _, code in lines))
    code = "\n".join([*helpers, *(code for _, code in lines)])
    blocks = [_imports(language, code, bool(graph.float32_nodes)), *helpers, "\n".join(text)]
    return "\n\n\n".join(blocks) + "\n"


def _imports(language: str, code: str, is_float32: bool) -> str:
    def uses(module: str) -> bool:
        return re.search(rf"(?<![\w.]){module}\.", code) is not None

    standard = ["import math"] if uses("math") else []
    numpy = ["import numpy"] if uses("numpy") else []
    ours = {
        "numpy": ["import numpy as np", *(["from scipy import special"] if uses("special") else [])],
        "torch": [*numpy, "import torch"],
        "jax": ["import jax", "import jax.numpy as jnp", *numpy],
    }[language]
    doubles = 'jax.config.update("jax_enable_x64", True)' if language == "jax" and not is_float32 else ""
    parts = ["\n".join(standard), "\n".join(ours), doubles]
    return "\n\n".join(filter(None, parts))


def _write_c(
    graph: Graph, language: str, function: str, names: Mapping[str, str], lines: _Lines, origin: Origin
) -> str:
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
