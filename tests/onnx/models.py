"""Small models, written as ONNX's text."""

from typing import Any

from onnx import ModelProto, parser

from service.onnx.importing import ImportedModel, import_model
from service.settings import Limits


def model_of(text: str, opset: int = 17, more: str = "") -> ModelProto:
    """The model of a graph, `(float[2] x) => (float[2] y) { y = Relu(x) }`, and of functions after it."""
    return parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}, "own": 1]> graph {text} {more}')


def imported(text: str, opset: int = 17, more: str = "", **given: Any) -> ImportedModel:
    """What is made of the model; `given` are shapes, and perhaps `outputs` and `limits`."""
    outputs, limits = given.pop("outputs", None), given.pop("limits", Limits())
    return import_model(model_of(text, opset, more).SerializeToString(), limits, given, outputs)
