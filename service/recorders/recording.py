"""A recording: the graph of another program, its values and its gradients, in memory and as one file.

The file is an .npz: `recording.json` beside one .npy for each array, `inputs/NAME`, `values/NAME` and `gradients/NAME`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from service.recorders.archive import NotARecording, has_member, read_archive, write_archive

DTYPES = ("float64", "float32", "float16", "bfloat16")  # from the finest to the coarsest

_DECLARED = {"format": "gradbook recording", "version": 1}
_DOCUMENT = "recording.json"
_KINDS = ("inputs", "values", "gradients")
_MEMBERS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "by": (str,),
    "framework": (str,),
    "versions": (dict,),
    "nodes": (list,),
    "outputs": (list,),
    "output": (str, type(None)),
    "none": (dict,),
    "dtypes": (dict,),
    "unmapped": (list,),
    "sources": (dict,),
    "notes": (list,),
}
_MOST_AT_ONCE = 2**24  # bytes of arrays in one request


class NotDifferentiable(ValueError):
    """A program returns nothing, or not one thing, that gradients can be of; the message says why."""


def is_recording(path: str | Path) -> bool:
    """Whether a file is an .npz that calls itself a recording. Raises OSError if there is none."""
    return has_member(path, _DOCUMENT)


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """A program's graph and what it computed once.

    `nodes` and `outputs` are as `create_graph` takes them. `inputs` holds the values of the Inputs, `values` those of
    the other nodes, `gradients` the gradients of `output` at `seed` (ones, if None): by the names of nodes, and None
    where there was none, as of a parameter that does not require one. `dtypes` says in which precision a node was
    computed; an array of bfloat16 is kept as float32, which holds it exactly. `unmapped` lists the operations that have
    no node, each with the nodes of its results (Inputs here) and the reason. `sources` maps nodes to "file.py:12" if
    that was asked for. `notes` say what else differs from the program.
    """

    nodes: Sequence[Mapping[str, Any]] = ()
    outputs: Sequence[str] = ()
    output: str | None = None
    seed: Any = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    gradients: Mapping[str, Any] = field(default_factory=dict)
    dtypes: Mapping[str, str] = field(default_factory=dict)
    name: str = "recording"
    by: str = ""
    framework: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    unmapped: Sequence[Mapping[str, Any]] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __repr__(self) -> str:
        gradients = f"gradients of {self.output}" if self.output else "no gradients"
        unmapped = f", {counted(len(self.unmapped), 'operation')} without a node" if self.unmapped else ""
        return f"Recording({self.name!r} by {self.by}: {counted(len(self.nodes), 'node')}, {gradients}{unmapped})"

    @property
    def dtype(self) -> str:
        """The coarsest precision in which a node was computed; float64 if none is known."""
        return max(self.dtypes.values(), key=DTYPES.index, default=DTYPES[0])

    def save(self, path: str | Path) -> None:
        """Write the file."""
        arrays = {f"{kind}/{name}": array for kind, name, array in self._arrays() if array is not None}
        if self.seed is not None:
            arrays["seed"] = self.seed
        write_archive(path, _DOCUMENT, self._document(), arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that `save` wrote. Raises NotARecording for another, OSError if there is none."""
        return cls.read(Path(path).read_bytes())

    @classmethod
    def read(cls, content: bytes) -> Self:
        """Read the bytes of such a file. Raises NotARecording."""
        return cls(**_members(*read_archive(content, _DOCUMENT, _MEMBERS, _DECLARED)))

    def upload(
        self, client: Any, *, name: str | None = None, label: str | None = None, tags: Mapping[str, str] | None = None
    ) -> Any:
        """Store the graph, as a version of `name` (the recording's own, if left out), and the run, which is returned.

        `client` is a `gradbook.Client`; `label` and `tags` are the run's. Where all arrays together are more than one
        request may hold, the large ones are stored as tensors first. Raises what the client raises.
        """
        graph = client.create_graph(name or self.name, nodes=self.nodes, outputs=self.outputs)
        is_large = sum(array.nbytes for _, _, array in self._arrays() if array is not None) > _MOST_AT_ONCE

        def sent(figures: Mapping[str, Any]) -> dict[str, Any]:
            return {
                name: {"tensor": client.put_tensor(array)} if is_large and _is_worth_it(array) else array
                for name, array in figures.items()
            }

        return client.record_run(
            graph,
            by=self.by,
            dtype=self.dtype,
            inputs=sent(self.inputs),
            values={**self._constants(), **sent(self.values)},
            gradients=sent(self.gradients),
            output=self.output,
            seed=self.seed,
            label=label,
            tags=tags,
        )

    def _constants(self) -> dict[str, Any]:
        """The values of the Constants that have elements, so that a wrong one is found where it stands."""
        constants = [node for node in self.nodes if node["operation"] == "Constant"]
        values = {node["name"]: node["attributes"]["value"] for node in constants}
        return {name: value for name, value in values.items() if not (isinstance(value, str) and "x" in value)}

    def _arrays(self) -> Iterator[tuple[str, str, Any]]:
        for kind in _KINDS:
            for name, array in getattr(self, kind).items():
                yield kind, name, array

    def _document(self) -> dict[str, Any]:
        none: dict[str, list[str]] = {}
        for kind, name, array in self._arrays():
            if array is None:
                none.setdefault(kind, []).append(name)
        own = {member: getattr(self, member) for member in _MEMBERS if member != "none"}
        return {**_DECLARED, **own, "none": none}


def counted(count: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _is_worth_it(array: Any) -> bool:
    return array is not None and array.nbytes >= 2**16


def _members(document: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    """The members of a recording; raises NotARecording for figures of nodes that the graph does not have."""
    figures: dict[str, dict[str, Any]] = {kind: {} for kind in _KINDS}
    own = {member: value for member, value in document.items() if member in _MEMBERS and member != "none"}
    names = [node.get("name") if isinstance(node, dict) else None for node in document["nodes"]]
    if not all(isinstance(name, str) for name in names):
        raise NotARecording("a node has no name")
    seed = arrays.pop("seed.npy", None)
    for member, array in arrays.items():
        kind, _, name = member.removesuffix(".npy").partition("/")
        if kind not in figures or not member.endswith(".npy"):
            raise NotARecording(f"it has an unknown member: {member}")
        figures[kind][name] = array
    for kind, without in document["none"].items():
        if kind not in figures or not isinstance(without, list):
            raise NotARecording(f'"none" names {kind}, which is no kind of figure')
        if not all(isinstance(name, str) for name in without):
            raise NotARecording(f'"none" has {kind} without a name')
        figures[kind] |= dict.fromkeys(without)
    for each in document["unmapped"]:
        if not isinstance(each, dict) or not {"operation", "nodes", "why"} <= each.keys():
            raise NotARecording("what is unmapped has an operation, nodes and a reason each")
    known = {*names}
    for place in (*figures.items(), ("dtypes", own["dtypes"]), ("sources", own["sources"])):
        if unknown := [name for name in place[1] if name not in known]:
            raise NotARecording(f"{place[0]} are given of {unknown[0]!r}, which is no node")
    if wrong := [dtype for dtype in own["dtypes"].values() if dtype not in DTYPES]:
        raise NotARecording(f"{wrong[0]!r} is no dtype of a recording: {', '.join(DTYPES)}")
    return {**own, "seed": seed, **figures}
