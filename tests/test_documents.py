"""README and the pages of docs/ are true: what they have run prints what they show, their tables are the code's, what
they link to and name is there."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from service.core.language.expression import parse_expression
from service.process import service_process
from service.settings import Limits, ServerBounds, Settings, WorkBounds
from service.upkeep import migrate, store_seed_example

ROOT = Path(__file__).parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
SETTINGS = PAGES["docs/settings.md"]
ADDRESS = "127.0.0.1:8000"
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that holds what `make run` stores: the pages show version 1."""
    settings = Settings(f"sqlite:///{tmp_path_factory.mktemp('documents')}/gradbook.db")
    migrate(settings)
    store_seed_example(settings)
    with service_process(settings.database_url, variables={"GRADBOOK_PROCESSES": "1"}) as url:
        yield url.removeprefix("http://")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """A command of a page and the lines that the page shows below it."""

    text: str
    shown: str


def commands(page: str) -> list[Command]:
    """The commands in a page's console blocks: what follows `$ `, and further lines after `> `."""
    found = re.findall(r"^\$ (.*\n(?:> .*\n)*)((?:(?!\$ ).*\n)*)", "".join(blocks(page, "console")), re.MULTILINE)
    return [Command(text.replace("\n> ", "\n").rstrip("\n"), shown) for text, shown in found]


def without_ids_and_times(text: str) -> str:
    return _TIME.sub("TIME", _ID.sub("ID", text))


def is_shown(printed: str, shown: str) -> bool:
    """Whether a page shows what was printed; `…` stands for anything in a line and, alone, for any lines."""
    pattern = re.escape(without_ids_and_times(shown)).replace("…\\\n", "…\n")
    pattern = re.sub(r"^…\n", "(?:.*\n)*?", pattern, flags=re.MULTILINE).replace("…", ".*?")
    return re.fullmatch(pattern, without_ids_and_times(printed)) is not None


def environment(address: str) -> dict[str, str]:
    given = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return given | {"GRADBOOK_URL": f"http://{address}", "PYTHONPATH": str(ROOT)}


def run(page: str, address: str, folder: Path) -> list[str]:
    """What each command of a page prints, all of them in one shell, which the first that fails ends."""
    folder.mkdir()
    script = "".join(f"{command.text}\nprintf '\\n\\f\\n'\n" for command in commands(page)).replace(ADDRESS, address)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment(address),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout[-1000:]
    return done.stdout.replace(address, ADDRESS).split("\n\f\n")


@pytest.mark.slow
def test_every_command_prints_what_is_shown(address: str, tmp_path: Path) -> None:
    """One test for all pages: they share a service, which takes longer to start than they do to run."""
    number, wrong = 0, []
    for name, page in PAGES.items():
        for command, printed in zip(commands(page), run(page, address, tmp_path / Path(name).stem), strict=False):
            number += 1
            if not is_shown(printed and printed.rstrip("\n") + "\n", command.shown):
                wrong.append(f"{name}: $ {command.text}\nprints\n{printed}\nand not\n{command.shown}")
    assert number >= 20 and not wrong, "\n\n".join(wrong)


def test_every_python_example_prints_what_is_shown(address: str) -> None:
    """Each `print` has beside it what it prints."""
    examples = [example for page in PAGES.values() for example in blocks(page, "python")]
    assert len(examples) >= 2
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(examples).replace(ADDRESS, address)],
        capture_output=True,
        text=True,
        check=True,
        env=environment(address),
    )
    shown = [line for example in examples for line in re.findall(r"print\(.*\)  # (.*)$", example, re.MULTILINE)]
    assert done.stdout.splitlines() == shown


def test_expressions_and_json_can_be_read() -> None:
    expressions = [
        line for page in PAGES.values() for block in blocks(page, "expression") for line in block.split("\n")
    ]
    assert len(expressions) >= 5
    for expression in filter(None, expressions):
        assert parse_expression(expression, max_bytes=1000, max_depth=20)
    for page in PAGES.values():
        assert all(map(json.loads, blocks(page, "json")))


def test_every_block_says_what_it_is() -> None:
    """What is run, or read, by the tests above; the rest needs make, Docker, nginx, a server, PyTorch or
    JAX (tests/recorders/torch/test_door.py, tests/recorders/jax/test_door.py)."""
    fences = {name: set(re.findall(r"^```(.*)\n(?:.*\n)*?```$", page, re.MULTILINE)) for name, page in PAGES.items()}
    elsewhere = {"README.md": {"sh", "py"}, "docs/operating.md": {"sh", "yaml", "nginx"}, "docs/upgrading.md": {"sh"}}
    elsewhere["docs/observing.md"] = {"sh", "yaml"}
    elsewhere["docs/bringing-a-model.md"] = elsewhere["docs/training.md"] = {"py"}
    elsewhere["docs/other-languages.md"] = {"sh", "typescript"}  # tests/clients runs them
    for name, languages in fences.items():
        assert languages - {"console", "python", "expression", "json", "text"} == elsewhere.get(name, set()), name


def test_no_command_stands_twice() -> None:
    """But what a page begins with, the ids that its commands need."""
    every = [command.text for page in PAGES.values() for command in commands(page)]
    twice = [text for text, count in Counter(every).items() if count > 1]
    assert [text for text in twice if not re.match(r"[A-Z]+=\$\(", text)] == []


def test_the_commands_of_make_are_its_targets() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    (shown,) = blocks(PAGES["README.md"], "sh")
    named = re.findall(r"^make (\w+)", shown, re.MULTILINE)
    assert named == ["run", "test"]
    assert set(named) <= targets
    assert (ROOT / "docker-compose.yml").is_file()


def test_the_table_of_limits_is_the_codes() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.+) \|$", SETTINGS, re.MULTILINE)
    assert rows == [(limit.name, str(limit.default), limit.metadata["meaning"]) for limit in fields(Limits)]


def test_the_table_of_settings_has_every_setting() -> None:
    rows = dict(re.findall(r"^\| `GRADBOOK_(\w+)` \| `([^`]+)` \|", SETTINGS, re.MULTILINE))
    assert (rows.pop("URL"), rows.pop("KEY")) == ("http://127.0.0.1:8000", "none")
    settings = [setting for setting in fields(Settings) if setting.name not in ("limits", "server", "work", "origin")]
    assert rows == {
        setting.name.upper(): _shown(setting.default)
        for setting in (*settings, *fields(ServerBounds), *fields(WorkBounds))
    }


def _shown(default: object) -> str:
    if isinstance(default, tuple):
        return ", ".join(default) or "none"
    return str(int(default) if isinstance(default, bool) else default).removesuffix(".0") or "none"


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)\)", PAGES["README.md"]))
    assert linked == PAGES.keys() - {"README.md"}


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_links_to_and_names_is_there(name: str) -> None:
    linked = re.findall(r"\]\((?!http|/)([\w/.-]+)(?:#[\w-]+)?\)", PAGES[name])
    named = re.findall(r"`((?:service|examples|tests|benchmarks|docs)/[\w/.-]+)`", PAGES[name])
    here = (ROOT / name).parent
    assert [path for path in linked if not (here / path).exists()] == []
    assert [path for path in named if not (ROOT / path).exists()] == []
