"""The README is true: its commands print what it shows, its tables are the code's, the files it names are there."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from service.serving import service_process
from service.settings import Limits, ServerBounds, Settings, WorkBounds

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00")


@pytest.fixture(scope="module")
def fresh_service_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with nothing in it yet: the README shows version 1."""
    database = f"sqlite:///{tmp_path_factory.mktemp('readme')}/gradbook.db"
    with service_process(database, variables={"GRADBOOK_PROCESSES": "0"}) as url:
        yield url


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def without_ids_and_times(text: str) -> str:
    return _TIME.sub("TIME", _ID.sub("ID", text))


def test_every_console_command_prints_what_is_shown(fresh_service_url: str, tmp_path: Path) -> None:
    lines = "".join(blocks("console")).splitlines()
    commands = [line[2:] for line in lines if line.startswith("$ ")]
    assert len(commands) == 9
    address = fresh_service_url.removeprefix("http://")
    script = "".join(f"echo '$' {number}\n{command}\necho\n" for number, command in enumerate(commands))
    script = script.replace("127.0.0.1:8000", address)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    printed = [line for line in done.stdout.splitlines() if line]
    shown = []
    for line in lines:
        number = sum(1 for earlier in shown if earlier.startswith("$ "))
        shown.append(f"$ {number}" if line.startswith("$ ") else line)
    assert without_ids_and_times("\n".join(printed)) == without_ids_and_times("\n".join(shown))


def test_the_python_example_runs(fresh_service_url: str) -> None:
    (code,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", code.replace("http://127.0.0.1:8000", fresh_service_url)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    value, gradient = map(float, done.stdout.split())
    assert value == pytest.approx(0.7310585786300049, abs=1e-15)
    assert gradient == pytest.approx(-0.19661193324148185, abs=1e-15)


def test_the_commands_of_make_are_its_targets() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    (commands,) = blocks("sh")
    named = re.findall(r"^make (\w+)", commands, re.MULTILINE)
    assert named == ["run", "test"]
    assert set(named) <= targets
    assert (ROOT / "docker-compose.yml").is_file()


def test_the_table_of_limits_is_the_codes() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.+) \|$", README, re.MULTILINE)
    assert rows == [(limit.name, str(limit.default), limit.metadata["meaning"]) for limit in fields(Limits)]


def test_the_table_of_settings_has_every_setting() -> None:
    rows = dict(re.findall(r"^\| `GRADBOOK_(\w+)` \| `([^`]+)` \|", README, re.MULTILINE))
    assert (rows.pop("URL"), rows.pop("KEY")) == ("http://127.0.0.1:8000", "none")
    settings = [setting for setting in fields(Settings) if setting.name not in ("limits", "server", "work")]
    assert rows == {
        setting.name.upper(): _shown(setting.default)
        for setting in (*settings, *fields(ServerBounds), *fields(WorkBounds))
    }


def _shown(default: object) -> str:
    if isinstance(default, tuple):
        return ", ".join(default) or "none"
    return str(int(default) if isinstance(default, bool) else default).removesuffix(".0") or "none"


def test_the_pages_it_links_to_are_there() -> None:
    linked = set(re.findall(r"\]\((?!http)([\w/.-]+)\)", README))
    assert {"docs/operating.md", "docs/upgrading.md"} <= linked
    assert [path for path in linked if not (ROOT / path).exists()] == []


def test_the_files_it_names_are_there() -> None:
    named = set(re.findall(r"`(service/[\w/.]+)`", README))
    assert len(named) >= 7
    assert [path for path in named if not (ROOT / path).exists()] == []
