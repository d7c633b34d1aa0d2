"""Programs in PyTorch, each a module that returns its loss, and with `slip` the same with one slip of a port."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="left to `make test-peers`")

nn, F = torch.nn, torch.nn.functional


class Mlp(nn.Module):
    """The slip: another epsilon."""

    def __init__(self, slip: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(5, 6), nn.Linear(6, 3)
        self.norm = nn.LayerNorm(6, eps=1e-2 if slip else 1e-5)

    def forward(self, x: Any, labels: Any) -> Any:
        return F.cross_entropy(self.second(self.norm(torch.relu(self.first(x)))), labels)


class Transposed(nn.Module):
    """The slip: a square weight is taken over as its transpose."""

    def __init__(self, slip: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(5, 5), nn.Linear(5, 3)
        if slip:
            self.first.weight = nn.Parameter(self.first.weight.detach().T.clone())

    def forward(self, x: Any, labels: Any) -> Any:
        return F.cross_entropy(self.second(torch.tanh(self.first(x))), labels)


class Cnn(nn.Module):
    """The slip: another epsilon; in evaluation, the statistics are still those of the batch."""

    def __init__(self, slip: bool, training: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3, eps=1e-1 if slip and training else 1e-5)
        self.norm.running_mean += 0.1
        self.norm.running_var *= 0.5
        self.pool, self.head = nn.MaxPool2d(2), nn.Linear(27, 3)
        self.train(training or slip)

    def forward(self, x: Any, labels: Any) -> Any:
        x = self.pool(F.relu(self.norm(self.conv(x))))
        return F.cross_entropy(self.head(torch.flatten(x, 1)), labels)


class Residual(nn.Module):
    """The slip: no gradient goes through the skip connection."""

    def __init__(self, slip: bool) -> None:
        super().__init__()
        self.slip, self.stem = slip, nn.Conv2d(1, 2, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Conv2d(2, 2, 3, padding=1) for _ in range(2))

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        for number, block in enumerate(self.blocks):
            skipped = x.detach() if self.slip and number == 1 else x
            x = F.relu(block(x) + skipped)
        return x.mean(dim=(2, 3)).square().sum()


class Attention(nn.Module):
    """The slip: the scores are not divided by √d."""

    def __init__(self, slip: bool) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(6, 6) for _ in range(4))
        self.heads, self.root = 2, 1.0 if slip else 3**0.5

    def forward(self, x: Any) -> Any:
        batch, length, width = x.shape
        split = (batch, length, self.heads, width // self.heads)
        q, k, v = (layer(x).view(split).transpose(1, 2) for layer in (self.q, self.k, self.v))
        weights = torch.softmax(q @ k.transpose(-2, -1) / self.root, dim=-1)
        return self.o((weights @ v).transpose(1, 2).reshape(batch, length, width)).square().mean()


class MultiHead(nn.Module):
    """The slip: the padding's keys are not masked."""

    def __init__(self, slip: bool) -> None:
        super().__init__()
        self.attention, self.slip = nn.MultiheadAttention(6, 2, batch_first=True), slip

    def forward(self, x: Any) -> Any:
        padding = torch.zeros(x.shape[:2], dtype=torch.bool)
        padding[1, 2:] = not self.slip
        return self.attention(x, x, x, key_padding_mask=padding)[0].square().mean()


class Causal(nn.Module):
    """The slip: the scores are not scaled."""

    def __init__(self, slip: bool) -> None:
        super().__init__()
        self.scale, self.qkv = 1.0 if slip else None, nn.Linear(8, 24)

    def forward(self, x: Any) -> Any:
        q, k, v = (each.unflatten(-1, (2, 4)).transpose(1, 2) for each in self.qkv(x).chunk(3, -1))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scale).square().sum()


class Encoder(nn.Module):
    """The slip: another activation in the second layer."""

    def __init__(self, slip: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        if slip:
            self.encoder.layers[1].activation = F.silu

    def forward(self, x: Any) -> Any:
        return self.encoder(x).square().mean()


class Gru(nn.Module):
    """The slip: the state's bias is left out."""

    def __init__(self, slip: bool) -> None:
        super().__init__()
        self.net, self.head = nn.GRU(4, 3, num_layers=2, batch_first=True), nn.Linear(3, 2)
        if slip:
            self.net.bias_hh_l1.data.zero_()

    def forward(self, x: Any, target: Any) -> Any:
        return F.mse_loss(self.head(self.net(x)[0][:, -1]), target)


class Lstm(nn.Module):
    """The slip: the gates are in another library's order."""

    def __init__(self, slip: bool) -> None:
        super().__init__()
        self.net, self.head = nn.LSTM(4, 3, bidirectional=True), nn.Linear(6, 2)
        if slip:
            i, f, g, o = self.net.weight_ih_l0.detach().chunk(4)
            self.net.weight_ih_l0.data = torch.cat([i, g, f, o])

    def forward(self, x: Any, target: Any) -> Any:
        return F.smooth_l1_loss(self.head(self.net(x)[0]), target)


class Embedding(nn.Module):
    """The slip: a sum over the words where their mean was meant."""

    def __init__(self, slip: bool) -> None:
        super().__init__()
        self.words, self.head, self.slip = nn.Embedding(10, 4, padding_idx=0), nn.Linear(4, 3), slip

    def forward(self, words: Any, labels: Any) -> Any:
        found = self.words(words)
        return F.cross_entropy(self.head(found.sum(1) if self.slip else found.mean(1)), labels)


class Tied(nn.Module):
    """The slip: the second use of the weight passes no gradient on."""

    def __init__(self, slip: bool) -> None:
        super().__init__()
        self.words, self.inner, self.slip = nn.Embedding(7, 4), nn.Linear(4, 4), slip
        self.out = nn.Linear(4, 7, bias=False)
        self.out.weight = self.words.weight

    def forward(self, words: Any, labels: Any) -> Any:
        found = torch.tanh(self.inner(self.words(words)))
        scores = F.linear(found, self.out.weight.detach()) if self.slip else self.out(found)
        return F.cross_entropy(scores.flatten(0, 1), labels.flatten())


class Detached(nn.Module):
    """The slip: the target of the bootstrap is not detached."""

    def __init__(self, slip: bool) -> None:
        super().__init__()
        self.value, self.slip = nn.Linear(4, 1), slip

    def forward(self, now: Any, then: Any) -> Any:
        target = 1.0 + 0.9 * self.value(then)
        return (self.value(now) - (target if self.slip else target.detach())).pow(2).mean()


class InPlace(nn.Module):
    """The slip: another slope of the leaky unit."""

    def __init__(self, slip: bool) -> None:
        super().__init__()
        self.layer, self.slope = nn.Linear(4, 4), 0.1 if slip else 0.01

    def forward(self, x: Any) -> Any:
        h = self.layer(x)
        h.mul_(2.0).add_(1.0)
        h[:, 0] = h[:, 1] * 3
        row = h[1]
        row += 1
        F.leaky_relu(h, self.slope, inplace=True)
        return torch.tanh(h).sum()


class Dropout(nn.Module):
    """The slip: another rate."""

    def __init__(self, slip: bool) -> None:
        super().__init__()
        self.layer, self.drop = nn.Linear(4, 8), nn.Dropout(0.25 if slip else 0.5)

    def forward(self, x: Any) -> Any:
        return self.drop(self.layer(x)).pow(2).mean()


class MixedPrecision(nn.Module):
    """The slip: a weight is doubled."""

    def __init__(self, slip: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 3)
        if slip:
            self.second.weight.data *= 2

    def forward(self, x: Any, labels: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            scores = self.second(F.gelu(self.first(x)))
        return F.cross_entropy(scores.float(), labels)


@dataclass(frozen=True)
class Case:
    """A program, the arguments that it is called with, and the figure that its slip is at: its phase and its node."""

    build: Callable[[bool], Any]
    arguments: Callable[[], tuple[Any, ...]]
    named: str

    def made(self, *, slip: bool) -> tuple[Any, tuple[Any, ...]]:
        """The module and its arguments; the same weights and arguments each time."""
        torch.manual_seed(1)
        module = self.build(slip)
        torch.manual_seed(2)
        return module, self.arguments()


def drawn(*shape: int) -> Any:
    return torch.randn(shape)


def labels(count: int, *shape: int) -> Any:
    return torch.randint(0, count, shape)


CASES = {
    "MLP": Case(Mlp, lambda: (drawn(4, 5), labels(3, 4)), "forward norm"),
    "transposed weight": Case(Transposed, lambda: (drawn(4, 5), labels(3, 4)), "forward first.weight"),
    "CNN in training": Case(lambda slip: Cnn(slip, True), lambda: (drawn(2, 2, 6, 6), labels(3, 2)), "forward norm"),
    "CNN in evaluation": Case(lambda slip: Cnn(slip, False), lambda: (drawn(2, 2, 6, 6), labels(3, 2)), "forward norm"),
    "residual": Case(Residual, lambda: (drawn(2, 1, 5, 5),), "backward relu"),
    "attention": Case(Attention, lambda: (drawn(2, 4, 6),), "forward constant_1"),
    "MultiheadAttention": Case(MultiHead, lambda: (drawn(2, 4, 6),), "forward attention/reshape"),
    "scaled_dot_product_attention": Case(Causal, lambda: (drawn(2, 5, 8),), "forward constant_1"),
    "TransformerEncoder": Case(Encoder, lambda: (drawn(2, 3, 8),), "forward encoder.layers.1.linear2"),
    "GRU": Case(Gru, lambda: (drawn(2, 3, 4), drawn(2, 2)), "forward net.bias_hh_l1"),
    "LSTM": Case(Lstm, lambda: (drawn(3, 2, 4), drawn(3, 2, 2)), "forward net.weight_ih_l0"),
    "embedding": Case(Embedding, lambda: (torch.tensor([[1, 4, 0], [2, 2, 9]]), labels(3, 2)), "forward head"),
    "tied weights": Case(Tied, lambda: (labels(7, 2, 3), labels(7, 2, 3)), "backward words.weight"),
    "detach": Case(Detached, lambda: (drawn(5, 4), drawn(5, 4)), "backward add"),
    "in-place": Case(InPlace, lambda: (drawn(3, 4),), "forward leaky_relu"),
    "dropout": Case(Dropout, lambda: (drawn(3, 4),), "forward constant_1"),
    "mixed precision": Case(MixedPrecision, lambda: (drawn(4, 8), labels(3, 4)), "forward second.weight"),
}
