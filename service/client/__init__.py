"""The service from Python, over HTTP: `Client`, what it answers with, and what it raises."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from service.client.client import Client
from service.client.results.alignments import Alignment
from service.client.results.comparisons import (
    Cause,
    ComparedFigure,
    Comparison,
    ComparisonSummary,
    Finding,
    Hypothesis,
    Reproduction,
)
from service.client.results.derivatives import Derivatives, DerivativesSummary, GradientCheck, NodeCheck
from service.client.results.explanations import Contribution, Formula, Path, Paths, Step
from service.client.results.graphs import Graph, GraphNode
from service.client.results.jobs import Job, JobCancelled, JobFailed
from service.client.results.rounding import RoundedNode, Rounding
from service.client.results.rulebook import Limit, Operation
from service.client.results.runs import Run, RunNode
from service.client.results.series import BrokenCarry, Series, SeriesStep, SeriesVerdict, WrongStep
from service.client.results.sweeps import PartedFigures, ReducedFigures, Sweep, SweepPoint, SweptFigure
from service.client.transport import ClientError, Problem, ServiceUnavailable

if TYPE_CHECKING:
    from service.client.graph_builder import GraphBuilder, graph
    from service.client.symbols import Symbol

# What writes graphs needs NumPy at once, and is imported for who asks for it.
_WRITING = {"GraphBuilder": "graph_builder", "graph": "graph_builder", "Symbol": "symbols"}

__all__ = [
    "Alignment",
    "BrokenCarry",
    "Cause",
    "Client",
    "ClientError",
    "ComparedFigure",
    "Comparison",
    "ComparisonSummary",
    "Contribution",
    "Derivatives",
    "DerivativesSummary",
    "Finding",
    "Formula",
    "GradientCheck",
    "Graph",
    "GraphBuilder",
    "GraphNode",
    "Hypothesis",
    "Job",
    "JobCancelled",
    "JobFailed",
    "Limit",
    "NodeCheck",
    "Operation",
    "PartedFigures",
    "Path",
    "Paths",
    "Problem",
    "ReducedFigures",
    "Reproduction",
    "RoundedNode",
    "Rounding",
    "Run",
    "RunNode",
    "Series",
    "SeriesStep",
    "SeriesVerdict",
    "ServiceUnavailable",
    "Step",
    "Sweep",
    "SweepPoint",
    "SweptFigure",
    "Symbol",
    "WrongStep",
    "graph",
]


def __getattr__(name: str) -> Any:
    if name not in _WRITING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WRITING[name]}"), name)


def __dir__() -> list[str]:
    return __all__
