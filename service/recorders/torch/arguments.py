"""What can be said of a call of PyTorch's from its function and its arguments."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch


def plain_name(func: Callable[..., Any]) -> str:
    """`add_`, `__add__`, `__iadd__` and ATen's `add.Tensor` are all add; a property has its own name."""
    named: Any = getattr(func, "overloadpacket", func)
    named = named.__self__ if is_property(func) else named
    name = getattr(named, "__name__", type(named).__name__)
    if name.startswith("__i") and name not in ("__invert__", "__index__", "__int__"):
        name = name[3:]
    return str(name).strip("_")


def is_property(func: Callable[..., Any]) -> bool:
    """Whether what is called is the reading or the writing of an attribute."""
    return getattr(func, "__name__", "") in ("__get__", "__set__", "__delete__")


def may_change(func: Callable[..., Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call changes one of its arguments in place, if it can be seen from outside."""
    name = getattr(func, "__name__", "")
    is_dunder = name.startswith("__") and name.endswith("__")
    changes = name.startswith("__i") or name == "__setitem__" if is_dunder else name.endswith("_")
    return changes or bool(kwargs.get("inplace")) or "out" in kwargs


def version(tensor: torch.Tensor) -> int:
    """How often the numbers of a tensor were changed in place."""
    return 0 if tensor.is_inference() else tensor._version


def is_transformed(tensor: torch.Tensor) -> bool:
    """Whether a tensor stands for many within a transform as vmap, or for a derivative: it has no numbers to record."""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(tensor))


def is_transforming() -> bool:
    """Whether a transform as vmap or grad is under way, in which numbers cannot be read."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def tensors(value: Any) -> Iterator[Any]:
    """The tensors of an argument or a result, however they are nested."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors(each)
    elif isinstance(value, dict):
        yield from tensors(list(value.values()))


def replaced(value: Any, replace: Callable[[torch.Tensor], Any]) -> Any:
    """The same arguments with what replaces their tensors."""
    if isinstance(value, torch.Tensor):
        return replace(value)
    if isinstance(value, list | tuple):
        return (list if isinstance(value, list) else tuple)(replaced(each, replace) for each in value)
    if isinstance(value, dict):
        return {name: replaced(each, replace) for name, each in value.items()}
    return value
