"""Networks as PyTorch's exporters write them: values and gradients are PyTorch's, which `export_models.py` kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.core.composition.building import compose_graph
from service.core.errors import InvalidModel
from service.core.execution.passes import backward_pass, forward_pass
from service.onnx.importing import import_model
from service.settings import Limits

MODELS = Path(__file__).with_name("models")
NETWORKS = sorted(path.stem for path in MODELS.glob("*.npz"))
EXPORTERS = ("script", "script-dynamic", "dynamo", "dynamo-dynamic")


def error(found: Any, expected: Any) -> float:
    """The largest error over the largest figure."""
    assert np.shape(found) == np.shape(expected)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def run(network: str, exporter: str) -> tuple[float, float, int]:
    """The errors of the output and of the worst gradient, each over the largest figure of its kind, and how many
    gradients were compared: those of inputs, and of the parameters that the exporter left as they were."""
    recorded = {name: array.astype(np.float64) for name, array in np.load(MODELS / f"{network}.npz").items()}
    inputs = {name.removeprefix("input/"): each for name, each in recorded.items() if name.startswith("input/")}
    body = (MODELS / f"{network}.{exporter}.onnx").read_bytes()
    model = import_model(body, Limits(), {name: each.shape for name, each in inputs.items()})
    graph, _ = compose_graph(model.nodes, model.outputs, model.inputs)
    assert graph.inputs[: len(inputs)] == tuple(inputs)
    weights = {name: each.astype(np.float64) for name, each in model.weights.items()}
    values = forward_pass(graph, inputs | weights)
    (output,) = graph.outputs
    gradients = backward_pass(graph, values, output, recorded["seed"])
    kept = [
        name
        for name in inputs | weights
        if f"gradient/{name}" in recorded
        and (name in inputs or np.array_equal(weights[name], recorded[f"parameter/{name}"]))
    ]
    found = {name: gradients[graph.position[name]] for name in inputs | weights}
    for name in kept:
        for other, each in weights.items():
            if other not in kept and np.array_equal(each.T, weights.get(name)):  # the exporter's own copy for a product
                found[name] = found[name] + found[other].T
    largest = max(np.abs(recorded[f"gradient/{name}"]).max() for name in kept)
    worst = max(np.abs(found[name] - recorded[f"gradient/{name}"]).max() for name in kept) / largest
    return error(values[graph.position[output]], recorded["output"]), float(worst), len(kept)


@pytest.mark.parametrize("network", NETWORKS)
def test_what_is_exported_is_imported_with_its_figures(network: str) -> None:
    wrong = []
    for exporter in EXPORTERS:
        try:
            value, gradient, count = run(network, exporter)
        except InvalidModel as refusal:
            wrong += [f"{exporter}: {fault.detail}" for fault in refusal.faults]
        else:
            wrong += [f"{exporter}: values {value:.1e}"] if value > 1e-6 else []
            wrong += [f"{exporter}: gradients {gradient:.1e} of {count}"] if gradient > 1e-5 or not count else []
    assert wrong == []
