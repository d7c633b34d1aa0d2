"""The rulebook compiled: one forward loop and one backward loop over graphs of scalars, generated from the registry.

Numba compiles the rules unchanged, each as a function of scalars, and the loops choose among them by opcode. The
machine code is cached on disk under a digest of the source of every rule, so that a changed rule is compiled anew.
"""

import hashlib
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.execution.codegen import loops_text, rules_of_loops
from service.core.execution.program import Opcodes, Program, find_levels, find_reached, opcodes, pack_graph
from service.core.figures.figures import BoolArray, Figures, FloatArray, frozen
from service.core.graph.graph import Graph
from service.core.rulebook import gaussian, operations
from service.core.rulebook.operation import Operation, Rule


@dataclass(frozen=True, slots=True)
class Loops:
    """The compiled functions, all over packed arrays (see `Program`) and figures in topological order.

    forward(stretches, nodes, operands, attributes, values)
    backward(stretches, nodes, operands, attributes, values, reached, gradients), whether one is NaN
    kinks(stretches, nodes, operands, attributes, values, marks)

    backward adds to what `gradients` holds: seeds, and −0 elsewhere, which keeps every bit of a sum's first term.
    complementary_errors(numbers) alone knows no graph: rules over arrays go by it (`gaussian.py`).
    """

    forward: Callable[..., None]
    backward: Callable[..., bool]
    kinks: Callable[..., None]
    find_levels: Callable[..., None]
    find_reached: Callable[..., None]
    complementary_errors: Callable[[FloatArray], FloatArray]
    refused: frozenset[int] = frozenset()  # the opcodes that they lack: those of operations that Numba cannot compile

    @property
    def kept(self) -> bool:
        """Whether they are kept on disk, so that another process need not compile them."""
        loops: tuple[Any, ...] = (self.forward, self.backward, self.kinks)
        return all(loop.stats.cache_path for loop in loops)


_loops: Loops | None = None
_warming = Lock()


def warm() -> Loops:
    """Compile the loops, or load them as compiled before, once a process: until then `compiled_loops` is None.

    Where the folder for compiled code cannot be written to, they are compiled at each start.
    """
    global _loops  # noqa: PLW0603 (the loops of this process)
    with _warming:
        _loops = _loops or _compile()
        gaussian.take_compiled(_loops.complementary_errors)
    return _loops


def compiled_loops(program: Program) -> Loops | None:
    """Return the compiled loops; None until they are warm and for a program with an operation that they lack."""
    if _loops and _loops.refused and not _loops.refused.isdisjoint(program.stretches[::6].tolist()):
        return None
    return _loops


@memoize_on_argument
def program_of(graph: Graph) -> Program | None:
    """The packed form of a graph; None where it holds what the compiled loops do not know."""
    return pack_graph(graph, _loops.find_levels if _loops else find_levels)


# --- both passes over scalars -------------------------------------------------------------------------------------


def evaluate(loops: Loops, program: Program, inputs: Mapping[str, Any]) -> Figures:
    """The value of every node, in topological order, at one scalar for each Input."""
    values = program.leaves.copy()
    for name, position in program.inputs.items():
        values[position] = inputs[name]
    loops.forward(*packed(program), values)
    return frozen(values)


def differentiate(loops: Loops, program: Program, values: FloatArray, target: int, seed: float) -> tuple[Figures, bool]:
    """The gradient of every node that is not a Constant, in topological order, from the node at position `target`, and
    whether there may be a NaN among them."""
    _check_length(program, values)
    reached, start = _start(program, loops, target)
    gradients = start.copy()
    gradients[target] = seed
    has_nan = loops.backward(*packed(program), values, reached, gradients)
    if program.present is not None:
        gradients[program.constants] = 0.0
    return frozen(gradients, present=program.present), has_nan


@memoize_on_argument
def _start(program: Program, loops: Loops, target: int) -> tuple[BoolArray, FloatArray]:
    """Which nodes the one at position `target` is reached from, itself included, and what their gradients start from;
    those of others are 0."""
    reached = np.zeros(len(program.leaves), dtype=np.bool_)
    reached[target] = True
    loops.find_reached(program.stretches, program.nodes, program.operands, reached)
    return reached, np.where(reached, -0.0, 0.0)


def reached_from(program: Program, loops: Loops, target: int) -> BoolArray:
    """From which nodes a path leads to the one at position `target`, itself included."""
    return _start(program, loops, target)[0]


def find_kinks(loops: Loops, program: Program, values: FloatArray) -> tuple[int, ...]:
    """The positions of the nodes at which no derivative exists."""
    _check_length(program, values)
    marks = np.zeros(len(values), dtype=np.bool_)
    loops.kinks(*packed(program), values, marks)
    return tuple(np.flatnonzero(marks).tolist())


def _check_length(program: Program, values: FloatArray) -> None:
    """The loops trust their indices."""
    if values.shape[-1] != len(program.leaves):
        raise ValueError(f"{values.shape[-1]} values for {len(program.leaves)} nodes")


# --- the same at many points: a row of figures for each, read-only ------------------------------------------------


def evaluate_rows(loops: Loops, program: Program, points: Sequence[Mapping[str, Any]]) -> FloatArray:
    """The value of every node at one scalar for each Input."""
    values = np.tile(program.leaves, (len(points), 1))
    for name, position in program.inputs.items():
        values[:, position] = np.fromiter((point[name] for point in points), np.float64, len(points))
    for row in values:
        loops.forward(*packed(program), row)
    values.setflags(write=False)
    return values


def differentiate_rows(loops: Loops, program: Program, values: FloatArray, target: int, seed: float) -> FloatArray:
    """The gradient of every node from the node at position `target`; 0 of the Constants, which have none."""
    _check_length(program, values)
    reached, start = _start(program, loops, target)
    gradients = np.tile(start, (len(values), 1))
    gradients[:, target] = seed
    for known, row in zip(values, gradients, strict=True):
        loops.backward(*packed(program), known, reached, row)
    gradients[:, program.constants] = 0.0
    gradients.setflags(write=False)
    return gradients


def find_kinks_rows(loops: Loops, program: Program, values: FloatArray) -> BoolArray:
    """At which nodes no derivative exists."""
    _check_length(program, values)
    marks = np.zeros(values.shape, dtype=np.bool_)
    for known, row in zip(values, marks, strict=True):
        loops.kinks(*packed(program), known, row)
    return marks


def packed(program: Program) -> tuple[Any, ...]:
    """The arrays that each of the loops takes first."""
    return program.stretches, program.nodes, program.operands, program.attributes


# --- compiling ----------------------------------------------------------------------------------------------------


def _compile() -> Loops:
    """Compile the loops over all opcodes, or without the operations that Numba refuses, each of which is logged."""
    codes = opcodes()
    try:
        return Loops(**_compiled_loops(codes, _compiled))
    except Exception:
        refused = {operation for operation, _ in codes if _is_refused(operation)}
    known = {key: code for key, code in codes.items() if key[0] not in refused}
    return Loops(**_compiled_loops(known, _compiled), refused=frozenset(codes.values()) - frozenset(known.values()))


def _is_refused(operation: Operation) -> bool:
    """Compile loops over one operation alone; log why that fails."""
    codes = {key: code for key, code in opcodes().items() if key[0] is operation}
    try:
        _compiled_loops(codes, lambda loop, signature: _translated(loop).compile(signature))
    except Exception:
        message = "the rules of %s cannot be compiled; graphs that hold it run in NumPy"
        logging.getLogger("gradbook").exception(message, operation.name)
        return True
    return False


def _compiled_loops(codes: Opcodes, compiled: Callable[[Rule, tuple[Any, ...]], Any]) -> dict[str, Any]:
    import numba

    int32, uint32, float64, boolean = (
        numba.types.Array(of, 1, "C", readonly=True) for of in (numba.int32, numba.uint32, numba.float64, numba.boolean)
    )
    program = (int32, uint32, uint32, float64)
    values, marks = numba.float64[::1], numba.boolean[::1]
    arguments: dict[str, tuple[Any, ...]] = {
        "forward": (*program, values),
        "backward": (*program, float64, boolean, values),
        "kinks": (*program, float64, marks),
        "find_levels": (int32, uint32, numba.int32[::1]),
        "find_reached": (int32, uint32, uint32, marks),
        "complementary_errors": (values,),
    }
    return {name: compiled(loop, arguments[name]) for name, loop in generated_loops(codes).items()}


def _compiled(function: Rule, signature: tuple[Any, ...]) -> Callable[..., None]:
    dispatcher = None
    with suppress(OSError, RuntimeError):  # no folder to read, or none to write to once it has been compiled
        dispatcher = _translated(function, keep=True)
        dispatcher.compile(signature)
    if dispatcher is None or not dispatcher.signatures:
        dispatcher = _translated(function)
        dispatcher.compile(signature)
    dispatcher.disable_compile()
    loop: Callable[..., None] = dispatcher
    return loop


def _translated(function: Rule, keep: bool = False) -> Any:
    import numba

    # Never fastmath: NaN, infinities and signed zeros are data.
    return numba.njit(cache=keep, nogil=True, error_model="numpy")(function)


def generated_loops(codes: Opcodes) -> dict[str, Rule]:
    """Return the loops over these opcodes as Python functions whose rules Numba compiles.

    Numba keeps compiled code by a function's file and name and looks at that one file for a change. The generated
    functions are given the rulebook's, and carry in their names a digest of all that they are made of.
    """
    from service.core.execution import numba_overloads

    rules, text = rules_of_loops(codes), loops_text(codes)
    written = {name: rule for name, rule in rules.items() if inspect.isfunction(rule)}
    called = [
        inspect.unwrap(each)
        for rule in written.values()
        for each in rule.__globals__.values()
        if inspect.isfunction(each)
    ]
    files = {numba_overloads.__file__, *map(inspect.getfile, [*written.values(), *called])}
    made_of = [
        f"{text}{inspect.getsource(_translated)}{np.__version__}".encode(),
        *(Path(file).read_bytes() for file in sorted(files)),
    ]
    known = hashlib.sha256(b"\0".join(made_of)).hexdigest()[:16]
    scope: dict[str, Any] = {"__name__": operations.__name__, **rules}
    scope |= {name: _translated(rule) for name, rule in written.items()}
    exec(compile(text, operations.__file__, "exec"), scope)  # made of the rulebook alone
    generated = {name: scope[name] for name in ("forward", "backward", "kinks")}
    for name, loop in generated.items():
        loop.__qualname__ = f"{name}_{known}"
    plain = (find_levels, find_reached, gaussian.complementary_errors)
    return {**generated, **{loop.__name__: loop for loop in plain}}
