"""`gradbook article` and `gradbook marks`: the entry point in this process, real HTTP."""

import csv
import json

from service import example
from service.client import Client
from tests.cli.command import gradbook


def test_article_writes_a_runs_derivation_a_worksheet_and_its_answers(service_url: str) -> None:
    with Client(service_url) as service:
        run = service.create_run(service.create_graph("to hand out", expression=example.EXPRESSION), example.INPUTS).id
    assert run is not None
    markdown = gradbook(service_url, "article", run, "--format", "markdown", expect=0)
    assert markdown.startswith("# The gradients of F, step by step\n") and r"= \frac{4}{3}" in markdown
    asked = ("article", run, "--format", "latex", "--blank", "gradients", "--node", "f", "--node", "d")
    assert gradbook(service_url, *asked, expect=0).count(r" = \underline{\hspace") == 2
    answers = gradbook(service_url, *asked, "--answers", expect=0)
    assert r"\frac{d F}{d f} = -\frac{1}{3}" in answers and r"\frac{d F}{d d} = \frac{4}{3}" in answers
    assert "no node 'z'" in gradbook(service_url, "article", run, "--node", "z", expect=3)
    assert "no-run" in gradbook(service_url, "article", "no-run", expect=3)


def test_marks_lists_what_a_class_handed_in_and_nothing_that_a_spreadsheet_computes(service_url: str) -> None:
    with Client(service_url) as service:
        graph = service.create_graph("class", expression=example.EXPRESSION)
        service.create_run(graph, example.INPUTS, tags={"class": "3b"})  # nobody's claims: no row
        service.record_run(graph, by="unchecked", inputs=example.INPUTS, values={"e": 6}, tags={"class": "3b"})
    tutorial = {name: f"{figure:g}" for name, figure in example.TUTORIAL_GRADIENTS.items()}
    right = {"f": "-1/3", "d": "4/3", "e": "0.667"}
    for by, label, gradients, code in (("=1+1", "@home", tutorial, 1), ("Ada, A.", "", right, 0)):
        asked = {"inputs": example.INPUTS, "claims": {"by": by, "gradients": gradients}}
        options = ("--graph", "class", "--tag", "class:3b", *(("--label", label) if label else ()))
        gradbook(service_url, "check", "-", *options, stdin=json.dumps(asked), expect=code)
    listed = gradbook(service_url, "marks", "--tag", "class:3b", expect=0)
    ada, other = csv.DictReader(listed.splitlines())
    assert [ada[column] for column in ("by", "label", "claimed", "right", "origins", "inherited", "sentence")] == [
        *("Ada, A.", "", "3", "3", "0", "0", "")
    ]
    assert [other[column] for column in ("by", "label", "claimed", "right", "origins", "inherited")] == [
        *("'=1+1", "'@home", "7", "1", "2", "4")
    ]
    assert other["sentence"] == "∂F/∂f and ∂F/∂d: In the local gradient 1/d was taken for d: −1/3 for −3."
    assert other["checked"] < ada["checked"] and len(other["run"]) == 36
    assert gradbook(service_url, "marks", "--tag", "class:none", expect=0).count("\n") == 1
    gradbook(service_url, "marks", expect=2)
