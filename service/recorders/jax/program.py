"""A JAX program as straight-line code: the equations of its jaxpr, with calls, loops and branches opened.

    jaxpr  one equation for each primitive; calls, scan, while, cond and custom rules hold jaxprs of their own
    Slot   an array of the program, with the value that it had
    Step   one equation, from slots to slots

What depends on no argument is computed at once and leaves no step behind.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

from service.recorders.recording import counted

_CALLS = {"jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint", "composite"}
_CUSTOM_RULES = {"custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"}
_NOT_THE_CALLERS = (str(Path(jax.__file__).parent), str(Path(__file__).parent))
MOST_STEPS = 20_000  # of one loop: a longer one stays closed


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """An array of the program. A fixed one depends on no argument, or is a random key or bits drawn with one."""

    value: Any
    fixed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape."""
        return tuple(self.value.shape)

    @property
    def dtype(self) -> Any:
        """The dtype, which may be one of JAX's own, as a key's."""
        return self.value.dtype

    @property
    def real(self) -> bool:
        """Whether it holds real floating-point numbers, to which gradients flow."""
        return bool(jnp.issubdtype(self.dtype, jnp.floating))


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One equation. `run` computes the results from the operands' arrays; `scope` is where in the program it stands.

    A function with a derivative rule of its own is one step, of JAX's own functions with the primitive `jax.relu`;
    `body` holds its opened equations, which end in the slots `ends`.
    """

    primitive: str
    parameters: Mapping[str, Any]
    operands: tuple[Slot, ...]
    results: tuple[Slot, ...]
    run: Callable[..., Sequence[Any]]
    scope: str
    source: str | None
    body: "tuple[Step, ...] | None" = None
    ends: tuple[Slot, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Unrolled:
    """The steps in order, the arguments and what is returned; `notes` say what was taken as it was."""

    steps: tuple[Step, ...]
    arguments: tuple[Slot, ...]
    results: tuple[Slot, ...]
    notes: tuple[str, ...]


def open_program(closed: Any, arguments: Sequence[Any], whole: Collection[str] = ()) -> Unrolled:
    """Open a ClosedJaxpr at arrays, but for the functions of JAX's under jit that stay `whole`, as `jax.cholesky`.

    Arguments that are random keys are fixed: no figure is kept of them.
    """
    opening = _Opening(whole)
    slots = tuple(Slot(array, _is_random(array)) for array in arguments)
    results = opening.open(closed.jaxpr, closed.consts, slots, "", None)
    return Unrolled(tuple(opening.steps), slots, tuple(results), tuple(dict.fromkeys(opening.notes)))


def pull_back(program: Unrolled, output: Slot, seed: Any) -> dict[Slot, Any]:
    """The gradients of a slot at a seed, of each slot of real numbers: by JAX, with respect to a zero added to it."""
    inner = [slot for step in program.steps for slot in step.results if slot.real]
    outer = [slot for slot in program.arguments if slot.real and not slot.fixed]

    def evaluate(added: Sequence[Any]) -> Any:
        arrays = {slot: slot.value for slot in program.arguments}
        zeros = dict(zip((*outer, *inner), added, strict=True))
        arrays |= {slot: slot.value + zeros[slot] for slot in outer}
        for step in program.steps:
            computed = step.run([arrays.get(slot, slot.value) for slot in step.operands])
            for slot, array in zip(step.results, computed, strict=True):
                arrays[slot] = array + zeros[slot] if slot in zeros else array
        return arrays.get(output, output.value)

    # Adding −0 leaves every number as it is, adding 0 would not: −0 + 0 is 0.
    _, pull = jax.vjp(evaluate, [-jnp.zeros_like(slot.value) for slot in (*outer, *inner)])
    (gradients,) = pull(seed)
    return dict(zip((*outer, *inner), gradients, strict=True))


@dataclass
class _Opening:
    """The steps so far."""

    whole: Collection[str]
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def open(
        self, jaxpr: Any, constants: Sequence[Any], arguments: Sequence[Slot], scope: str, source: str | None
    ) -> list[Slot]:
        """Add the steps of a jaxpr; returns the slots of its results."""
        slots: dict[Any, Slot] = dict(zip(jaxpr.invars, arguments, strict=True))
        for variable, constant in zip(jaxpr.constvars, constants, strict=True):
            slots[variable] = constant if isinstance(constant, Slot) else Slot(jnp.asarray(constant), True)

        def read(atom: Any) -> Slot:
            return _literal(atom) if isinstance(atom, Literal) else slots[atom]

        for equation in jaxpr.eqns:
            operands = [read(atom) for atom in equation.invars]
            place = _join(scope, str(equation.source_info.name_stack))
            results = self._step(equation, _function_of(jaxpr, equation), operands, place, source)
            slots |= zip(equation.outvars, results, strict=True)
        return [read(atom) for atom in jaxpr.outvars]

    def _step(
        self,
        equation: Any,
        run: Callable[..., Sequence[Any]],
        operands: Sequence[Slot],
        scope: str,
        source: str | None,
    ) -> Sequence[Slot]:
        name, parameters = equation.primitive.name, equation.params
        source = _line(equation) or source
        if all(slot.fixed for slot in operands):
            return [Slot(array, True) for array in run([slot.value for slot in operands])]
        if name in _CALLS:
            called = parameters.get("jaxpr", parameters.get("call_jaxpr"))
            function, own = _function_named(called)
            if not own or f"jax.{function}" not in self.whole:
                within = _join(scope, str(parameters.get("name", "")).strip("_<>"))
                return self.open(*_parts(called), operands, within, source)
            name = f"jax.{function}"
        if name == "cond":
            return self._branch(parameters["branches"], operands, scope, source)
        if name == "scan" and parameters["length"] * _size(parameters["jaxpr"]) <= MOST_STEPS:
            return self._scan(parameters, operands, scope, source)
        if name == "while" and (turns := _turns(parameters, operands)) is not None:
            return self._repeat(parameters, operands, turns, scope, source)
        results = [Slot(array, _is_random(array)) for array in run([slot.value for slot in operands])]
        body: tuple[Step, ...] | None = None
        ends: tuple[Slot, ...] = ()
        if name in _CUSTOM_RULES:
            inner = _Opening(self.whole, notes=self.notes)
            called = parameters.get("call_jaxpr", parameters.get("fun_jaxpr"))
            function, own = _function_named(called)
            scope, name = _join(scope, function), f"jax.{function}" if own else name
            ends = tuple(inner.open(*_parts(called), operands, scope, source))
            body = tuple(inner.steps)
        self.steps.append(Step(name, parameters, tuple(operands), tuple(results), run, scope, source, body, ends))
        return results

    def _branch(self, branches: Sequence[Any], operands: Sequence[Slot], scope: str, source: str | None) -> list[Slot]:
        taken = int(np.clip(int(operands[0].value), 0, len(branches) - 1))
        if not operands[0].fixed:
            self.notes.append(f"{_join(scope, 'cond')} is recorded as it went: branch {taken} of {len(branches)}.")
        return self.open(*_parts(branches[taken]), operands[1:], _join(scope, "cond"), source)

    def _scan(self, parameters: Any, operands: Sequence[Slot], scope: str, source: str | None) -> list[Slot]:
        """Unroll a loop over the elements of arrays."""
        fixed, carried, length = parameters["num_consts"], parameters["num_carry"], parameters["length"]
        constants, carry, whole = operands[:fixed], list(operands[fixed : fixed + carried]), operands[fixed + carried :]
        kept: list[list[Slot]] = []
        for turn in reversed(range(length)) if parameters["reverse"] else range(length):
            place = _join(scope, f"scan.{turn}")
            parts = [self._apply(lambda array, turn=turn: array[turn], [each], place, source)[0] for each in whole]
            results = self.open(*_parts(parameters["jaxpr"]), [*constants, *carry, *parts], place, source)
            carry = results[:carried]
            kept.append(results[carried:])
        kept = kept[::-1] if parameters["reverse"] else kept
        stacked = [
            self._apply(lambda *arrays: jnp.stack(arrays), column, _join(scope, "scan"), source)[0]
            for column in zip(*kept, strict=True)
        ]
        return [*carry, *stacked]

    def _repeat(
        self, parameters: Any, operands: Sequence[Slot], turns: int, scope: str, source: str | None
    ) -> list[Slot]:
        """Unroll a loop that took so many turns."""
        tested, fixed = parameters["cond_nconsts"], parameters["body_nconsts"]
        constants, carry = operands[tested : tested + fixed], list(operands[tested + fixed :])
        for turn in range(turns):
            inputs = [*constants, *carry]
            carry = self.open(*_parts(parameters["body_jaxpr"]), inputs, _join(scope, f"while.{turn}"), source)
        self.notes.append(f"{_join(scope, 'while')} is recorded as it went: {counted(turns, 'turn')}.")
        return carry

    def _apply(
        self, function: Callable[..., Any], operands: Sequence[Slot], scope: str, source: str | None
    ) -> list[Slot]:
        """Add the steps of a function of ours."""
        if all(slot.fixed for slot in operands):
            return [Slot(function(*(slot.value for slot in operands)), True)]
        closed = jax.make_jaxpr(function)(*(slot.value for slot in operands))
        return self.open(closed.jaxpr, closed.consts, operands, scope, source)


def _function_of(jaxpr: Any, equation: Any) -> Callable[..., Sequence[Any]]:
    """What computes one equation of a jaxpr, with derivative rules of its own if it has any."""
    places = [place for place, atom in enumerate(equation.invars) if not isinstance(atom, Literal)]
    variables = {equation.invars[place]: place for place in places}
    about = jaxpr.debug_info._replace(arg_names=None, result_paths=None)
    one = jaxpr.replace(constvars=[], invars=[*variables], outvars=equation.outvars, eqns=[equation], debug_info=about)
    function = jaxpr_as_fun(ClosedJaxpr(one, []))
    return lambda arrays: function(*(arrays[place] for place in variables.values()))


def _turns(parameters: Any, operands: Sequence[Slot]) -> int | None:
    """How many turns a while loop takes; None where its steps are too many to be unrolled."""
    tested, fixed = parameters["cond_nconsts"], parameters["body_nconsts"]
    values = [slot.value for slot in operands]
    condition, body = (jaxpr_as_fun(parameters[name]) for name in ("cond_jaxpr", "body_jaxpr"))
    constants, carry = values[tested : tested + fixed], values[tested + fixed :]
    for turn in range(MOST_STEPS // max(_size(parameters["body_jaxpr"]), 1) + 1):
        if not condition(*values[:tested], *carry)[0]:
            return turn
        carry = body(*constants, *carry)
    return None


def _parts(jaxpr: Any) -> tuple[Any, Sequence[Any]]:
    return (jaxpr.jaxpr, jaxpr.consts) if hasattr(jaxpr, "consts") else (jaxpr, ())


def _size(jaxpr: Any) -> int:
    return len(_parts(jaxpr)[0].eqns)


def _literal(atom: Any) -> Slot:
    return Slot(jnp.asarray(atom.val, atom.aval.dtype), True)


def _is_random(array: Any) -> bool:
    """Whether it is a random key, or bits: no arithmetic of real numbers is done with them."""
    return bool(jnp.issubdtype(array.dtype, jax.dtypes.prng_key)) or array.dtype in (np.uint32, np.uint64)


def _function_named(jaxpr: Any) -> tuple[str, bool]:
    """The name of the Python function that a jaxpr was made of, and whether it is one of JAX's own."""
    about = getattr(_parts(jaxpr)[0], "debug_info", None)
    name, _, place = str(getattr(about, "func_src_info", "")).partition(" at ")
    return name.strip("_<>"), place.startswith(_NOT_THE_CALLERS[0])


def _join(*scopes: str) -> str:
    """One scope within another, without the marks of vmap."""
    return "/".join(filter(None, (re.sub(r"\bvmap\(([^()]*)\)", r"\1", scope).strip("/") for scope in scopes)))


def _line(equation: Any) -> str | None:
    """Where in a file of the caller's the equation was made, "file.py:12"."""
    traceback = equation.source_info.traceback
    for frame in traceback.frames if traceback else ():
        if not frame.file_name.startswith(_NOT_THE_CALLERS) and "<" not in frame.file_name:
            return f"{frame.file_name.rsplit('/', 1)[-1]}:{frame.line_num}"
    return None
