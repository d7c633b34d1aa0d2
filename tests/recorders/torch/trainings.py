"""Training loops in PyTorch, each with a bug that it has from a step on."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="left to `make test-peers`")

nn = torch.nn
RATE, STEPS, AT = 0.05, 8, 7  # the bugs' first step is AT


class Adam(torch.optim.Adam):  # type: ignore[misc]  # PyTorch is not there where this is checked
    """Adam with coupled decay as it is written by hand, with a bug from a step on."""

    def __init__(self, parameters: Any, bug: str | None, at: int, **options: Any) -> None:
        super().__init__(parameters, **options)
        self.bug, self.at, self.count = bug, at, 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        self.count += 1
        bug = self.bug if self.count >= self.at else None
        for group in self.param_groups:
            first, second = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["step"] = torch.tensor(0.0)
                    state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
                state["step"] += 1
                t, decay = state["step"].item(), group["weight_decay"]
                coupled = decay if bug != "decoupled decay" else 0.0
                g = p.grad + coupled * p
                state["exp_avg"].mul_(first).add_(g, alpha=1 - first)
                state["exp_avg_sq"].mul_(second).addcmul_(g, g, value=1 - second)
                mean, square = state["exp_avg"] / (1 - first**t), state["exp_avg_sq"] / (1 - second**t)
                if bug == "no bias correction":
                    mean, square = state["exp_avg"], state["exp_avg_sq"]
                eps = group["eps"]
                root = (square + eps).sqrt() if bug == "eps inside the root" else square.sqrt() + eps
                p.sub_(group["lr"] * (mean / root + (decay - coupled) * p))


@dataclass(frozen=True)
class Task:
    """What is trained: a net, and for each of so many steps a batch, both from the same numbers every time."""

    net: Callable[[], Any]
    batch: Callable[[Any], tuple[Any, Any]]
    loss: Callable[[Any, Any], Any] = nn.functional.mse_loss
    seed: int = 0

    def made(self, dtype: Any) -> Any:
        torch.manual_seed(self.seed)
        return self.net().to(dtype)

    def batches(self, dtype: Any, count: int) -> Iterator[tuple[Any, Any]]:
        draw = torch.Generator().manual_seed(self.seed + 1)
        for _ in range(count):
            yield tuple(each.to(dtype) if each.is_floating_point() else each for each in self.batch(draw))


def wave(draw: Any) -> tuple[Any, Any]:
    x = torch.randn(16, 3, generator=draw, dtype=torch.float64)
    return x, torch.stack([torch.sin(2 * x[:, 0]) * x[:, 1], x[:, 2] ** 2], 1)


TASK = Task(lambda: nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)), wave)


def by_adam(bug: str | None, at: int = AT, **options: Any) -> Callable[[Any], Any]:
    given = {"lr": RATE, "weight_decay": 0.1, "eps": 1e-3, **options}
    return lambda parameters: Adam(parameters, bug, at, **given)


def train(
    record: Callable[..., AbstractContextManager[Any]],
    dtype: Any,
    bug: str | None = None,
    make: Callable[[Any], Any] = by_adam(None),  # noqa: B008  # it is made once for all
    count: int = STEPS,
    at: int = AT,
    task: Task = TASK,
) -> Any:
    """What `record(model, optimizer)` makes of a loop that has the bug in step `at`, or from there on."""
    model = task.made(dtype)
    first = next(model.parameters())
    optimizer = make(model.parameters())
    with record(model, optimizer) as recording:
        for step, (x, y) in enumerate(task.batches(dtype, count), 1):
            is_wrong = step >= at
            if not (bug == "no zero_grad" and step == at):
                optimizer.zero_grad()
            if bug == "decay sneaks in" and is_wrong:
                optimizer.param_groups[0]["weight_decay"] = 1e-2
            if bug == "a frozen layer" and is_wrong:
                first.requires_grad_(False)
            if bug == "a schedule off by one":
                optimizer.param_groups[0]["lr"] = RATE * 0.9 ** (step - (not is_wrong))
            task.loss(model(x), y).backward()
            if bug == "clipping" and is_wrong:
                norm = nn.utils.get_total_norm([each.grad for each in model.parameters()])
                nn.utils.clip_grad_norm_(model.parameters(), float(norm) / 2)
            optimizer.step()
            if bug == "written silently" and step == at - 1:
                first.data += 1e-3
    return recording
