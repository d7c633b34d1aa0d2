"""Series: training runs, their steps, and where they first went wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from service.client.figures import Document
from service.client.results.comparisons import Finding, read_finding
from service.client.results.result import Result


@dataclass(frozen=True, slots=True)
class Series(Result):
    """A training run, whose steps are runs of a graph.

    `carry` leads from a node of a step to the Input of the next that takes its value. Of the `steps` that there are so
    many are `wrong`, having an origin, and so many `broken`, having taken another value than the step before gave;
    `first_wrong` is the number of the first wrong one, None if there is none.
    """

    id: str
    graph_id: str
    graph_name: str
    graph_version: int
    carry: Mapping[str, str]
    recorded_by: str
    dtype: str
    tolerance: Any
    retain: str
    every: int
    label: str | None
    tags: Mapping[str, str]
    created_at: datetime
    steps: int
    first_step: int | None
    last_step: int | None
    first_wrong: int | None
    wrong: int
    broken: int
    document: Document = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SeriesStep(Result):
    """A step: its verdict, same or differ, the nodes where an error arose, and those whose value it did not take over.

    `norms` are the Euclidean norms of its recorded values; `digests` are equal for equal values. `run` is the id of the
    recorded run of a step that is kept whole.
    """

    step: int
    verdict: str
    origins: tuple[str, ...]
    broken: tuple[str, ...]
    run: str | None
    norms: Mapping[str, float]
    digests: Mapping[str, str] = field(repr=False)
    document: Document = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class WrongStep(Result):
    """The first step with an origin, and what explains it; `comparison` is the id of that of the step with what follows
    from its inputs, None if it was deleted; `cause` says what explains all its origins, None if nothing does."""

    step: int
    comparison: str | None
    nodes: tuple[str, ...]
    origins: tuple[Finding, ...]
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class BrokenCarry(Result):
    """That the Input `input` of a step is not what the step before gave as the value of `node`."""

    step: int
    node: str
    input: str
    norm_given: float
    norm_taken: float
    sentence: str


@dataclass(frozen=True, slots=True)
class SeriesVerdict(Result):
    """Where a training run first did what its own state does not explain; nothing `arose` if it never did.

    `norms` are the norms of the recorded values at the steps `norm_steps`.
    """

    id: str
    arose: bool
    sentence: str
    steps: int
    first_wrong: WrongStep | None
    wrong_steps: tuple[int, ...]
    broken_carries: tuple[BrokenCarry, ...]
    norm_steps: tuple[int, ...] = field(repr=False)
    norms: Mapping[str, tuple[float, ...]] = field(repr=False)
    document: Document = field(repr=False, compare=False)


def read_series(document: Document) -> Series:
    """Read a series."""
    names = Series.__dataclass_fields__.keys() - {"document", "created_at"}
    created = datetime.fromisoformat(document["created_at"])
    return Series(**{name: document[name] for name in names}, created_at=created, document=document)


def read_series_step(document: Document) -> SeriesStep:
    """Read a step."""
    return SeriesStep(
        step=document["step"],
        verdict=document["verdict"],
        origins=tuple(document["origins"]),
        broken=tuple(document["broken"]),
        run=document["run"],
        norms={name: float(norm) for name, norm in document["norms"].items()},
        digests=document["digests"],
        document=document,
    )


def read_series_verdict(document: Document) -> SeriesVerdict:
    """Read the verdict on a series."""
    first, norms = document["first_wrong"], document["norms"]
    return SeriesVerdict(
        id=document["id"],
        arose=document["arose"],
        sentence=document["sentence"],
        steps=document["steps"],
        first_wrong=first
        and WrongStep(
            first["step"],
            first["comparison"],
            tuple(first["nodes"]),
            tuple(map(read_finding, first["origins"])),
            first.get("cause"),
        ),
        wrong_steps=tuple(document["wrong_steps"]),
        broken_carries=tuple(map(_read_carry, document["broken_carries"])),
        norm_steps=tuple(norms["steps"]),
        norms={name: tuple(map(float, curve)) for name, curve in norms["values"].items()},
        document=document,
    )


def _read_carry(document: Document) -> BrokenCarry:
    numbers = {name: float(document[name]) for name in ("norm_given", "norm_taken")}
    return BrokenCarry(**{**document, **numbers})
