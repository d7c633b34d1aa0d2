"""The door: a model, or a function, is recorded while a block runs, or called and recorded at once."""

import inspect
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from service.recorders.builder import Builder
from service.recorders.recording import NotDifferentiable, Recording
from service.recorders.torch.arguments import is_transforming, tensors
from service.recorders.torch.capture import Capture
from service.recorders.torch.tensors import Tensors


def record(
    model: Callable[..., Any] | None = None,
    args: Any = None,
    loss: Callable[[Any], torch.Tensor] | None = None,
    *,
    source: bool = False,
) -> Any:
    """Record what PyTorch computes, with the gradients of what `backward` is called on.

        with record(model) as recording:
            loss = criterion(model(x), y)
            loss.backward()

    or, for the gradients of a scalar result, or of `loss` of it, `recording = record(model, args, loss)`, where `args`
    are a tuple of arguments, a mapping of named ones, or one tensor. Nodes have the names of modules and parameters of
    `model`, which may also be left out, or be a function. With `source` the recording says in which line of the program
    each node was computed.

    Gradients that come after the block are not in the recording, which is complete at its end. What has no node is
    listed in `unmapped`, and a RuntimeWarning says so.

    Raises NotDifferentiable, a ValueError, where what `model` or `loss` returns has no gradient or is not one number.
    """
    if args is None:
        return _recorded(model, source)
    if model is None:
        raise TypeError("record(model, args) calls the model: there is none")
    with _recorded(model, source) as recording:
        result = _call(model, args)
        final = result if loss is None else loss(result)
        if not isinstance(final, torch.Tensor) or final.numel() != 1:
            what = f"a tensor of shape {list(final.shape)}" if isinstance(final, torch.Tensor) else type(final).__name__
            raise NotDifferentiable(f"gradients are of one number, but this returned {what}: give a loss")
        if not final.requires_grad:
            raise NotDifferentiable("nothing that the result is computed from requires a gradient")
        final.backward()
    return recording


def _call(model: Callable[..., Any], args: Any) -> Any:
    if isinstance(args, Mapping):
        return model(**args)
    return model(args) if isinstance(args, torch.Tensor) else model(*args)


@contextmanager
def _recorded(model: Callable[..., Any] | None, source: bool) -> Iterator[Recording]:
    recording = Recording()
    model = getattr(model, "_orig_mod", model)  # of torch.compile, whose names are the model's
    module = model if isinstance(model, torch.nn.Module) else torch.nn.Module()
    own = {id(tensor): name for name, tensor in (*module.named_parameters(), *module.named_buffers())}
    builder = Builder()
    capture = Capture(builder, Tensors(builder, own), source)
    with ExitStack() as stack:
        stack.enter_context(torch.compiler.set_stance("force_eager"))  # within compiled code no call is seen
        for hook in (*module_hooks(module, capture), *_step_hooks(capture)):
            stack.callback(hook.remove)
        stack.callback(lambda: capture.tensors.finish(has_gradients=bool(capture.outputs)))
        with capture:
            yield recording
    output, seed = loss_of(capture)
    # It was handed out empty when the block began.
    Recording.__init__(
        recording,
        **builder.members(output),
        seed=seed,
        name=getattr(model, "__name__", "model" if model is None else type(model).__name__),
        by=program(),
        framework="torch",
        versions=versions(),
    )


def program() -> str:
    """Who computes what is recorded."""
    return f"PyTorch {torch.__version__.partition('+')[0]}"


def versions() -> dict[str, str]:
    """Those of PyTorch and of what it runs on."""
    return {"torch": str(torch.__version__), "numpy": np.__version__, "python": platform.python_version()}


def module_hooks(model: torch.nn.Module, capture: Capture) -> Iterator[Any]:
    """Have modules tell when they are entered and left."""

    entered: list[str] = []

    def enter(path: str, module: torch.nn.Module, args: Any, kwargs: Any) -> None:
        if not path and not capture.is_paused and not is_transforming():
            bound = inspect.signature(module.forward).bind(*args, **kwargs).arguments
            for name, value in bound.items():
                if isinstance(value, torch.Tensor):
                    capture.tensors.enter_argument(value, name)
        entered.append(capture.tensors.scope)
        capture.tensors.scope = path

    def leave(path: str, result: Any) -> None:
        if path and not capture.is_paused:
            capture.tensors.rename_results(list(tensors(result)), path)
        capture.tensors.scope = entered.pop()

    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            continue  # no call of PyTorch's is seen in it
        yield module.register_forward_pre_hook(
            lambda module, args, kwargs, path=path: enter(path, module, args, kwargs), with_kwargs=True
        )
        yield module.register_forward_hook(
            lambda module, args, result, path=path: leave(path, result), always_call=True
        )


def _step_hooks(capture: Capture) -> Iterator[Any]:
    """Have optimisers tell when they take a step, which is not recorded."""

    def pause(is_paused: bool) -> None:
        capture.is_paused = is_paused

    def is_given_a_closure(args: Any, kwargs: Any) -> bool:
        return len(args) > 1 or "closure" in kwargs

    yield register_optimizer_step_pre_hook(lambda _, args, kwargs: pause(not is_given_a_closure(args, kwargs)))
    yield register_optimizer_step_post_hook(lambda *_: pause(False))


def loss_of(capture: Capture) -> tuple[int | None, Any]:
    """The node that the gradients are of, and their seed; of several calls of backward, the sum of what they are of."""
    outputs, builder = capture.outputs, capture.builder
    if not outputs:
        builder.notes.append("backward was not called: there are no gradients.")
        return None, None
    if len(outputs) == 1:
        return outputs[0]
    weighted = []
    for place, seed in outputs:
        weighted.append(place if seed is None else builder.add("Mul", [place, builder.constant(seed)]))
    if any(seed is not None for _, seed in outputs):
        weighted = [builder.add("ReduceSum", [place], keepdims=0) for place in weighted]
    return builder.add("Sum", weighted, "total"), None
