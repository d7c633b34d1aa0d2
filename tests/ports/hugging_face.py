"""Small models of Hugging Face's transformers, built from a configuration with random weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="left to `make test-peers`")
transformers = pytest.importorskip("transformers", reason="left to `make test-peers`")

nn, F = torch.nn, torch.nn.functional


class NextToken(nn.Module):
    """The loss of a language model."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, text: Any) -> Any:
        scores = self.model(input_ids=text, use_cache=False).logits
        return F.cross_entropy(scores[:, :-1].flatten(0, 1), text[:, 1:].flatten())


class Sentences(nn.Module):
    """The loss of a classifier of sentences, the second of which is padded."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, text: Any, mask: Any, labels: Any) -> Any:
        return F.cross_entropy(self.model(input_ids=text, attention_mask=mask).logits, labels)


def bert(**changes: Any) -> Any:
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = {**sizes, "vocab_size": 30, "max_position_embeddings": 12, "num_labels": 3, **changes}
    return Sentences(transformers.BertForSequenceClassification(transformers.BertConfig(**config)))


def gpt2(**changes: Any) -> Any:
    config = {"n_embd": 8, "n_layer": 2, "n_head": 2, "vocab_size": 30, "n_positions": 12, **changes}
    return NextToken(transformers.GPT2LMHeadModel(transformers.GPT2Config(**config)))


def llama(**changes: Any) -> Any:
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = {**sizes, "intermediate_size": 16, "vocab_size": 30, "max_position_embeddings": 12, **changes}
    return NextToken(transformers.LlamaForCausalLM(transformers.LlamaConfig(**config)))


@dataclass(frozen=True)
class Slip:
    """A change of a model's configuration, and what is named, by its phase and its node."""

    change: dict[str, Any]
    named: str


@dataclass(frozen=True)
class Model:
    """A model and its slips."""

    build: Callable[..., Any]
    slips: dict[str, Slip]


MODELS = {
    "BERT": Model(
        bert,
        {
            "epsilon": Slip({"layer_norm_eps": 1e-2}, "forward layer_norm"),
            "activation": Slip({"hidden_act": "gelu_new"}, "forward mul_3"),
        },
    ),
    "GPT-2": Model(
        gpt2,
        {
            "epsilon": Slip({"layer_norm_epsilon": 1e-2}, "forward layer_norm"),
            "activation": Slip({"activation_function": "relu"}, "forward relu"),
            "scale": Slip({"scale_attn_weights": False}, "forward val_161"),
        },
    ),
    "Llama": Model(
        llama,
        {
            "epsilon": Slip({"rms_norm_eps": 1e-2}, "forward val_108"),
            "activation": Slip({"hidden_act": "gelu"}, "forward gelu"),
            "base": Slip({"rope_theta": 100.0}, "forward unsqueeze_14"),
        },
    ),
}


def model_of(name: str, slip: str = "") -> tuple[Any, dict[str, Any]]:
    """The module in evaluation, with the same random weights each time, and its arguments."""
    torch.manual_seed(4)
    module = MODELS[name].build(**(MODELS[name].slips[slip].change if slip else {})).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.5 * torch.randn_like(parameter) + (0.5 if parameter.ndim == 1 else 0.0))
    text = torch.randint(1, 30, (2, 6))
    if name != "BERT":
        return module, {"text": text}
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
    return module, {"text": text, "mask": mask, "labels": torch.tensor([0, 2])}
