"""`gradbook.torch` and `gradbook record torch`, as README shows them."""

import re
import sys
from pathlib import Path

import pytest

import service.public
from service.client import Client
from service.recorders.recording import Recording
from tests.cli.command import call_main

torch = pytest.importorskip("torch", reason="left to `make test-peers`")

import service.public.torch  # noqa: E402

pytestmark = pytest.mark.peers

ROOT = Path(__file__).parents[3]
MODULE = """
import torch

def build():
    torch.manual_seed(0)
    return torch.nn.Linear(3, 2), (torch.eye(3),), lambda y: (y * y).mean()

def build_vector():
    return torch.nn.Linear(3, 2), torch.ones(3)
"""


@pytest.mark.parametrize("document", ["README.md", "docs/training.md"])
def test_the_examples_of_a_document_print_what_is_shown(
    document: str, service_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / document).read_text(encoding="utf-8")
    monkeypatch.setitem(sys.modules, "gradbook", service.public)
    monkeypatch.setitem(sys.modules, "gradbook.torch", service.public.torch)
    monkeypatch.chdir(tmp_path)
    for example in re.findall(r"^```py\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        exec(compile(example.replace("http://127.0.0.1:8000", service_url), document, "exec"), {})
        shown = re.findall(r"print\(.*\)  # (.*)$", example, re.MULTILINE)
        assert capsys.readouterr().out.splitlines() == shown != []


def test_a_model_is_recorded_from_the_command_line(
    service_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_own_model.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    ended = call_main("", "record", "torch", "my_own_model:build", "--source")
    assert (ended.code, ended.out, ended.err) == (0, "Linear.npz\n", "")
    recording = Recording.load("Linear.npz")
    assert recording.sources == {"mul": "my_own_model.py:6", "mean": "my_own_model.py:6"}
    with Client(service_url) as client:
        assert recording.upload(client, name="linear").outputs["mean"] > 0
    for wrong in ("my_own_model:none", "no_module:build", "my_own_model"):
        ended = call_main("", "record", "torch", wrong)
        assert ended.code == 2 and f"{wrong} is no function" in ended.err
    ended = call_main("", "record", "torch", "my_own_model:build_vector")
    assert ended.code == 2 and "but this returned a tensor of shape [2]" in " ".join(ended.err.split())
