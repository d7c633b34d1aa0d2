"""The tutorial's slip, found with the client that openapi-python-client generates: `python story.py URL`."""

import os
import sys

from gradbook_client import AuthenticatedClient
from gradbook_client.api.comparisons import create_comparison
from gradbook_client.api.graphs import create_graph
from gradbook_client.api.runs import create_run
from gradbook_client.models import (
    ComparisonDocument,
    ComparisonRequest,
    GraphDocument,
    GraphRequest,
    ProblemDocument,
    Recorded,
    RecordedGradients,
    RunDocument,
    RunRequest,
    RunRequestInputs,
)

service = AuthenticatedClient(base_url=sys.argv[1], token=os.environ.get("GRADBOOK_KEY", "none"))

graph = create_graph.sync(client=service, body=GraphRequest(name="blog", expression="e = a + b; f = e * c; F = f / d"))
assert isinstance(graph, GraphDocument)

inputs = RunRequestInputs.from_dict({"a": 5, "b": 1, "c": -2, "d": -3})
ours = create_run.sync(graph.id, client=service, body=RunRequest(inputs=inputs))
assert isinstance(ours, RunDocument) and isinstance(ours.id, str)
print("the gradients:", ours.to_dict()["gradients"])

printed = RecordedGradients.from_dict({"F": 1, "f": -3, "d": 108, "e": 6, "c": -18, "a": 6, "b": 6})
recorded = Recorded(by="the tutorial", gradients=printed)
theirs = create_run.sync(graph.id, client=service, body=RunRequest(inputs=inputs, recorded=recorded))
assert isinstance(theirs, RunDocument) and isinstance(theirs.id, str)

comparison = create_comparison.sync(client=service, body=ComparisonRequest(baseline=ours.id, candidate=theirs.id))
assert isinstance(comparison, ComparisonDocument)
for origin in comparison.origins:
    print(f"{origin.phase} at {origin.node}: {origin.sentence}")

refused = create_run.sync(graph.id, client=service, body=RunRequest(inputs=RunRequestInputs.from_dict({"a": 5})))
assert isinstance(refused, ProblemDocument)
print("a problem:", refused.type_, refused.detail)
