"""README's "Port a model": its commands print what it shows, and the script that the last one writes runs."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.test_documents import PAGES, Command, commands, environment, is_shown

pytest.importorskip("torch", reason="left to `make test-peers`")
pytest.importorskip("jax", reason="left to `make test-peers`")

pytestmark = pytest.mark.peers

ROOT = Path(__file__).parents[2]
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def told() -> list[Command]:
    """The commands of the section."""
    (section,) = re.findall(r"^## Port a model\n(.*?)^## ", PAGES["README.md"], re.DOTALL | re.MULTILINE)
    return commands(section.replace("```text\n", "```console\n"))


def test_the_story_of_the_readme_prints_what_it_shows(service_url: str, tmp_path: Path) -> None:
    for program in (ROOT / "examples" / "port").glob("*.py"):
        shutil.copy(program, tmp_path)
    comparison = ""
    for command in told():
        text = re.sub(_ID, comparison, command.text)
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=tmp_path,
            env=environment(service_url.removeprefix("http://")),
            capture_output=True,
            text=True,
            check=False,
        )
        assert is_shown(done.stdout, command.shown), (text, done.stdout, done.stderr)
        comparison = (re.findall(rf"comparison ({_ID})", done.stdout) or [comparison])[-1]
    assert comparison
