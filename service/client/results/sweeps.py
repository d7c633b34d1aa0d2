"""Sweeps: a graph at very many points."""

from dataclasses import dataclass, field

from service.client.figures import Document
from service.client.results.jobs import Job, read_job
from service.client.results.result import Result, Source


@dataclass(frozen=True, slots=True)
class Sweep(Result):
    """A graph at so many points: its job, as it stood when this was read."""

    id: str
    job: Job
    points: int
    document: Document = field(repr=False, compare=False)


def read_sweep(document: Document, source: Source) -> Sweep:
    """Read a sweep."""
    return Sweep(id=document["id"], job=read_job(document["job"], source), points=document["points"], document=document)
