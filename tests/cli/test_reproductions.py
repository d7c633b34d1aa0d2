"""`gradbook reproduce`: the entry point in this process, real HTTP, and the scripts in processes of their own."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from service import example
from service.client import Client
from tests.cli.command import call_main, gradbook
from tests.reproductions import shown_figures


def printed_by(script: Path) -> str:
    done = subprocess.run([sys.executable, "-I", str(script)], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_tutorials_origins_are_shown_by_scripts(service_url: str, tmp_path: Path) -> None:
    claims = {"by": "the tutorial", "gradients": example.TUTORIAL_GRADIENTS}
    with Client(service_url) as service:
        graph = service.create_graph("reproduced", expression=example.EXPRESSION)
        compared = service.check_claims(graph, example.INPUTS, claims)
        alone = service.create_reproduction(compared, "backward", "d")
    assert compared.id is not None
    assert [(origin.phase, origin.node) for origin in alone.origins] == [("backward", "d")]
    gradbook(service_url, "reproduce", compared.id, "-o", str(tmp_path / "origin.py"), expect=0)
    assert shown_figures(printed_by(tmp_path / "origin.py")) == {
        "right": -1 / 3,
        "recorded": -3.0,
        "difference": -3 + 1 / 3,
    }
    assert not (tmp_path / "origin.npz").exists()
    named = (compared.id, "backward", "d", "--language", "jax")
    assert "import jax" in gradbook(service_url, "reproduce", *named, expect=0)
    assert "```python" in gradbook(service_url, "reproduce", *named, "--markdown", expect=0)
    assert "has no origin" in gradbook(service_url, "reproduce", compared.id, "forward", "d", expect=3)


def test_large_arrays_are_written_beside_the_script(service_url: str, tmp_path: Path) -> None:
    inputs = {"x": np.ones((2, 40)), "W": np.eye(40)}
    with Client(service_url) as service:
        graph = service.create_graph("wide", expression="`layer/y` = x @ W; L = sum(`layer/y`)")
        ours = service.create_run(graph, inputs)
        theirs = service.record_run(graph, by="a port", inputs=inputs, values={"layer/y": np.full((2, 40), 2.0)})
        compared = service.create_comparison(ours, theirs)
        alone = service.create_reproduction(compared, "forward", "layer/y")
    assert compared.id is not None
    assert [(origin.phase, origin.node) for origin in alone.origins] == [("forward", "layer/y")]
    shown = call_main(service_url, "reproduce", compared.id)
    assert 'beside["W"]' in shown.out and "it reads large arrays from an .npz beside it" in shown.err
    gradbook(service_url, "reproduce", compared.id, "forward", "layer/y", "-o", str(tmp_path / "origin.py"), expect=0)
    assert "largest difference 1.0" in printed_by(tmp_path / "origin.py")
