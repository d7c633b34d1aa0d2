"""Training loops in PyTorch, each with a bug that it has from a step on."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="left to `make test-peers`")

nn = torch.nn
RATE, STEPS, AT = 0.05, 8, 7  # the bugs' first step is AT


class Adam(torch.optim.Adam):  # type: ignore[misc]  # PyTorch is not there where this is checked
    """Adam with coupled decay as it is written by hand, with a bug from step AT on."""

    def __init__(self, parameters: Any, bug: str | None, **options: Any) -> None:
        super().__init__(parameters, **options)
        self.bug, self.count = bug, 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        self.count += 1
        bug = self.bug if self.count >= AT else None
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


def net(dtype: Any = torch.float64) -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)).to(dtype)


def batches(dtype: Any, count: int = STEPS) -> Iterator[tuple[Any, Any]]:
    draw = torch.Generator().manual_seed(1)
    for _ in range(count):
        x = torch.randn(16, 3, generator=draw, dtype=torch.float64)
        yield x.to(dtype), torch.stack([torch.sin(2 * x[:, 0]) * x[:, 1], x[:, 2] ** 2], 1).to(dtype)


def by_adam(bug: str | None) -> Callable[[Any], Any]:
    return lambda parameters: Adam(parameters, bug, lr=RATE, weight_decay=0.1, eps=1e-3)


BY_ADAM = by_adam(None)


def train(
    record: Callable[..., AbstractContextManager[Any]],
    dtype: Any,
    bug: str | None = None,
    make: Callable[[Any], Any] = BY_ADAM,
    count: int = STEPS,
    at: int = AT,
) -> Any:
    """What `record(model, optimizer)` makes of a loop that has the bug in step `at`, or from there on."""
    model = net(dtype)
    optimizer = make(model.parameters())
    with record(model, optimizer) as recording:
        for step, (x, y) in enumerate(batches(dtype, count), 1):
            is_wrong = step >= at
            if not (bug == "no zero_grad" and step == at):
                optimizer.zero_grad()
            if bug == "decay sneaks in" and is_wrong:
                optimizer.param_groups[0]["weight_decay"] = 1e-2
            if bug == "a frozen layer" and is_wrong:
                model[0].weight.requires_grad_(False)
            if bug == "a schedule off by one":
                optimizer.param_groups[0]["lr"] = RATE * 0.9 ** (step - (not is_wrong))
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            if bug == "clipping" and is_wrong:
                nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            if bug == "written silently" and step == at - 1:
                model[2].weight.data += 1e-3
    return recording
