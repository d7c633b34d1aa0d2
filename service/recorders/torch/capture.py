"""Watch a program: each call of a function of PyTorch's becomes nodes, by the tables or as an Input."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from service.recorders.builder import Builder, Place
from service.recorders.torch.arguments import (
    is_property,
    is_transformed,
    is_transforming,
    may_change,
    plain_name,
    replaced,
    tensors,
    version,
)
from service.recorders.torch.call import Operand, TorchCall, Unmapped, as_array, dtype_name
from service.recorders.torch.composites import opened
from service.recorders.torch.frames import line_of_program
from service.recorders.torch.tables import FUNCTIONS
from service.recorders.torch.tensors import Tensors

_BACKWARD = {"backward", "grad"}
_DETACHED = {"detach", "data"}
# Their results depend on the shape of what they are given alone.
_LIKE = {
    *("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "randint_like"),
    *("new_zeros", "new_ones", "new_full", "new_empty", "new_tensor", "new_empty_strided"),
}
_UNSET = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
_CASTS = {"to", "type", "type_as", "half", "bfloat16", "float", "double"}
_FORMER = ("size_average", "reduce")  # arguments that PyTorch's losses still pass on, as None
_IGNORED = {"requires_grad", "retain_grad", "size"}
# What only moves or chooses numbers, so that none is rounded.
_EXACT = {
    *(
        "Cast",
        "Identity",
        "Reshape",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Expand",
        "Concat",
        "Split",
        "Slice",
        "Gather",
    ),
    *("GatherElements", "ScatterElements", "Where", "Relu", "Neg", "Abs", "Max", "Min", "Clip", "MaxPool", "Pad"),
}


class Capture(TorchFunctionMode):  # type: ignore[misc]  # PyTorch is not there where this is checked
    """Adds to `builder` what the program computes while this mode is on."""

    def __init__(self, builder: Builder, tensors: Tensors, with_sources: bool) -> None:
        super().__init__()
        self.builder = builder
        self.tensors = tensors
        self.outputs: list[tuple[Place, Any]] = []  # what gradients are of, and their seeds
        self.is_paused = False
        self._with_sources = with_sources
        self._opening: list[Callable[..., Any]] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = plain_name(func)
        if name in _IGNORED or (name == "grad" and is_property(func)):
            return func(*args, **kwargs)
        if name == "register_hook":
            handle = func(*args, **kwargs)
            self.tensors.take_last(args[0])
            return handle
        if name in _BACKWARD and not self.is_paused:
            return self._run_backward(func, args, kwargs)
        if (
            name not in FUNCTIONS
            and name not in _BACKWARD
            and func not in self._opening
            and (stand_in := opened(func)) is not None
        ):
            return self._open(func, stand_in, args, kwargs)
        if self.is_paused or is_transforming():
            return func(*args, **kwargs)
        operands = list(tensors((args, kwargs)))
        if any(map(is_transformed, operands)) or self._is_apart(func, operands, kwargs):
            return func(*args, **kwargs)
        self.tensors.look_at(operands if may_change(func, kwargs) else ())
        versions = [version(tensor) for tensor in operands]
        drawn = torch.get_rng_state() if "dropout" in name else None
        result = func(*args, **kwargs)
        if name in _UNSET:  # what is there by chance would differ from one recording to the next
            with torch._C.DisableTorchFunction(), torch.no_grad():
                result.zero_()
        changed = [tensor for tensor, before in zip(operands, versions, strict=True) if version(tensor) != before]
        self.tensors.forget_shared(changed)
        made = args[0] if name == "setitem" else result
        new = [each for each in tensors(made) if not _is_among(each, operands) or _is_among(each, changed)]
        if new and not any(map(is_transformed, new)):
            self._enter(name, func, args, kwargs, made, new, drawn)
        return result

    def _is_apart(self, func: Callable[..., Any], operands: Sequence[torch.Tensor], kwargs: Mapping[str, Any]) -> bool:
        """Whether a call is no part of what is recorded, as of gradients that are scaled or weights that are set."""
        if torch.is_grad_enabled() or not operands:
            return False
        is_set = may_change(func, kwargs) and operands[0].is_leaf and operands[0].requires_grad
        return is_set or not any(map(self.tensors.knows, operands))

    def _open(
        self, func: Callable[..., Any], stand_in: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Call what a function is made of; a body that comes back to the function leaves it whole."""
        self._opening.append(func)
        try:
            with self:
                return stand_in(*args, **kwargs)
        finally:
            self._opening.pop()

    # --- nodes --------------------------------------------------------------------------------------------------------

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
            self.tensors.see(new[0], self.tensors.place_of(operands[0]))
            if name == "data":
                self.tensors.share(new[0], operands[0])
            return

        def again(*arguments: Any, **named: Any) -> Any:
            with torch.random.fork_rng(devices=()), torch._C.DisableTorchFunction(), torch.no_grad():
                if drawn is not None:
                    torch.set_rng_state(drawn)
                return func(*arguments, **named)

        prefix = self.tensors.scope + "/" if self.tensors.scope else ""
        call = TorchCall(self.builder, name, prefix, result, again)
        places = [self.tensors.place_of(tensor) for tensor in operands]
        flows = any(each.requires_grad for each in new)
        try:
            if all(self.builder.nodes[place].operation == "Constant" for place in places):
                raise Unmapped("it is constant")
            entered = self._mapped(call, args, kwargs, flows)
        except Unmapped as reason:
            entered = self._given(call, new, places, flows, str(reason))
        for tensor, operand in zip(new if len(entered) == len(new) else tensors(result), entered, strict=True):
            if _is_among(tensor, new):
                self._settle(tensor, operand.place, prefix + name)

    def _mapped(
        self, call: TorchCall, args: Sequence[Any], kwargs: Mapping[str, Any], flows: bool
    ) -> Sequence[Operand]:
        """The nodes of the results by the table; raises Unmapped."""
        function = FUNCTIONS.get(call.name)
        if function is None:
            raise Unmapped("the rulebook has no operation for it")
        if any(tensor.is_complex() for tensor in tensors((args, kwargs, call.result))):
            raise Unmapped("its numbers are complex")
        lowered = _lowered_by_autocast(call)

        def operand(tensor: torch.Tensor) -> Operand:
            place = self.tensors.open_place(tensor) if flows else self.tensors.place_of(tensor)
            if lowered and tensor.dtype in (torch.float32, torch.float64):
                place = call.add("Cast", Operand(place), to=lowered).place
            return Operand(place, tensor)

        given = replaced(args, operand)
        named = {word: replaced(each, operand) for word, each in kwargs.items() if word not in _FORMER or each}
        before = len(self.builder.nodes)
        try:
            entered = function(call, *given, **named)
        except (Unmapped, TypeError) as error:
            self.builder.forget(before)
            reason = str(error) if isinstance(error, Unmapped) else f"not with these arguments: {error}"
            raise Unmapped(reason) from error
        entered = list(entered) if isinstance(entered, tuple | list) else [entered]
        # An argument as it is has its node already: the result is another tensor.
        entered = [each if each.place >= before else call.add("Identity", each) for each in entered]
        results = list(tensors(call.result))
        return [
            self._rounded(call, each, of) for each, of in zip(entered, results, strict=len(entered) == len(results))
        ]

    def _rounded(self, call: TorchCall, result: Operand, tensor: torch.Tensor) -> Operand:
        """What is computed in low precision is rounded once, to that."""
        is_low = tensor.dtype in (torch.bfloat16, torch.float16)
        if not is_low or self.builder.nodes[result.place].operation in _EXACT:
            return result
        self.builder.rename(result.place, f"{call.scope}{call.name}.unrounded")
        return call.add("Cast", result, to=dtype_name(tensor))

    def _given(
        self, call: TorchCall, new: Sequence[torch.Tensor], places: Sequence[Place], flows: bool, why: str
    ) -> Sequence[Operand]:
        """Constants, of what follows from constants and whole numbers alone, or Inputs with what came out."""
        if not flows and self.tensors.are_whole(places):
            return [call.operand(tensor) for tensor in new]
        given = [self.builder.input(as_array(each), call.scope + call.name, dtype_name(each)) for each in new]
        if places and any(tensor.is_floating_point() or tensor.is_complex() for tensor in new):
            self.builder.unmapped(call.name, given, places if flows else (), why)
        return [Operand(place) for place in given]

    def _settle(self, tensor: torch.Tensor, place: Place, name: str) -> None:
        self.builder.rename(place, name)
        node = self.builder.nodes[place]
        node.source = line_of_program() if self._with_sources else None
        if node.inputs:
            self.builder.record(place, as_array(tensor), dtype_name(tensor))
        self.tensors.settle(tensor, place)

    # --- gradients ----------------------------------------------------------------------------------------------------

    def _run_backward(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        roots, seeds = args[0], kwargs.get("gradient", kwargs.get("grad_tensors", kwargs.get("grad_outputs")))
        if seeds is None and len(args) > 1 and func is not torch.autograd.grad:
            seeds = args[1]
        if any(map(is_transformed, tensors(roots))):
            return func(*args, **kwargs)
        if kwargs.get("create_graph"):
            return self._differentiate(func, args, kwargs)
        roots = [roots] if isinstance(roots, torch.Tensor) else list(roots)
        given = [seeds] * len(roots) if seeds is None or isinstance(seeds, torch.Tensor) else list(seeds)
        for root, seed in zip(roots, given, strict=True):
            self.outputs.append((self.tensors.place_of(root), None if seed is None else as_array(seed)))
        return self._call_paused(func, args, kwargs)

    def _differentiate(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Gradients that the program computes with: Inputs, since the way back is not recorded."""
        roots = [self.tensors.place_of(tensor) for tensor in tensors(args[0])]
        self.tensors.is_taking = False
        try:
            result = self._call_paused(func, args, kwargs)
        finally:
            self.tensors.is_taking = True
        places = [self.tensors.enter_input(tensor, "gradient") for tensor in tensors(result)]
        self.builder.unmapped("grad", places, roots, "the program computes with a gradient")
        return result

    def _call_paused(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """On the way back nothing is recorded. What a checkpoint computes again there has to be opened as it was."""
        if func is torch.Tensor.backward:
            func = torch.autograd.backward
            kwargs = {"grad_tensors" if word == "gradient" else word: each for word, each in kwargs.items()}
        was_paused, self.is_paused = self.is_paused, True
        try:
            with self:
                return (opened(func) or func)(*args, **kwargs)
        finally:
            self.is_paused = was_paused


def _is_among(tensor: torch.Tensor, others: Sequence[torch.Tensor]) -> bool:
    return any(tensor is each for each in others)


def _lowered_by_autocast(call: TorchCall) -> str | None:
    """The precision that autocast computed in, if that is a coarser one."""
    made = next(tensors(call.result), None)
    if call.name in _CASTS or made is None or made.dtype not in (torch.bfloat16, torch.float16):
        return None
    return dtype_name(made) if torch.is_autocast_enabled(made.device.type) else None
