"""Watch a program: each call of a function of PyTorch's, the values of its results, and their gradients as they come.

PyTorch counts the changes in place of each tensor and of all that share its numbers (`_version`): a tensor that is not
as it was when its node was added is looked at anew.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from service.recorders.builder import Builder, Place
from service.recorders.torch.aliases import base_of, put_back, view_of
from service.recorders.torch.arguments import is_property, may_change, plain_name, replaced, tensors, version
from service.recorders.torch.call import Operand, TorchCall, Unmapped, as_array, dtype_name
from service.recorders.torch.composites import opened
from service.recorders.torch.frames import line_of_program, local_name
from service.recorders.torch.tables import FUNCTIONS

_BACKWARD = {"backward", "grad"}
_DETACHED = {"detach", "data"}
# Their results depend on the shape of what they are given alone.
_LIKE = {
    *("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "randint_like"),
    *("new_zeros", "new_ones", "new_full", "new_empty", "new_tensor", "new_empty_strided"),
}
_RANDOM = ("dropout", "rrelu")
_CASTS = {"to", "type", "type_as", "half", "bfloat16", "float", "double"}
_FORMER = ("size_average", "reduce")  # arguments that PyTorch's losses still pass on, as None
_IGNORED = {"requires_grad", "register_hook", "retain_grad", "size"}


@dataclass(frozen=True, eq=False)
class Seen:
    """A tensor that has a node, as it was when it got it; the tensor is kept, or its id would be another's."""

    tensor: torch.Tensor
    place: Place
    version: int
    is_stopped: bool  # no gradient flows through this tensor to the node, as after detach
    scope: str


class Capture(TorchFunctionMode):  # type: ignore[misc]  # PyTorch is not there where this is checked
    """Adds to `builder` what the program computes while this mode is on. `own` names tensors of a model, by id."""

    def __init__(self, builder: Builder, own: Mapping[int, str], with_sources: bool) -> None:
        super().__init__()
        self.builder = builder
        self.outputs: list[tuple[Place, Any]] = []
        self.scope: list[str] = []
        self.is_paused = False
        self._is_differentiated = False
        self._opening: list[str] = []
        self._own = own
        self._with_sources = with_sources
        self._seen: dict[int, Seen] = {}
        self._whole: set[Place] = set()  # whole numbers, and Constants: no gradient flows to what follows from these
        self._unhooked: set[Place] = set()
        self._before: dict[int, Seen] = {}  # what the call at hand may change, as it was
        self._hooks: list[Any] = []

    # --- calls --------------------------------------------------------------------------------------------------------

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = plain_name(func)
        if self.is_paused or name in _IGNORED or (name == "grad" and is_property(func)):
            return func(*args, **kwargs)
        if name in _BACKWARD:
            return self._run_backward(func, args, kwargs)
        if name not in FUNCTIONS and name not in self._opening and (stand_in := opened(func)) is not None:
            return self._open(name, stand_in, args, kwargs)
        operands = list(tensors((args, kwargs)))
        self._before = {}
        if may_change(func, kwargs):
            self._before = self._look_at(operands)
        versions = [version(tensor) for tensor in operands]
        drawn = torch.get_rng_state() if any(word in name for word in _RANDOM) else None
        result = func(*args, **kwargs)
        changed = [tensor for tensor, before in zip(operands, versions, strict=True) if version(tensor) != before]
        results = list(tensors(result)) if name != "setitem" else [args[0]]
        new = [each for each in results if not any(each is one for one in operands) or any(each is c for c in changed)]
        if new and not self._is_apart(operands, new):
            self._enter(name, func, args, kwargs, result if name != "setitem" else args[0], new, drawn)
        return result

    def _open(self, name: str, stand_in: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call what a function is made of; a body that calls the compiled function of its name leaves that whole."""
        self._opening.append(name)
        try:
            with self:
                return stand_in(*args, **kwargs)
        finally:
            self._opening.pop()

    def _is_apart(self, operands: Sequence[torch.Tensor], new: Sequence[torch.Tensor]) -> bool:
        """Whether a call is no part of what is recorded, as of gradients that are scaled or weights that are set."""
        if torch.is_grad_enabled():
            return False
        known = any(id(each) in self._seen or id(each) in self._own for each in operands)
        return (bool(operands) and not known) or all(each.is_leaf and each.requires_grad for each in new)

    def _enter(
        self,
        name: str,
        func: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        result: Any,
        new: Sequence[torch.Tensor],
        drawn: torch.Tensor | None,
    ) -> None:
        operands = [] if name in _LIKE else list(tensors((args, kwargs)))
        if name in _DETACHED:
            self._see(new[0], self.place_of(operands[0]), is_stopped=True)
            return
        scope = self.scope[-1] if self.scope else ""
        prefix = scope + "/" if scope else ""

        def again(*arguments: Any, **named: Any) -> Any:
            with torch.random.fork_rng(devices=()), torch._C.DisableTorchFunction(), torch.no_grad():
                if drawn is not None:
                    torch.set_rng_state(drawn)
                return func(*arguments, **named)

        kwargs = {word: each for word, each in kwargs.items() if word not in _FORMER or each is not None}
        call = TorchCall(self.builder, name, prefix, result, again)
        places = [self.place_of(tensor) for tensor in operands]
        flows = any(each.requires_grad for each in new)
        try:
            if not flows and all(self.builder.nodes[place].operation == "Constant" for place in places):
                raise Unmapped("it is constant")
            entered = self._mapped(call, name, args, kwargs, flows)
        except Unmapped as reason:
            if not flows and self._whole.issuperset(places):
                entered = [call.operand(tensor) for tensor in new]
            else:
                entered = self._unmapped(call, name, new, places, str(reason))
        for tensor, operand in zip(new if len(entered) == len(new) else tensors(result), entered, strict=True):
            if any(tensor is each for each in new):
                self._settle(tensor, operand.place, prefix + name)

    def _mapped(
        self, call: TorchCall, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], flows: bool
    ) -> Sequence[Operand]:
        function = FUNCTIONS.get(name)
        if function is None:
            raise Unmapped("no node stands for it")
        if any(tensor.is_complex() for tensor in tensors((args, kwargs, call.result))):
            raise Unmapped("its numbers are complex")
        lowered = _lowered_by_autocast(name, call.result)

        def operand(tensor: torch.Tensor) -> Operand:
            place = self._open_place(tensor) if flows else self.place_of(tensor)
            if lowered and tensor.dtype in (torch.float32, torch.float64):
                place = call.add("Cast", Operand(place), to=lowered).place
            return Operand(place, tensor)

        given, named = replaced(args, operand), replaced(kwargs, operand)
        before = len(self.builder.nodes)
        try:
            entered = function(call, *given, **named)
        except (Unmapped, TypeError) as error:
            self.builder.forget(before)
            raise Unmapped(
                str(error) if isinstance(error, Unmapped) else f"not with these arguments: {error}"
            ) from error
        entered = list(entered) if isinstance(entered, tuple | list) else [entered]
        if any(each.place < before for each in entered):  # an argument as it is: the result is another tensor
            entered = [call.add("Identity", each) if each.place < before else each for each in entered]
        return entered

    def _unmapped(
        self, call: TorchCall, name: str, new: Sequence[torch.Tensor], places: Sequence[Place], why: str
    ) -> Sequence[Operand]:
        entered = [self.builder.input(as_array(tensor), call.scope + name, dtype_name(tensor)) for tensor in new]
        if any(tensor.is_floating_point() or tensor.is_complex() for tensor in new):
            self.builder.unmapped(name, entered, places, why)
        return [Operand(place) for place in entered]

    def _settle(self, tensor: torch.Tensor, place: Place, name: str) -> None:
        """Give a result its node; one that is a view, and was changed in place, changes its base."""
        self.builder.rename(place, name)
        node = self.builder.nodes[place]
        node.source = line_of_program() if self._with_sources else None
        if node.operation not in _LEAVES:
            self.builder.record(place, as_array(tensor), dtype_name(tensor))
        before = self._before.get(id(tensor))
        base = None if before is None else base_of(tensor)
        if before is not None and tensor.grad_fn is not None and not torch.is_grad_enabled():
            place = self._change_unseen_by_autograd(before.place, place, tensor)
        if base is None:
            self._see(tensor, place)
            return
        seen = self._seen[id(base)]
        call = TorchCall(self.builder, "", f"{name}.", tensor, _never)
        self._unhooked.add(place)
        after = put_back(call, Operand(seen.place, base), tensor, Operand(place)).place
        self.builder.record(after, as_array(base), dtype_name(base))
        self._see(base, after)
        del self._seen[id(tensor)]

    def _change_unseen_by_autograd(self, before: Place, after: Place, tensor: torch.Tensor) -> Place:
        """What a change under no_grad makes of a tensor: its value is new, and its gradient flows as before."""
        add, name = self.builder.add, self.builder.nodes[after].name
        change = add("StopGradient", [add("Sub", [after, before], f"{name}.change")], f"{name}.detach")
        changed = add("Add", [before, change], name)
        self.builder.record(changed, as_array(tensor), dtype_name(tensor))
        self._unhooked.add(after)
        return changed

    # --- tensors ------------------------------------------------------------------------------------------------------

    def place_of(self, tensor: torch.Tensor) -> Place:
        """The node of a tensor: a new Input if it was not seen before, or has changed in a way that was not seen."""
        if id(tensor) in self._before:
            return self._before[id(tensor)].place
        seen = self._seen.get(id(tensor))
        if seen is not None and seen.version == version(tensor):
            return self._opaque(seen) if seen.is_stopped and tensor.grad_fn is not None else seen.place
        base = base_of(tensor)
        if base is not None and (id(base) in self._seen or id(base) in self._own):
            call = TorchCall(self.builder, "", "", tensor, _never)
            place = view_of(call, Operand(self.place_of(base), base), tensor).place
            self.builder.record(place, as_array(tensor), dtype_name(tensor))
        else:
            name = self._own.get(id(tensor)) or local_name(tensor) or "input"
            place = self.enter_input(tensor, name)
            if seen is not None:
                self.builder.notes.append(f"{name} changed unseen: from there on it is another Input.")
            return place
        self._see(tensor, place)
        return place

    def enter_input(self, tensor: torch.Tensor, name: str) -> Place:
        """Add an Input that is this tensor."""
        place = self.builder.input(as_array(tensor), name, dtype_name(tensor))
        self._see(tensor, place)
        return place

    def enter_argument(self, tensor: torch.Tensor, name: str) -> None:
        """Give an argument of the model its name, unless it follows from what is recorded."""
        seen = self._seen.get(id(tensor))
        if seen is None or self.builder.nodes[seen.place].operation == "Constant":
            self.enter_input(tensor, name)

    def rename_results(self, result: Any, path: str) -> None:
        """Name what a module returns by the module's path, unless a module within it has given it its own."""
        made = [seen for each in tensors(result) if (seen := self._seen.get(id(each))) and seen.scope == path]
        for number, seen in enumerate(made):
            if self.builder.nodes[seen.place].inputs:
                self.builder.rename(seen.place, path if len(made) == 1 else f"{path}.{number}")

    def _open_place(self, tensor: torch.Tensor) -> Place:
        """The node of an operand of what has a gradient: behind StopGradient where none flows back to it."""
        place = self.place_of(tensor)
        if not self._seen[id(tensor)].is_stopped:
            return place
        stopped = self.builder.add("StopGradient", [place], self.builder.nodes[place].name + ".detach")
        self.builder.record(stopped, as_array(tensor), dtype_name(tensor))
        self._see(tensor, stopped)
        return stopped

    def _opaque(self, seen: Seen) -> Place:
        """An Input in place of what a torch.autograd.Function returned, whose backward is the program's own."""
        assert seen.tensor.grad_fn is not None
        name = seen.tensor.grad_fn.name()
        place = self.enter_input(seen.tensor, name)
        self.builder.unmapped(name, [place], [seen.place], "a torch.autograd.Function has a backward of its own")
        return place

    def _see(self, tensor: torch.Tensor, place: Place, is_stopped: bool = False) -> None:
        scope = self.scope[-1] if self.scope else ""
        node = self.builder.nodes[place]
        if node.operation == "Constant" or not (tensor.is_floating_point() or tensor.is_complex()):
            self._whole.add(place)
        stopped = is_stopped or not (torch.is_grad_enabled() or node.operation in _LEAVES or tensor.grad_fn is not None)
        self._seen[id(tensor)] = Seen(tensor, place, version(tensor), stopped, scope)
        if tensor.requires_grad and not is_stopped:
            self._hooks.append(tensor.register_hook(lambda gradient: self._take_gradient(place, gradient)))

    def _look_at(self, tensors: Iterable[torch.Tensor]) -> dict[int, Seen]:
        """Give what may be changed its node while it is as it is."""
        for tensor in tensors:
            base = base_of(tensor)
            if base is not None:
                self.place_of(base)
            self.place_of(tensor)
        return {id(tensor): self._seen[id(tensor)] for tensor in tensors}

    # --- gradients ----------------------------------------------------------------------------------------------------

    def _take_gradient(self, place: Place, gradient: torch.Tensor | None) -> None:
        if gradient is None or self._is_differentiated:  # None: of one of several results, which was not asked for
            return
        array = as_array(gradient)
        before = self.builder.gradients.get(place)
        self.builder.gradients[place] = array if before is None else before + array

    def _run_backward(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        roots, seeds = args[0], kwargs.get("gradient", kwargs.get("grad_tensors", kwargs.get("grad_outputs")))
        if seeds is None and len(args) > 1 and func is not torch.autograd.grad:
            seeds = args[1]
        if kwargs.get("create_graph"):
            return self._differentiate(func, args, kwargs)
        roots = [roots] if isinstance(roots, torch.Tensor) else list(roots)
        given = [seeds] * len(roots) if seeds is None or isinstance(seeds, torch.Tensor) else list(seeds)
        for root, seed in zip(roots, given, strict=True):
            self.outputs.append((self.place_of(root), None if seed is None else as_array(seed)))
        return func(*args, **kwargs)

    def _differentiate(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Gradients that the program computes with: Inputs, since the way back is not recorded."""
        roots = [self.place_of(tensor) for tensor in tensors(args[0])]
        self._is_differentiated = True
        try:
            result = func(*args, **kwargs)
        finally:
            self._is_differentiated = False
        places = [self.enter_input(tensor, "gradient") for tensor in tensors(result)]
        self.builder.unmapped("grad", places, roots, "the program computes with a gradient")
        return result

    def finish(self) -> None:
        """Let go of the program's tensors; a gradient that has not come is none."""
        for hook in self._hooks:
            hook.remove()
        self._seen.clear()
        if self.outputs:
            for place, node in enumerate(self.builder.nodes):
                if node.dtype and place not in self._unhooked:
                    self.builder.gradients.setdefault(place, None)


_LEAVES = ("Input", "Constant")


def _never(*_: Any, **__: Any) -> Any:
    raise AssertionError("what is no function is not called again")


def _lowered_by_autocast(name: str, result: Any) -> str | None:
    """The precision that autocast computed in, if that is a coarser one."""
    made = next(tensors(result), None)
    if name in _CASTS or made is None or made.dtype not in (torch.bfloat16, torch.float16):
        return None
    return dtype_name(made) if torch.is_autocast_enabled(made.device.type) else None
