"""A model that examples/gate/gradients.yml records: attention over a few tokens, and a classification."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


class Classifier(nn.Module):
    """Classifies a sequence of tokens; (batch, length) → (batch, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 8)
        self.query, self.key, self.value = (nn.Linear(8, 8) for _ in range(3))
        self.head = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 3))

    def forward(self, tokens: Tensor) -> Tensor:
        """The score of each class."""
        x = self.embedding(tokens)
        scores = self.query(x) @ self.key(x).transpose(1, 2)
        weights = (scores / math.sqrt(8)).softmax(dim=-1)
        pooled: Tensor = self.head((weights @ self.value(x)).mean(dim=1))
        return pooled


def build() -> tuple[nn.Module, tuple[Tensor], Callable[[Tensor], Tensor]]:
    """The model, its arguments and the loss: the same figures in every run."""
    torch.manual_seed(0)
    model, tokens, classes = Classifier(), torch.randint(10, (4, 6)), torch.tensor([0, 1, 2, 1])
    return model, (tokens,), lambda scores: nn.functional.cross_entropy(scores, classes)
