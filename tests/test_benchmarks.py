"""The benchmarks measure every act of the API."""

import re
from collections import defaultdict
from pathlib import Path

from benchmarks.comparison import random_graph
from benchmarks.growth import APART, Subject, acts
from service.app import create_app
from service.settings import Settings


def test_growth_is_measured_of_every_act_whose_cost_may_grow(tmp_path: Path) -> None:
    client = create_app(Settings(database_url=f"sqlite:///{tmp_path}/g.db")).test_client()
    graph = random_graph(100)
    subject = Subject(client, graph, dict.fromkeys(graph.inputs, 0.5), defaultdict(str))
    measured = {name.partition(",")[0] for name, _ in acts(subject)}
    operations = re.findall(r"operationId: (\w+)", Path("openapi.yaml").read_text(encoding="utf-8"))
    assert measured | APART == {*operations} and not measured & APART
