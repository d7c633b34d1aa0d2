"""Which node each tensor of a program has, and the gradients that come to it.

PyTorch counts the changes in place of each tensor and of all that share its numbers (`_version`): a tensor that is not
as it was when it got its node is looked at anew.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from service.recorders.builder import Builder, Place
from service.recorders.torch.aliases import base_of, put_back, view_of
from service.recorders.torch.arguments import version
from service.recorders.torch.call import Operand, TorchCall, as_array, dtype_name
from service.recorders.torch.frames import local_name


@dataclass(frozen=True, eq=False)
class Seen:
    """A tensor that has a node, as it was when it got it; the tensor is kept, or its id would be another's."""

    tensor: torch.Tensor
    place: Place
    version: int
    is_stopped: bool  # no gradient flows through this tensor, but one would flow through its node
    scope: str


class Tensors:
    """The tensors that have nodes of `builder`; `own` names those of a model, by id, and `scope` the module at hand."""

    def __init__(self, builder: Builder, own: dict[int, str]) -> None:
        self.builder = builder
        self.scope = ""
        self.is_taking = True  # the gradients that come
        self._own = own
        self._seen: dict[int, Seen] = {}
        self._before: dict[int, Seen] = {}  # what the call at hand may change, as it was
        self._whole: set[Place] = set()  # whole numbers, and Constants
        self._requiring: dict[Place, bool] = {}
        self._numbers_of: dict[int, torch.Tensor] = {}  # x of x.data
        self._whole_views: dict[int, torch.Tensor] = {}  # by the id of a base that only PyTorch has
        self._unseen: list[Place] = []
        self._unhooked: set[Place] = set()
        self._hooks: dict[Place, Any] = {}

    # --- nodes --------------------------------------------------------------------------------------------------------

    def knows(self, tensor: torch.Tensor) -> bool:
        """Whether it has a node, or is the model's."""
        return id(tensor) in self._seen or id(tensor) in self._own

    def are_whole(self, places: Iterable[Place]) -> bool:
        """Whether no gradient flows to any of these nodes: Constants and whole numbers."""
        return self._whole.issuperset(places)

    def place_of(self, tensor: torch.Tensor) -> Place:
        """The node of a tensor: a new Input if it was not seen before, or has changed in a way that was not seen."""
        if id(tensor) in self._before:
            return self._before[id(tensor)].place
        seen = self._seen.get(id(tensor))
        if seen is not None and seen.version == version(tensor):
            return self._opaque(seen) if seen.is_stopped and tensor.grad_fn is not None else seen.place
        base = self._base_of(tensor)
        if base is not None:
            call = TorchCall(self.builder, "", "", tensor, _never)
            place = view_of(call, Operand(self.place_of(base), base), tensor).place
            self.builder.record(place, as_array(tensor), dtype_name(tensor))
            self.see(tensor, place)
            return place
        name = self._own.get(id(tensor)) or local_name(tensor) or "input"
        if seen is not None:
            self.builder.notes.append(f"{name} changed unseen: from there on it is another Input.")
        place = self.enter_input(tensor, name)
        if tensor.grad_fn is not None:
            self._unseen.append(place)
        return place

    def open_place(self, tensor: torch.Tensor) -> Place:
        """The node of an operand of what has a gradient: behind StopGradient where none flows back to it."""
        place = self.place_of(tensor)
        if not self._seen[id(tensor)].is_stopped:
            return place
        stopped = self.builder.add("StopGradient", [place], self.builder.nodes[place].name + ".detach")
        self.builder.record(stopped, as_array(tensor), dtype_name(tensor))
        self.see(tensor, stopped)
        return stopped

    def enter_input(self, tensor: torch.Tensor, name: str) -> Place:
        """Add an Input that is this tensor."""
        place = self.builder.input(as_array(tensor), name, dtype_name(tensor))
        self.see(tensor, place)
        return place

    def enter_argument(self, tensor: torch.Tensor, name: str) -> None:
        """Give an argument of the model its name, unless it follows from what is recorded."""
        seen = self._seen.get(id(tensor))
        if seen is None or self.builder.nodes[seen.place].operation == "Constant":
            self.enter_input(tensor, name)

    def rename_results(self, results: Sequence[torch.Tensor], path: str) -> None:
        """Name what a module returns by the module's path, unless a module within it has given it its own."""
        made = [seen for each in results if (seen := self._seen.get(id(each))) and seen.scope == path]
        for number, seen in enumerate(made):
            if self.builder.nodes[seen.place].inputs:
                self.builder.rename(seen.place, path if len(made) == 1 else f"{path}.{number}")

    def see(self, tensor: torch.Tensor, place: Place) -> None:
        """Have a tensor stand for a node from here on, and take its gradients."""
        is_whole = not (tensor.is_floating_point() or tensor.is_complex())
        if is_whole or self.builder.nodes[place].operation == "Constant":
            self._whole.add(place)
        before = self._seen.get(id(tensor))
        is_stopped = not tensor.requires_grad and not is_whole and self._requires_gradient(place)
        self._seen[id(tensor)] = Seen(tensor, place, version(tensor), is_stopped, self.scope)
        base = base_of(tensor)
        if base is not None and not self.knows(base) and base.numel() == tensor.numel():
            self._whole_views.setdefault(id(base), tensor)
        if tensor.requires_grad:
            self._requiring[place] = True
            if not (tensor.is_leaf and before is not None and self._is_used_twice(before.place, place)):
                self._hook(tensor, place)

    def take_last(self, tensor: torch.Tensor) -> None:
        """Take the gradient of a tensor after the hook that the program has put on it, which may change it."""
        seen = self._seen.get(id(tensor))
        hook = None if seen is None else self._hooks.get(seen.place)
        if seen is not None and hook is not None and hook.id in (tensor._backward_hooks or ()):
            hook.remove()
            self._hook(tensor, seen.place)

    def _hook(self, tensor: torch.Tensor, place: Place) -> None:
        with torch._C.DisableTorchFunction():
            self._hooks[place] = tensor.register_hook(lambda gradient: self._take_gradient(place, gradient))

    def _is_used_twice(self, before: Place, place: Place) -> bool:
        """Of a leaf that has a second node, after its numbers were set: whether one gradient will come for both."""
        if before in self._hooks:
            self._hooks.pop(before).remove()
        if before in self.builder.gradients:
            return False
        self._unhooked |= {before, place}
        return True

    def _requires_gradient(self, place: Place) -> bool:
        """Whether a gradient flows through a node to what requires one."""
        if place not in self._requiring:
            node = self.builder.nodes[place]
            is_open = node.operation != "StopGradient" and any(map(self._requires_gradient, node.inputs))
            self._requiring[place] = is_open
        return self._requiring[place]

    def _opaque(self, seen: Seen) -> Place:
        """An Input in place of what a torch.autograd.Function returned, whose backward is the program's own."""
        assert seen.tensor.grad_fn is not None
        name = seen.tensor.grad_fn.name()
        place = self.enter_input(seen.tensor, name)
        self.builder.unmapped(name, [place], [seen.place], "a torch.autograd.Function has a backward of its own")
        return place

    def _base_of(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """What a tensor is a view of; where only PyTorch has that, as within `linear`, the result that is all of it."""
        base = base_of(tensor)
        if base is None or self.knows(base):
            return base
        whole = self._whole_views.get(id(base))
        return None if whole is tensor else whole

    # --- changes in place ---------------------------------------------------------------------------------------------

    def look_at(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give what the call at hand may change its node while it is as it is."""
        self._before = {}
        for tensor in tensors:
            base = self._base_of(tensor)
            if base is not None:
                self.place_of(base)
            self.place_of(tensor)
            self._before[id(tensor)] = self._seen[id(tensor)]

    def share(self, data: torch.Tensor, tensor: torch.Tensor) -> None:
        """Remember of x.data that it has the numbers of x, for PyTorch does not count its changes as changes of x."""
        self._numbers_of[id(data)] = tensor

    def forget_shared(self, changed: Iterable[torch.Tensor]) -> None:
        """Look anew at each x whose x.data has changed."""
        for tensor in changed:
            seen = self._seen.get(id(self._numbers_of.get(id(tensor))))
            if seen is not None:
                self._seen[id(seen.tensor)] = replace(seen, version=-1)

    def settle(self, tensor: torch.Tensor, place: Place) -> None:
        """Give a result its node; one that is a view, and was changed in place, changes its base."""
        before = self._before.get(id(tensor))
        if before is None:
            self.see(tensor, place)
            return
        if tensor.grad_fn is not None and not torch.is_grad_enabled():
            place = self._changed_beside_autograd(before.place, place, tensor)
        base = self._base_of(tensor)
        if base is None:
            self.see(tensor, place)
            return
        self._unhooked.add(place)
        call = TorchCall(self.builder, "", f"{self.builder.nodes[place].name}.", tensor, _never)
        after = put_back(call, Operand(self._seen[id(base)].place, base), tensor, Operand(place)).place
        self.builder.record(after, as_array(base), dtype_name(base))
        self.see(base, after)
        del self._seen[id(tensor)]

    def _changed_beside_autograd(self, before: Place, after: Place, tensor: torch.Tensor) -> Place:
        """What a change under no_grad makes of a tensor: its value is new, and its gradient flows as before."""
        add, name = self.builder.add, self.builder.nodes[after].name
        change = add("StopGradient", [add("Sub", [after, before], f"{name}.change")], f"{name}.detach")
        changed = add("Add", [before, change], name)
        self.builder.record(changed, as_array(tensor), dtype_name(tensor))
        self._unhooked.add(after)
        return changed

    # --- gradients ----------------------------------------------------------------------------------------------------

    def _take_gradient(self, place: Place, gradient: torch.Tensor | None) -> None:
        if gradient is None or not self.is_taking:  # None: of one of several results, which was not asked for
            return
        array = as_array(gradient)
        before = self.builder.gradients.get(place)
        self.builder.gradients[place] = array if before is None else before + array

    def finish(self, has_gradients: bool) -> None:
        """Let go of the program's tensors; a gradient that has not come is none."""
        for hook in self._hooks.values():
            hook.remove()
        for place in self._unseen:
            tensor = next(seen.tensor for seen in self._seen.values() if seen.place == place)
            if behind := list(self._behind(tensor)):
                name = tensor.grad_fn.name() if tensor.grad_fn is not None else "a change"
                self.builder.unmapped(name, [place], behind, "it was computed where no call is seen")
        self._seen.clear()
        for place, node in enumerate(self.builder.nodes if has_gradients else ()):
            if node.dtype and place not in self._unhooked:
                self.builder.gradients.setdefault(place, None)

    def _behind(self, tensor: torch.Tensor) -> Iterator[Place]:
        """The nodes nearest behind a tensor that was computed unseen, by autograd's own graph."""
        places = {seen.tensor.grad_fn: seen.place for seen in self._seen.values()}
        ahead, met = [tensor.grad_fn], set()
        while ahead:
            for function, _ in getattr(ahead.pop(), "next_functions", ()):
                leaf = self._seen.get(id(getattr(function, "variable", None)))
                if function in places or leaf is not None:
                    yield places[function] if leaf is None else leaf.place
                elif function not in met:
                    met.add(function)
                    ahead.append(function)


def _never(*_: Any, **__: Any) -> Any:
    raise AssertionError("what is no function is not called again")
