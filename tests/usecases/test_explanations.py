"""Which figures of a run are read to explain it."""

import numpy as np
from sqlalchemy import delete

from service.core.explanation.steps import BackwardStep
from service.storage.models import RunChunk
from service.storage.run_figures import CHUNK_VALUES
from service.usecases.context import Context
from service.usecases.explanations import list_steps
from service.usecases.graphs import create_graph
from service.usecases.runs import create_run


def test_the_steps_of_one_node_read_no_other_figures(context: Context) -> None:
    graph = create_graph(context, "g", expression="F(x, w) = sum(x * 2) * exp(w)", tags={})[0]
    far = np.arange(2.0 * CHUNK_VALUES)
    run = create_run(context, graph.id, {"x": far, "w": np.array(0.5)}, tags={})
    (whole,), _ = list_steps(context, run.record.id, node="w", start=0, limit=10)
    with context.database.write() as connection:
        connection.execute(delete(RunChunk).where(RunChunk.number < 2))  # the figures of x
    (alone,), count = list_steps(context, run.record.id, node="w", start=0, limit=10)
    assert count == 1 and repr(alone.equation) == repr(whole.equation)
    assert isinstance(alone, BackwardStep) and alone.difference is None and alone.sum is not None
