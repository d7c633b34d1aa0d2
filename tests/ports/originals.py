"""Networks in PyTorch that others port or export: each a module that returns its loss, and with `slip` one mistake."""

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="left to `make test-peers`")

nn, F = torch.nn, torch.nn.functional


class Classifier(nn.Module):
    def __init__(self, slip: str = "") -> None:
        super().__init__()
        self.stem, self.norm, self.head = nn.Linear(5, 8), nn.LayerNorm(8), nn.Linear(8, 3)
        self.norm.eps = 1e-2 if slip == "epsilon" else 1e-5
        self.approximate = "tanh" if slip == "approximate" else "none"

    def forward(self, x: Any, labels: Any) -> Any:
        h = F.gelu(self.norm(self.stem(x)), approximate=self.approximate)
        return F.cross_entropy(self.head(h), labels)


class ConvNet(nn.Module):
    def __init__(self, slip: str = "") -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(4), nn.Linear(24, 3)
        self.norm.eps = 1e-2 if slip == "epsilon" else 1e-5
        self.pool = F.avg_pool2d if slip == "pool" else F.max_pool2d

    def forward(self, image: Any, labels: Any) -> Any:
        h = self.pool(F.relu(self.norm(self.first(image))), 2)
        h = F.max_pool2d(F.silu(self.second(h)), 2)
        return F.cross_entropy(self.head(torch.flatten(h, 1)), labels)


class RotaryAttention(nn.Module):
    """Causal attention with rotary places, after a root mean square norm, beside a gated dense layer."""

    def __init__(self, slip: str = "") -> None:
        super().__init__()
        self.norm, self.heads = nn.RMSNorm(8, eps=1e-5), 2
        self.q, self.k, self.v, self.o = (nn.Linear(8, 8, bias=False) for _ in range(4))
        self.gate, self.up, self.down = nn.Linear(8, 12), nn.Linear(8, 12), nn.Linear(12, 8)

    def rotated(self, x: Any) -> Any:
        length, width = x.shape[-2:]
        angles = torch.outer(torch.arange(length), 10000.0 ** (-torch.arange(0, width, 2) / width))
        angles = torch.cat([angles, angles], -1)
        first, second = x.chunk(2, -1)
        return x * torch.cos(angles) + torch.cat([-second, first], -1) * torch.sin(angles)

    def forward(self, x: Any) -> Any:
        h = self.norm(x)
        q, k, v = (layer(h).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        mixed = F.scaled_dot_product_attention(self.rotated(q), self.rotated(k), v, is_causal=True)
        x = x + self.o(mixed.transpose(1, 2).flatten(2))
        return (x + self.down(F.silu(self.gate(x)) * self.up(x))).square().mean()


class Encoder(nn.Module):
    """PyTorch's own layer of a transformer."""

    def __init__(self, slip: str = "") -> None:
        super().__init__()
        activation, epsilon = F.relu if slip == "activation" else F.gelu, 1e-2 if slip == "epsilon" else 1e-5
        self.layer = nn.TransformerEncoderLayer(
            8, 2, 16, dropout=0.0, activation=activation, layer_norm_eps=epsilon, batch_first=True
        )

    def forward(self, x: Any) -> Any:
        return self.layer(x).square().mean()


class ActorCritic(nn.Module):
    """The loss of A2C: a policy's and a value's, of one trunk, less the policy's entropy."""

    def __init__(self, slip: str = "") -> None:
        super().__init__()
        self.trunk, self.inner = nn.Linear(4, 8), nn.Linear(8, 8)
        self.actor, self.policy = nn.Linear(8, 6), nn.Linear(6, 3)
        self.critic, self.value = nn.Linear(8, 6), nn.Linear(6, 1)

    def forward(self, state: Any, action: Any, returns: Any) -> Any:
        h = F.relu(self.inner(F.relu(self.trunk(state))))
        scores = self.policy(F.relu(self.actor(h)))
        value = self.value(F.relu(self.critic(h))).squeeze(-1)
        log_policy = F.log_softmax(scores, -1)
        advantage = (returns - value).detach()
        chosen = log_policy.gather(1, action[:, None]).squeeze(1)
        entropy = -(log_policy.exp() * log_policy).sum(-1).mean()
        return -(chosen * advantage).mean() + 0.5 * F.mse_loss(value, returns) - 0.01 * entropy


class ValueFirst(ActorCritic):
    """The same, refactored: the value is computed first, so that a recorder counts the functions otherwise."""

    def __init__(self, slip: str = "") -> None:
        super().__init__()
        self.slip = slip

    def forward(self, state: Any, action: Any, returns: Any) -> Any:
        h = F.relu(self.inner(F.relu(self.trunk(state))))
        value = self.value(F.relu(self.critic(h)))[:, 0]
        error = returns - value
        log_policy = F.log_softmax(self.policy(F.relu(self.actor(h))), -1)
        entropy = -(log_policy.exp() * log_policy).sum(-1).mean()
        chosen = log_policy.gather(1, action[:, None]).squeeze(1)
        policy_loss = -(chosen * (error if self.slip == "detached" else error.detach())).mean()
        value_loss = (1.0 if self.slip == "half" else 0.5) * error.square().mean()
        bonus = 0.01 * entropy
        return policy_loss + value_loss + (bonus if self.slip == "entropy" else -bonus)


def labels(count: int, *shape: int) -> Any:
    return torch.randint(0, count, shape)


def steps() -> dict[str, Any]:
    return {"state": torch.randn(6, 4), "action": labels(3, 6), "returns": torch.randn(6)}


ORIGINALS: dict[str, tuple[Callable[..., Any], Callable[[], dict[str, Any]]]] = {
    "classifier": (Classifier, lambda: {"x": torch.randn(4, 5), "labels": labels(3, 4)}),
    "conv net": (ConvNet, lambda: {"image": torch.randn(3, 2, 8, 8), "labels": labels(3, 3)}),
    "rotary attention": (RotaryAttention, lambda: {"x": torch.randn(2, 5, 8)}),
    "encoder": (Encoder, lambda: {"x": torch.randn(2, 5, 8)}),
    "actor-critic": (ActorCritic, steps),
    "value first": (ValueFirst, steps),
}


def original(name: str, slip: str = "") -> tuple[Any, dict[str, Any]]:
    """The module, with the same weights each time, none of them as it was initialised, and its arguments."""
    build, arguments = ORIGINALS[name]
    torch.manual_seed(1)
    module = build(slip)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for label, buffer in module.named_buffers():
            if label.endswith(("running_mean", "running_var")):
                buffer.add_(0.3 * torch.rand_like(buffer))
    return module, arguments()
