"""Record a training loop as it runs: each step of an optimiser, with all that it is computed from."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from service.recorders.builder import Builder
from service.recorders.loss_graph import LossGraph
from service.recorders.optimizers import UnknownOptimizer, Update, known_rules, update_of
from service.recorders.recording import DTYPES
from service.recorders.torch.call import as_array
from service.recorders.torch.capture import Capture
from service.recorders.torch.recorder import loss_of, module_hooks, program, versions
from service.recorders.torch.tensors import Tensors
from service.recorders.training import RecordedStep, TrainingRecording

# Why a step is left out.
_OTHER_GRAPH = "the loss has another graph than in the first step"
_GIVEN = "`backward` was given a gradient"
_NOT_CALLED = "`backward` was not called"


@contextmanager
def record_training(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    every: int = 1,
    rule: str | None = None,
    schedule: str | None = None,
) -> Iterator[TrainingRecording]:
    """Record every so many steps of `optimizer`, from the first on: the block is the training loop, unchanged.

        with record_training(model, optimizer) as recording:
            for x, y in batches:
                optimizer.zero_grad()
                criterion(model(x), y).backward()
                optimizer.step()
        recording.save("training.npz")

    A step begins after the one before; its loss is what `backward` was called on, the sum of several. What is computed
    without gradients is given to it. The graph and the options of the optimiser but `lr` are those of the first step.
    Steps of another graph, or with a gradient given to `backward`, are left out, and `notes` say so. The recording is
    complete at the end of the block.

    `rule` names the class of torch.optim whose update is meant, if that is not the class of `optimizer` or one that it
    derives from. `schedule` is what `lr` is to be in step t, counted from 1, as an expression in t.

    Raises UnknownOptimizer, a ValueError, for an update that is not known.
    """
    if every < 1:
        raise ValueError("every is a whole number from 1 on")
    recording = TrainingRecording(every=every, schedule=schedule)
    steps = _StepRecorder(model, optimizer, rule, recording)
    with ExitStack() as stack:
        stack.enter_context(torch.compiler.set_stance("force_eager"))  # within compiled code no call is seen
        for hook in (*module_hooks(model, steps.capture), *steps.hooks()):
            stack.callback(hook.remove)
        stack.callback(steps.finish)
        with steps.capture:
            yield recording


class _StepCapture(Capture):
    """What is computed without gradients, as in an evaluation between two steps, is no part of a loss."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not torch.is_grad_enabled():
            return func(*args, **(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs)


class _StepRecorder:
    """Takes the steps of an optimiser one by one into `recording`."""

    def __init__(
        self, model: Any, optimizer: torch.optim.Optimizer, rule: str | None, recording: TrainingRecording
    ) -> None:
        self._optimizer, self._recording = optimizer, recording
        self._rule = _rule_of(optimizer, rule)
        model = getattr(model, "_orig_mod", model)  # of torch.compile, whose names are the model's
        self._own = {id(tensor): name for name, tensor in (*model.named_parameters(), *model.named_buffers())}
        recording.name, recording.by = f"{type(model).__name__} training", program()
        recording.versions = versions()
        self._count = self._depth = 0
        self._graph: LossGraph | None = None
        self._trained: list[tuple[Update, torch.Tensor, Mapping[str, Any]]] = []
        self._constants: dict[str, Any] = {}
        self._open: RecordedStep | None = None
        self._left_out: defaultdict[str, list[int]] = defaultdict(list)
        self.capture = _StepCapture(*self._blank(), with_sources=False)

    # --- when ---------------------------------------------------------------------------------------------------------

    def hooks(self) -> Iterator[Any]:
        """Have optimisers tell of their steps; what a step calls of the class that it derives from is a part of it."""
        yield register_optimizer_step_pre_hook(self._enter)
        yield register_optimizer_step_post_hook(self._leave)

    def _enter(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        self._depth += 1
        if self._depth == 1 and optimizer is self._optimizer:
            if len(args) > 1 or kwargs.get("closure") is not None:
                raise UnknownOptimizer("a step that is given a closure is not recorded")
            self._count += 1
            if not self.capture.is_paused:
                self._begin()
        self.capture.is_paused = True

    def _leave(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        self._depth -= 1
        if self._depth == 0:
            if optimizer is self._optimizer:
                self._end()
                self.capture.builder, self.capture.tensors = self._blank()
                self.capture.outputs = []
            self.capture.is_paused = self._count % self._recording.every != 0

    def _blank(self) -> tuple[Builder, Tensors]:
        """What the next step is recorded in; of gradients, those that the optimiser takes are enough."""
        builder = Builder()
        tensors = Tensors(builder, self._own)
        tensors.is_taking = False
        return builder, tensors

    # --- a step -------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Take what the optimiser is about to be given."""
        capture = self.capture
        capture.tensors.finish(has_gradients=False)
        if not capture.outputs or any(seed is not None for _, seed in capture.outputs):
            self._left_out[_GIVEN if capture.outputs else _NOT_CALLED].append(self._count)
            return
        loss, _ = loss_of(capture)
        assert loss is not None
        graph = LossGraph(capture.builder, loss)
        if self._graph is None:
            self._settle(graph)
        assert self._graph is not None
        if graph.structure != self._graph.structure:
            self._left_out[_OTHER_GRAPH].append(self._count)
            return
        names = self._graph.names
        values = {name: self._kept(name, array) for name, array in graph.figures(names).items()}
        values |= {update.lr: float(group["lr"]) for update, _, group in self._trained}
        if self._recording.schedule is not None:
            values["t"] = float(self._count)
        for update, tensor, _ in self._trained:
            values |= {f"{update.name}.{key}": _state(self._optimizer, tensor, key) for key in update.states}
            values[update.gradient] = _nothing(tensor) if tensor.grad is None else as_array(tensor.grad)
        self._open = RecordedStep(self._count, values)

    def _end(self) -> None:
        """Take what the optimiser has made of it."""
        if self._open is None:
            return
        after = {}
        for update, tensor, _ in self._trained:
            after[f"{update.name}'"] = as_array(tensor)
            kept = self._optimizer.state.get(tensor, {})
            if tensor.grad is not None and (missing := set(update.states) - kept.keys()):
                detail = f"{self._rule} keeps {min(missing)!r} in a parameter's state; here it is missing after a step"
                raise UnknownOptimizer(detail)
            after |= {f"{update.name}.{key}'": _state(self._optimizer, tensor, key) for key in update.states}
        self._recording.steps.append(replace(self._open, values={**self._open.values, **after}))
        self._open = None

    def _settle(self, graph: LossGraph) -> None:
        """Let the first step say what the graph is, and what is trained."""
        self._graph = graph
        self._constants = {node.name: node.attributes["value"] for node in graph.nodes if node.operation == "Constant"}
        inputs = {node.name for node in graph.nodes if node.operation == "Input"}
        groups, recording = self._optimizer.param_groups, self._recording
        if recording.schedule is not None and (len(groups) > 1 or inputs & {"lr", "t"}):
            raise ValueError("a schedule is of one group of parameters, and of a loss without inputs t and lr")
        defaults = getattr(torch.optim, self._rule)([torch.zeros(1)]).defaults
        for number, group in enumerate(groups):
            lr = "lr" if len(groups) == 1 else f"lr.{number}"
            for tensor in group["params"]:
                name = self._own.get(id(tensor))
                if name in inputs and tensor.requires_grad:
                    update = update_of(self._rule, name, f"optimizer.{lr}" if lr in inputs else lr, defaults | group)
                    self._trained.append((update, tensor, group))
                else:
                    recording.notes.append(
                        f"{name or 'A parameter'} has no gradient in the first step: it is not judged."
                    )
        updates = [update for update, _, _ in self._trained]
        rates = dict.fromkeys(update.lr for update in updates)
        recording.parameters = [update.name for update in updates]
        recording.updates = [
            *({"name": lr, "operation": "Input"} for lr in rates if recording.schedule is None),
            *(node for update in updates for node in update.nodes),
        ]
        recording.carry = {after: before for update in updates for after, before in update.carry.items()}
        recording.loss = graph.names[-1]
        dtypes = [node.dtype for node in graph.nodes if node.dtype]
        recording.dtype = max(dtypes, key=DTYPES.index, default=DTYPES[0])

    def _kept(self, name: str, array: Any) -> Any:
        """A Constant that is as it was in the first step is kept once."""
        known = self._constants.get(name)
        return known if known is not None and np.array_equal(known, array, equal_nan=True) else array

    # --- all steps ----------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Complete the recording: a Constant that had another value in some step is an Input."""
        recording = self._recording
        for reason, numbers in self._left_out.items():
            steps = f"step{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"
            recording.notes.append(f"Left out, since {reason}: {steps}.")
        if self._graph is None:
            recording.notes.append("No step is recorded.")
            return
        varying = {
            name
            for name, value in self._constants.items()
            if any(step.values[name] is not value for step in recording.steps)
        }
        constant = self._constants.keys() - varying
        recording.nodes = self._graph.documents(varying)
        for place, step in enumerate(recording.steps):
            values = {name: figure for name, figure in step.values.items() if name not in constant}
            recording.steps[place] = replace(step, values=values)


def _rule_of(optimizer: torch.optim.Optimizer, rule: str | None) -> str:
    """The name of the class of torch.optim that is meant, or else the nearest that the optimiser is or derives from."""
    known = known_rules()
    own = [each.__name__ for each in type(optimizer).__mro__ if each.__module__.startswith("torch.optim")]
    found = next((each for each in ([rule] if rule else own) if each in known), None)
    if found is None:
        called = rule or type(optimizer).__name__
        raise UnknownOptimizer(f"{called} is none of {', '.join(known)}: name by `rule` the one that is meant")
    return found


def _state(optimizer: torch.optim.Optimizer, tensor: torch.Tensor, key: str) -> Any:
    """A state of a parameter; before there is one, 0."""
    kept = optimizer.state.get(tensor, {}).get(key)
    if kept is None:
        return 0.0 if key == "step" else _nothing(tensor)
    return as_array(kept) if isinstance(kept, torch.Tensor) else float(kept)


def _nothing(tensor: torch.Tensor) -> Any:
    """What stands for a gradient, or a state, that there is none of."""
    return np.zeros(tuple(tensor.shape), as_array(tensor.new_empty(0)).dtype)
