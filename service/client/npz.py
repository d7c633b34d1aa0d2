"""Figures in bulk between client and service: the .npz that the document of the API describes."""

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from service.client.figures import Document
from service.client.results.runs import RunNode

MEDIA_TYPE = "application/x-npz"
_PLACES = (("inputs",), ("values",), ("recorded", "values"), ("recorded", "gradients"))
_WORTH_PACKING = 1000  # elements; JSON is as fast for fewer, and readable


def take_arrays(body: Document) -> tuple[dict[str, Any], dict[str, Any]]:
    """A body without its arrays, and the arrays by the names of members; none if they are small."""
    rest = _copied(body)
    found: dict[str, Any] = {}
    for path in _PLACES:
        within: Any = rest
        for step in path:
            within = within.get(step, {})
        arrays = {name: read_array(value) for name, value in within.items() if is_array(value)}
        found |= {"/".join((*path, name)): array for name, array in arrays.items()}
        for name in arrays:
            del within[name]
    if is_array(rest.get("seed")):
        found["seed"] = read_array(rest.pop("seed"))
    if sum(array.size for array in found.values()) < _WORTH_PACKING:
        return dict(body), {}
    return rest, found


def write_request(request: bytes, arrays: Mapping[str, Any]) -> bytes:
    """A body as .npz."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, request=np.array(request.decode()), **arrays)
    return buffer.getvalue()


def read_answer(content: bytes) -> tuple[Document | None, tuple[RunNode, ...]]:
    """The document of a run (None in an answer of nodes only), and its nodes; theirs are empty."""
    import numpy as np

    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        members = {name: archive[name] for name in archive.files}
    document = {**json.loads(str(members["run"])), "next": None} if "run" in members else None
    return document, tuple(_read_nodes(members))


def read_columns(content: bytes) -> dict[str, Any]:
    """The columns of an answer of points: their numbers, the inputs that vary, and the figures."""
    import numpy as np

    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        names = {name: name.removeprefix("at/").removeprefix("figures/") for name in archive.files}
        return {name: archive[member] for member, name in names.items() if member != "complete"}


def _read_nodes(members: Mapping[str, Any]) -> Iterator[RunNode]:
    names, operations = (str(members[name]).split("\n") for name in ("names", "operations"))
    values, gradients = (_figures(members, kind) for kind in ("value", "gradient"))
    shapes = (tuple(size for size in row if size >= 0) for row in members["shapes"].tolist())
    kinks = members["nondifferentiable"].tolist()
    closed = str(members["closed"]).split("\n") if "closed" in members else [""] * len(names)
    for name, operation, shape, value, gradient, kink, shut in zip(
        names, operations, shapes, values, gradients, kinks, closed, strict=True
    ):
        yield RunNode(name, operation, shape, value, gradient, kink, {}, tuple(shut.split("\t") if shut else ()))


def _figures(members: Mapping[str, Any], kind: str) -> Iterator[Any]:
    flat, offsets, shapes = members.get(f"{kind}s"), members["offsets"].tolist(), members["shapes"]
    for place, present in enumerate(members[f"has_{kind}"].tolist()):
        if not present or flat is None:
            yield None
        elif shapes.shape[1]:
            yield flat[offsets[place] : offsets[place + 1]].reshape(shapes[place][shapes[place] >= 0])[()]
        else:
            yield flat[place]


def _copied(part: Any) -> Any:
    return {name: _copied(value) for name, value in part.items()} if isinstance(part, Mapping) else part


def is_array(value: Any) -> bool:
    if not hasattr(value, "__array__"):
        return False
    import numpy as np

    return np.ndim(value) > 0


def read_array(value: Any) -> Any:
    """An array as it is if it is of floats, else in float64; raises TypeError for one that isn't real."""
    import numpy as np

    array = np.asarray(value)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64, casting="same_kind")
