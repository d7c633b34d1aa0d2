"""`record(function, *arguments)`: run a function of JAX once, and keep its graph, its values and its gradients."""

import inspect
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from service.recorders.builder import Builder, Place
from service.recorders.jax.operations import WHOLE, terms_of
from service.recorders.jax.program import Slot, Step, open_program, pull_back
from service.recorders.jax.terms import Applied, NoOperation, Operand, slots_of
from service.recorders.recording import NotDifferentiable, Recording

_TAKING_PLACES = ("dynamic_slice", "dynamic_update_slice", "gather", "scatter")


def record(
    function: Callable[..., Any],
    *arguments: Any,
    output: str | None = None,
    seed: Any = None,
    name: str | None = None,
    source: bool = False,
) -> Recording:
    """Run `function` once, forward and backward, primitive by primitive, and keep what it computed.

    Arrays and floats among the arguments, in whatever trees, become Inputs, named by parameter and path: `params.w`.
    Everything else, as flags and the floats that are attributes of a module, is passed on; random keys, and what is
    drawn with them, become Constants. A node is named by named scopes, functions under jit and primitive:
    `encoder/softmax/exp`. What no result is computed from is left out.

    The gradients are of `output` at `seed`, ones if left out. It is the path of one array in what the function returns,
    `0` or `1.loss`; only where there are several arrays of floats must it be given. With `source` the recording says
    on which line each node was computed.

    Raises NotDifferentiable, a ValueError, where nothing, or not one thing, can be differentiated.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(arguments, is_leaf=lambda leaf: leaf is None)
    traced = [place for place, (path, leaf) in enumerate(leaves) if _is_figure(path, leaf)]
    returned: list[Any] = []

    def flat(*arrays: Any) -> list[Any]:
        filled = [leaf for _, leaf in leaves]
        for place, array in zip(traced, arrays, strict=True):
            filled[place] = array
        result = function(*jax.tree_util.tree_unflatten(tree, filled))
        found = [(path, leaf) for path, leaf in jax.tree_util.tree_flatten_with_path(result)[0] if _is_figure((), leaf)]
        returned[:] = [_path(path) for path, _ in found]
        return [jnp.asarray(leaf) for _, leaf in found]

    arrays = [jnp.asarray(leaves[place][1]) for place in traced]
    program = open_program(jax.make_jaxpr(flat)(*arrays), arrays, WHOLE)
    chosen = program.results[_choose(returned, program.results, output)]
    start = jnp.ones_like(chosen.value) if seed is None else jnp.asarray(seed, chosen.dtype)
    if start.shape != chosen.shape:
        start = jnp.broadcast_to(start, chosen.shape)
    names = _parameters(function, len(arguments))
    graph = _Graph(pull_back(program, chosen, start), source)
    for place, slot in zip(traced, program.arguments, strict=True):
        path = leaves[place][0]
        graph.argument(slot, ".".join(filter(None, (names[path[0].idx], _path(path[1:])))))
    graph.builder.notes.extend(program.notes)
    graph.steps(program.steps, set(program.results))
    return Recording(
        **graph.builder.members(graph.place(chosen)),
        seed=None if seed is None else np.asarray(start),
        name=name or str(getattr(function, "__name__", type(function).__name__)).strip("<>"),
        by=f"JAX {jax.__version__}",
        framework="JAX",
        versions={"jax": jax.__version__, "numpy": np.__version__, "python": platform.python_version()},
    )


def _is_figure(path: Sequence[Any], leaf: Any) -> bool:
    """Whether it is computed with: an array, or a float that is no attribute of an object, where it is a setting."""
    setting = any(isinstance(key, jax.tree_util.GetAttrKey) for key in path)
    return isinstance(leaf, jax.Array | np.ndarray | np.generic) or (isinstance(leaf, float) and not setting)


def _path(path: Sequence[Any]) -> str:
    return str(jax.tree_util.keystr(tuple(path), simple=True, separator="."))


def _parameters(function: Callable[..., Any], count: int) -> list[str]:
    """The names of the positional parameters."""
    try:
        parameters = [*inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        parameters = []
    names = [each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return [*names, *(f"argument_{place}" for place in range(len(names), count))]


def _choose(paths: Sequence[str], results: Sequence[Slot], output: str | None) -> int:
    """Which result the gradients are of."""
    able = [place for place, slot in enumerate(results) if slot.real]
    if output is not None:
        found = [place for place in able if paths[place] == output]
        if not found:
            raise NotDifferentiable(f"the function returns no array of floats at {output!r}: {_listed(paths, able)}")
        return found[0]
    if len(able) != 1:
        raise NotDifferentiable(f"output must say which array the gradients are of: {_listed(paths, able)}")
    return able[0]


def _listed(paths: Sequence[str], able: Sequence[int]) -> str:
    return "there are " + (", ".join(repr(paths[place]) for place in able) or "none")


class _Graph:
    """The nodes of the steps so far, and which of them holds the value of a slot."""

    def __init__(self, gradients: Mapping[Slot, Any], source: bool) -> None:
        self.builder = Builder()
        self._gradients = gradients
        self._source = source
        self._places: dict[Slot, Place] = {}

    def argument(self, slot: Slot, name: str) -> None:
        """Add an Input with its figures."""
        if slot.fixed:
            self.builder.notes.append(f"{name} is random bits: what is drawn with it is a Constant.")
            return
        self._keep(slot, self.builder.input(_figure(slot.value), name, str(slot.dtype)), None)

    def steps(self, steps: Sequence[Step], wanted: set[Slot]) -> None:
        """Add the nodes of the steps that the `wanted` slots are computed from."""
        for step, terms in reversed([*_planned(steps, wanted)]):
            if isinstance(terms, NoOperation):
                self._add_unmapped(step, str(terms))
                continue
            if terms is step.ends:
                self.builder.notes.append(f"{step.scope} has a derivative rule of its own, which is not recorded.")
            self._add(step, terms, wanted)

    def place(self, operand: Operand, name: str = "constant") -> Place:
        """The node that holds an operand, if there is none yet a Constant."""
        if isinstance(operand, Slot) and operand in self._places:
            return self._places[operand]
        figure = _figure(operand.value if isinstance(operand, Slot) else operand)
        place = self.builder.constant(figure, name)
        self.builder.record(place, figure)
        if isinstance(operand, Slot):
            self._places[operand] = place
        return place

    def _add(self, step: Step, terms: Sequence[Operand], wanted: set[Slot]) -> None:
        """Add the node of each result, under the name of the step, and what it is computed from, below that name."""
        made: dict[Applied, Place] = {}

        def add(term: Operand, name: str, part: str) -> Place:
            if not isinstance(term, Applied):
                return self.place(term, f"{name}/constant")
            if term not in made:
                inputs = [add(each, name, f"{name}/{_kind(each)}") for each in term.operands]
                made[term] = self.builder.add(term.operation, inputs, part, **term.attributes)
            return made[term]

        used = {slot for term in terms for slot in slots_of(term)}
        for name, slot, term in zip(_names(step), step.results, terms, strict=True):
            if slot.fixed or slot not in wanted:
                continue
            place = add(term if isinstance(term, Applied) else Applied("Identity", (term,), {}), name, name)
            self.builder.record(place, _figure(slot.value), str(slot.dtype))
            self._keep(slot, place, step)
            unused = [each for each in step.operands if not each.fixed and each not in used]
            if unused and step.primitive.startswith(_TAKING_PLACES):
                self.builder.notes.append(f"{self.builder.nodes[place].name} takes elements where it took them then.")

    def _add_unmapped(self, step: Step, why: str) -> None:
        """Add Inputs for the results of a step that no operation computes."""
        places = []
        flows = False
        for name, slot in zip(_names(step), step.results, strict=True):
            if jnp.issubdtype(slot.dtype, jnp.complexfloating):
                flows = True
            elif not slot.fixed:
                places.append(self.builder.input(_figure(slot.value), name, str(slot.dtype)))
                self._keep(slot, places[-1], step)
                flows |= slot.real and bool(np.any(self._gradients.get(slot, 1)))
        operands = [self._places[slot] for slot in step.operands if slot.real and slot in self._places]
        self.builder.unmapped(step.primitive, places, operands if flows else (), why)

    def _keep(self, slot: Slot, place: Place, step: Step | None) -> None:
        """Keep which node holds a slot, its gradient, and where it was computed."""
        self._places[slot] = place
        if slot in self._gradients:
            self.builder.gradients[place] = _figure(self._gradients[slot])
        if step is not None and self._source:
            self.builder.nodes[place].source = step.source


def _planned(steps: Sequence[Step], wanted: set[Slot]) -> Iterator[tuple[Step, Sequence[Operand] | NoOperation]]:
    """The steps that are wanted and the terms of their results, last first; what these rest on is wanted too.

    A function with a derivative rule of its own that has no terms is opened: its results are the `ends` of its body.
    """
    for step in reversed(steps):
        if wanted.isdisjoint(step.results):
            continue
        try:
            terms = terms_of(step)
        except NoOperation as reason:
            wanted.update(step.operands)
            yield step, reason
            continue
        for term in step.ends if terms is None else terms:
            wanted.update(slots_of(term))
        yield step, step.ends if terms is None else terms
        if terms is None:
            yield from _planned(step.body or (), wanted)


def _names(step: Step) -> list[str]:
    own = step.primitive.removeprefix("jax.")
    name = step.scope if step.body is not None else "/".join(filter(None, (step.scope, own)))
    return [name] if len(step.results) == 1 else [f"{name}.{place}" for place in range(len(step.results))]


def _kind(operand: Operand) -> str:
    return operand.operation.lower() if isinstance(operand, Applied) else "constant"


def _figure(array: Any) -> np.ndarray:
    """The array in NumPy, in float32 where that has no such dtype, as of bfloat16."""
    found = np.asarray(array)
    return found if found.dtype.kind in "biuf" else found.astype(np.float32)
