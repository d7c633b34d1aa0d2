"""The service from Python, over HTTP: `Client`, what it answers with, and what it raises."""

from service.client.client import Client
from service.client.explanation_results import (
    Contribution,
    Derivatives,
    Formula,
    GradientCheck,
    NodeCheck,
    Path,
    Paths,
    Step,
)
from service.client.graph_builder import GraphBuilder, graph
from service.client.results import Comparison, Finding, Graph, GraphNode, Limit, Operation, Run, RunNode
from service.client.symbols import Symbol
from service.client.transport import ClientError, Problem, ServiceUnavailable

__all__ = [
    "Client",
    "ClientError",
    "Comparison",
    "Contribution",
    "Derivatives",
    "Finding",
    "Formula",
    "GradientCheck",
    "Graph",
    "GraphBuilder",
    "GraphNode",
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
