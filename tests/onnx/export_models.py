"""Export usual networks from PyTorch and record its figures: `python -m tests.onnx.export_models`, with the peers.

It writes into models/, which is kept beside the tests, so that they need no PyTorch: each network as NAME.EXPORTER.onnx
for each of four exporters, and in NAME.npz its inputs (`input/…`), its parameters (`parameter/…`), its output, the
seed, and the gradients of inputs and parameters (`gradient/…`).
"""

import io
import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

MODELS = Path(__file__).with_name("models")


class Perceptron(nn.Sequential):
    def __init__(self):
        layers = nn.Linear(6, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 8), nn.GELU(), nn.Dropout(0.1)
        super().__init__(*layers, nn.Linear(8, 3))


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution1, self.convolution2 = nn.Conv2d(1, 4, 5, padding=2), nn.Conv2d(4, 6, 5)
        self.dense1, self.dense2 = nn.Linear(6 * 2 * 2, 12), nn.Linear(12, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.max_pool2d(torch.relu(self.convolution1(image)), 2)
        x = torch.max_pool2d(torch.relu(self.convolution2(x)), 2)
        return self.dense2(torch.tanh(self.dense1(x.view(x.size(0), -1))))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution1 = nn.Conv2d(3, 4, 3, padding=1, stride=2, bias=False)
        self.convolution2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.skip, self.pool, self.dense = nn.Conv2d(3, 4, 1, stride=2), nn.AdaptiveAvgPool2d(1), nn.Linear(4, 5)
        for norm in (self.norm1, self.norm2):
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 1.5)

    def forward(self, image: Tensor) -> Tensor:
        x = self.norm2(self.convolution2(torch.relu(self.norm1(self.convolution1(image)))))
        return self.dense(torch.flatten(self.pool(torch.relu(x + self.skip(image))), 1))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.Module]):
        super().__init__()
        self.layer, self.dense = kind(4, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, sequence: Tensor) -> Tensor:
        return self.dense(self.layer(sequence)[0])


class CausalAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, sequence: Tensor) -> Tensor:
        batch, length, width = sequence.shape
        layers = self.query, self.key, self.value
        heads = [each(sequence).view(batch, length, 2, width // 2).transpose(1, 2) for each in layers]
        mixed = functional.scaled_dot_product_attention(*heads, is_causal=True)
        return mixed.transpose(1, 2).reshape(batch, length, width)


class Generator(nn.Module):
    """A small GPT whose last layer shares the weights of its first."""

    def __init__(self):
        super().__init__()
        self.tokens, self.places = nn.Embedding(20, 8), nn.Embedding(6, 8)
        self.norm1, self.norm2, self.attention = nn.LayerNorm(8), nn.LayerNorm(8), CausalAttention()
        self.dense = nn.Sequential(nn.Linear(8, 16), nn.GELU(approximate="tanh"), nn.Linear(16, 8))
        self.head = nn.Linear(8, 20, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, text: Tensor) -> Tensor:
        x = self.tokens(text) + self.places(torch.arange(text.shape[1]))
        x = x + self.attention(self.norm1(x))
        return self.head(x + self.dense(self.norm2(x)))


class Segmenter(nn.Module):
    """A U-Net of one level."""

    def __init__(self):
        super().__init__()
        self.before, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4)
        self.deep, self.up = nn.Conv2d(4, 4, 3, padding=1), nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.after, self.wide = nn.Conv2d(8, 2, 3, padding=1), nn.Upsample(scale_factor=2, mode="bilinear")

    def forward(self, image: Tensor) -> Tensor:
        x = functional.silu(self.norm(self.before(image)))
        deep = functional.leaky_relu(self.deep(functional.avg_pool2d(x, 2)))
        return torch.sigmoid(self.wide(self.after(torch.cat([x, self.up(deep)], dim=1))))


class Mobile(nn.Module):
    """A block of MobileNetV3, with squeeze and excitation, between a PReLU and an enlargement."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm, self.slope = nn.Conv2d(4, 6, 1), nn.InstanceNorm2d(6, affine=True), nn.PReLU(6)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.squeeze, self.excite = nn.Conv2d(6, 3, 1), nn.Conv2d(3, 6, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = functional.hardswish(self.depthwise(self.slope(self.norm(self.stem(image)))))
        gate = torch.relu(self.squeeze(functional.adaptive_avg_pool2d(x, 1)))
        x = x * functional.hardsigmoid(self.excite(gate))
        return functional.interpolate(functional.relu6(x), scale_factor=2, mode="nearest")


class Loss(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Perceptron()

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(self.model(features), labels)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.1)

    def forward(self, sequence: Tensor) -> Tensor:
        return self.layer(sequence)


class Bert(nn.Module):
    """Hugging Face's BERT, of two layers."""

    def __init__(self):
        from transformers import BertConfig, BertModel

        super().__init__()
        sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
        config = BertConfig(vocab_size=30, max_position_embeddings=12, **sizes)
        self.model = BertModel(config, add_pooling_layer=False)

    def forward(self, text: Tensor, mask: Tensor) -> Tensor:
        return self.model(input_ids=text, attention_mask=mask).last_hidden_state


def networks() -> Iterator[tuple[str, nn.Module, dict[str, Tensor]]]:
    """Each network with its name and its inputs."""
    normal, words = torch.randn, torch.randint(0, 20, (2, 6))
    yield "mlp", Perceptron(), {"input": normal(4, 6)}
    yield "loss", Loss(), {"features": normal(4, 6), "labels": torch.tensor([0, 2, 1, 1])}
    yield "lenet", LeNet(), {"image": normal(2, 1, 16, 16)}
    yield "residual", Residual(), {"image": normal(2, 3, 8, 8)}
    yield "lstm", Recurrent(nn.LSTM), {"sequence": normal(2, 6, 4)}
    yield "gru", Recurrent(nn.GRU), {"sequence": normal(2, 6, 4)}
    yield "encoder", Encoder(), {"sequence": normal(2, 5, 8)}
    yield "attention", CausalAttention(), {"sequence": normal(2, 5, 8)}
    yield "gpt", Generator(), {"text": words}
    yield "unet", Segmenter(), {"image": normal(2, 2, 8, 8)}
    yield "mobile", Mobile(), {"image": normal(2, 4, 5, 5)}
    words = torch.randint(1, 20, (2, 6))  # PyTorch's own gradient leaves out the row of 0, which only pads
    yield "bert", Bert(), {"text": words, "mask": torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])}


def record(network: nn.Module, inputs: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Run a network forward and backward, from a seed of numbers from −1 to 1."""
    given = {name: each.clone().requires_grad_(each.is_floating_point()) for name, each in inputs.items()}
    output = network(*given.values())
    seed = torch.linspace(-1, 1, output.numel()).view(output.shape) if output.ndim else torch.tensor(1.0)
    output.backward(seed)
    figures = {f"input/{name}": each for name, each in inputs.items()} | {"output": output, "seed": seed}
    figures |= {f"gradient/{name}": each.grad for name, each in given.items() if each.grad is not None}
    figures |= {f"parameter/{name}": each for name, each in network.named_parameters()}
    figures |= {f"gradient/{name}": each.grad for name, each in network.named_parameters() if each.grad is not None}
    return {name: each.detach().numpy() for name, each in figures.items()}


def export(network: nn.Module, inputs: dict[str, Tensor], exporter: str) -> onnx.ModelProto:
    """Export a network: by the older exporter (script) or by torch.export (dynamo), with any batch if dynamic."""
    file, names, dynamic = io.BytesIO(), list(inputs), exporter.endswith("dynamic")
    axes = {name: {0: "batch"} for name in names} if dynamic else None
    if exporter.startswith("script"):
        torch.onnx.export(
            network, (*inputs.values(),), file, dynamo=False, opset_version=17, input_names=names, dynamic_axes=axes
        )
        model = onnx.load_from_string(file.getvalue())
    else:
        batch = torch.export.Dim("batch", min=2)
        shapes = tuple({0: batch} for _ in names) if dynamic else None
        program = torch.onnx.export(
            network, (*inputs.values(),), dynamo=True, input_names=names, dynamic_shapes=shapes, verbose=False
        )
        model = program.model_proto
    return without_sources(model)


def without_sources(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without the lines of Python that it was made from."""
    model.doc_string = model.graph.doc_string = ""
    parts = [model.graph, *model.functions]
    every = [each for part in parts for each in (part, *part.node, *part.value_info)]
    every += [*model.graph.initializer, *model.graph.input, *model.graph.output]
    for each in every:
        each.doc_string = ""
        del each.metadata_props[:]
    return model


def main(only: list[str]) -> None:
    """Export all networks, or those named."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    MODELS.mkdir(exist_ok=True)
    torch.manual_seed(0)
    for name, network, inputs in networks():
        if only and name not in only:
            continue
        network.eval()
        for parameter in network.parameters():  # lest the exporter merges those that are all ones, or all zeros
            parameter.data += 0.1 * torch.randn_like(parameter)
        np.savez_compressed(MODELS / f"{name}.npz", **record(network, inputs))
        for exporter in ("script", "script-dynamic", "dynamo", "dynamo-dynamic"):
            try:
                model = export(network, inputs, exporter)
            except Exception as error:  # an exporter that cannot do it is told of, and the others go on
                print(name, exporter, type(error).__name__, str(error).splitlines()[0])
                continue
            onnx.save(model, MODELS / f"{name}.{exporter}.onnx")
            print(name, exporter, sorted({node.op_type for node in model.graph.node}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
