"""The service from Python, over HTTP: `Client`, what it answers with, and what it raises."""

from service.client.client import Client
from service.client.graph_builder import GraphBuilder, graph
from service.client.results.comparisons import Cause, ComparedFigure, Comparison, ComparisonSummary, Finding, Hypothesis
from service.client.results.derivatives import Derivatives, DerivativesSummary, GradientCheck, NodeCheck
from service.client.results.explanations import Contribution, Formula, Path, Paths, Step
from service.client.results.graphs import Graph, GraphNode
from service.client.results.rulebook import Limit, Operation
from service.client.results.runs import Run, RunNode
from service.client.symbols import Symbol
from service.client.transport import ClientError, Problem, ServiceUnavailable

__all__ = [
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
    "Limit",
    "NodeCheck",
    "Operation",
    "Path",
    "Paths",
    "Problem",
    "Run",
    "RunNode",
    "ServiceUnavailable",
    "Step",
    "Symbol",
    "graph",
]
