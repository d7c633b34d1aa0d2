"""`gradbook article`: the entry point in this process, real HTTP."""

from service import example
from service.client import Client
from tests.cli.command import gradbook


def test_article_writes_a_runs_derivation_a_worksheet_and_its_answers(service_url: str) -> None:
    with Client(service_url) as service:
        run = service.create_run(service.create_graph("to hand out", expression=example.EXPRESSION), example.INPUTS).id
    assert run is not None
    assert gradbook(service_url, "article", run, expect=0).startswith("<!doctype html>")
    markdown = gradbook(service_url, "article", run, "--format", "markdown", expect=0)
    assert markdown.startswith("# The gradients of F, step by step\n") and r"= \frac{4}{3}" in markdown
    asked = ("article", run, "--format", "latex", "--blank", "gradients", "--node", "f", "--node", "d")
    assert gradbook(service_url, *asked, expect=0).count(r"\hspace") == 2
    answers = gradbook(service_url, *asked, "--answers", expect=0)
    assert r"\frac{d F}{d f} = -\frac{1}{3}" in answers and r"\frac{d F}{d d} = \frac{4}{3}" in answers
    assert "no node 'z'" in gradbook(service_url, "article", run, "--node", "z", expect=3)
    assert "no-run" in gradbook(service_url, "article", "no-run", expect=3)
