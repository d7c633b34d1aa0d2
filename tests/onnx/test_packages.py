"""Models that Python packages carry, as `packages.lock` lists them: their values are ONNX Runtime's."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from service.core.composition.building import compose_graph
from service.core.execution.passes import forward_pass
from service.onnx.importing import import_model
from service.settings import Limits

pytestmark = pytest.mark.peers

PACKAGES = Path(sys.prefix) / "packages"
SPEECH = {"input": (1, 576), "state": (2, 1, 128)}
RATED = ("silero_vad", "silero_vad_16k_op15", "silero_vad_op18_ifless")  # in which an If asks for the rate
UNRATED = ("silero_vad_half", "silero_vad_openvino_16k")


@dataclass(frozen=True)
class Carried:
    """A model: the package that carries it, its file there, the shapes that it leaves open, and how near its values
    are: nearer than `bound` of the largest. Deep ones have 2e-5: so far ONNX Runtime is from its figures in float64."""

    package: str
    file: str
    shapes: Mapping[str, tuple[int, ...]]
    bound: float = 1e-6
    fixed: Mapping[str, Any] = field(default_factory=dict)
    stripes: bool = False  # whether its input looks like writing, which it finds


CARRIED = (
    Carried("magika", "magika/models/standard_v3_3/model.onnx", {"bytes": (2, 2048)}),
    Carried("rapidocr", "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx", {"x": (1, 3, 48, 192)}, 2e-5),
    Carried("rapidocr", "rapidocr/models/PP-OCRv6_det_small.onnx", {"x": (1, 3, 64, 64)}, 2e-5, stripes=True),
    Carried("rapidocr", "rapidocr/models/PP-OCRv6_rec_small.onnx", {"x": (1, 3, 48, 64)}, 2e-5),
    *(Carried("silero_vad", f"silero_vad/data/{name}.onnx", SPEECH, 2e-5, {"sr": 16000}) for name in RATED),
    *(Carried("silero_vad", f"silero_vad/data/{name}.onnx", SPEECH, 2e-5) for name in UNRATED),
    Carried("silero_vad", "silero_vad/data/silero_vad.onnx", SPEECH | {"input": (1, 288)}, 2e-5, {"sr": 8000}),
    Carried("silero_vad", "silero_vad/data/silero_vad_16k_sequence.onnx", {"input": (3, 576)}, 2e-5),
)


def inputs_of(session: Any, carried: Carried) -> dict[str, Any]:
    """Random numbers, whole ones for bytes, or stripes."""
    random, found = np.random.default_rng(0), {}
    for each in session.get_inputs():
        shape = carried.shapes.get(each.name, each.shape)
        if each.name in carried.fixed:
            found[each.name] = np.array(carried.fixed[each.name], dtype=np.int64)
        elif "int32" in each.type:
            found[each.name] = random.integers(0, 256, shape, dtype=np.int32)
        elif carried.stripes:
            rows, columns = np.ogrid[: shape[2], : shape[3]]
            stripes = np.where((columns % 8 < 3) & (rows % 24 < 14), -2.0, 2.0)
            found[each.name] = np.broadcast_to(stripes, shape).astype(np.float32)
        else:
            found[each.name] = random.normal(scale=0.3, size=shape).astype(np.float32)
    return found


@pytest.mark.parametrize("carried", CARRIED, ids=lambda each: f"{Path(each.file).stem}-{each.fixed}")
def test_a_packages_model_gives_the_values_of_onnx_runtime(carried: Carried) -> None:
    import onnxruntime

    (wheel,) = PACKAGES.glob(f"{carried.package}-*.whl")
    body = ZipFile(wheel).read(carried.file)
    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(body)
    inputs = inputs_of(session, carried)
    shapes = {**carried.shapes, **{name: (number,) for name, number in carried.fixed.items()}}
    model = import_model(body, Limits(), shapes)
    graph, _ = compose_graph(model.nodes, model.outputs, model.inputs)
    given = {name: each.astype(np.float64) for name, each in (inputs | model.weights).items() if name in graph.inputs}
    values = forward_pass(graph, given)
    for name, expected in zip(model.outputs, session.run(model.outputs, inputs), strict=True):
        found = values[graph.position[name]]
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= carried.bound * np.abs(expected).max()
