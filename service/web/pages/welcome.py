"""The first page: the tutorial's story for a newcomer, and for others their graphs."""

import numpy as np
from flask import render_template
from werkzeug.wrappers import Response

from service import example
from service.api.http.request import context
from service.storage.records import RunRecord
from service.usecases import graphs, runs
from service.web.pages.findings import show_causes
from service.web.pages.graphs import list_newest
from service.web.pages.page import page, see
from service.web.pages.story import tell_story

_LISTED = 5  # graphs


@page("GET", "/")
def welcome() -> str:
    """Welcome a newcomer with the tutorial's story, and others with their graphs"""
    story = tell_story()
    causes = show_causes(story.found)
    return render_template(
        "welcome.html",
        story=story,
        causes=causes,
        run=_seeded(),
        claims=example.TUTORIAL_GRADIENTS,
        graphs=list_newest(_LISTED),
    )


@page("POST", "/tutorial")
def run_tutorial() -> Response:
    """Store the tutorial's graph and run unless they are there, and show the run at its first step"""
    record, _, _ = graphs.create_graph(context(), example.NAME, expression=example.EXPRESSION, tags={})
    seeded = _seeded()
    if seeded is None:
        inputs = {name: np.asarray(value) for name, value in example.INPUTS.items()}
        made = runs.create_run(context(), record.id, inputs, label=example.LABEL, tags={})
        seeded = made.record
    return see("get_run", run_id=seeded.id, _anchor="step=1")


def _seeded() -> RunRecord | None:
    """The run that `gradbook demo` and `make run` store, if it is there."""
    for graph in graphs.list_graphs(context(), name=example.NAME, tag=None, after=None, limit=1):
        found = runs.list_runs(
            context(), graph=graph.id, label=example.LABEL, tag=None, recorded_by=None, after=None, limit=1
        )
        return found[0] if found else None
    return None
