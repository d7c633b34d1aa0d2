"""`gradbook.jax` and `gradbook record jax`, as docs/bringing-a-model.md shows them."""

import re
import sys
from pathlib import Path

import pytest

import service.public
from service.recorders.recording import Recording
from tests.cli.command import call_main

pytest.importorskip("jax", reason="left to `make test-peers`")

import service.public.jax

pytestmark = pytest.mark.peers

PAGE = Path(__file__).parents[3] / "docs" / "bringing-a-model.md"
MODULE = """
import jax.numpy as jnp

def loss(w, x):
    return jnp.tanh(x @ w).mean()

def build():
    return loss, (jnp.eye(3), jnp.ones((2, 3)))

def build_vector():
    return jnp.tanh, (jnp.ones(3), ), 1

def build_array():
    return jnp.sum, jnp.ones(3)

def build_pair():
    return lambda x: (x, 2 * x), (jnp.ones(3),)
"""


def test_the_example_of_the_page_prints_what_is_shown(
    service_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gradbook", service.public)
    monkeypatch.setitem(sys.modules, "gradbook.jax", service.public.jax)
    (example,) = re.findall(r"^```py\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    exec(compile(example.replace("http://127.0.0.1:8000", service_url), PAGE.name, "exec"), {})
    shown = re.findall(r"print\(.*\)  # (.*)$", example, re.MULTILINE)
    assert capsys.readouterr().out.splitlines() == shown != []


def test_a_function_is_recorded_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_jax_model.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    ended = call_main("", "record", "jax", "my_jax_model:build", "--source")
    assert (ended.code, ended.out, ended.err) == (0, "loss.npz\n", "")
    recording = Recording.load("loss.npz")
    assert recording.sources["tanh"] == "my_jax_model.py:5"
    assert recording.gradients["w"].shape == (3, 3)
    for wrong, why in (
        ("build_vector", "is to return (function, arguments)"),
        ("build_array", "its arguments as a tuple"),
        ("build_pair", "there are '0', '1'"),
    ):
        ended = call_main("", "record", "jax", f"my_jax_model:{wrong}")
        assert ended.code == 2 and why in " ".join(ended.err.split())
