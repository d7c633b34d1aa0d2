"""The house: imports run one way, core ← storage ← usecases ← api, web ← app; client and cli speak HTTP.

The server knows its bounds, and serves any application."""

import ast
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# The core's own floors, from the ground up: a room may import from the floors below it and from itself alone.
CORE_FLOORS = [
    {"caches", "errors", "figures"},
    {"rulebook"},
    {"graph"},
    {"symbolic", "execution"},
    {"alignment", "rounding", "source"},
    {"language", "explanation", "derivatives", "comparison"},
    {"composition", "reproduction", "series", "sweeps"},
]

# What each room may import of ours besides itself. A room that isn't here has no place in the house yet.
MAY_IMPORT: dict[str, set[str]] = {
    "service": set(),
    "service.settings": set(),
    "service.core": set(),
    "service.storage": {"service.core", "service.settings", "service.tracing"},
    "service.onnx": {"service.core", "service.settings"},
    "service.usecases": {"service.core", "service.settings", "service.storage"},
    "service.workers": set(),
    "service.tracing": set(),
    "service.api": {
        *("service.core", "service.settings", "service.storage", "service.tracing", "service.usecases"),
        "service.workers",
    },
    "service.web": {
        *("service.api", "service.core", "service.example", "service.settings", "service.storage"),
        "service.usecases",
    },
    "service.jobs": {
        *("service.core", "service.settings", "service.storage", "service.usecases", "service.api"),
        *("service.tracing", "service.workers"),
    },
    "service.app": {
        *("service.core", "service.settings", "service.storage", "service.usecases"),
        *("service.api", "service.web"),
    },
    "service.server": {"service.settings", "service.workers"},
    "service.client": set(),
    "service.recorders": set(),
    "service.public": {"service.client", "service.recorders"},
    "service.example": set(),
    "service.fitting": {"service.settings"},
    "service.upkeep": {"service.example", "service.settings"},
    "service.process": {"service.upkeep"},
    "service.serving": {"service.fitting", "service.settings", "service.upkeep"},
    "service.cli": {
        *("service.client", "service.example", "service.recorders", "service.settings"),
        *("service.process", "service.serving", "service.upkeep"),
    },
    "migrations": {"service.core", "service.settings", "service.storage"},
}
# What a room may import only inside the function that needs it: `gradbook serve` and its kin.
MAY_IMPORT_LAZILY = {
    "service.usecases": {"service.onnx"},  # which needs the package onnx, an extra
    "service.cli": {"service.app", "service.core", "service.storage"},
    "service.upkeep": {"service.core", "service.storage", "service.usecases"},
    "service.process": {"service.client"},
    "service.serving": {
        *("service.api", "service.app", "service.core", "service.server", "service.storage", "service.usecases"),
        *("service.jobs", "service.tracing", "service.workers"),
    },
}

# The core is pure: numbers and the expression parser; of the standard library, nothing that reaches outside.
CORE_LIBRARIES = {"cachetools", "lark", "llvmlite", "numba", "numpy", "scipy"}
OUTSIDE_WORLD = {"http", "socket", "socketserver", "sqlite3", "ssl", "subprocess", "urllib"}


@dataclass(frozen=True)
class Import:
    module: str
    line: int
    lazy: bool


@cache
def imports(source: str, package: str) -> list[Import]:
    """Every module that `source`, a module of `package`, imports; a relative name is made whole.

    `from a import b` counts as `a.b`, since b may be a module.
    """
    tree = ast.parse(source)
    packages = package.split(".")
    lazy = {
        statement
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for statement in ast.walk(function)
    }
    found = []
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Import):
            modules = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            parents = packages[: len(packages) - statement.level + 1] if statement.level else []
            origin = ".".join([*parents, *filter(None, [statement.module])])
            modules = [f"{origin}.{alias.name}" for alias in statement.names]
        else:
            continue
        found += [Import(module, statement.lineno, statement in lazy) for module in modules]
    return found


def room(module: str) -> str:
    """The part of the house that a module of ours lies in: `service.core.graph.graph` lies in `service.core`."""
    return ".".join(module.split(".")[:2]) if module.startswith("service.") else module.partition(".")[0]


def breaches(module: str, package: str, source: str) -> list[str]:
    """The imports of `module` that run the wrong way, each named with its line."""
    home = room(module)
    if home not in MAY_IMPORT:
        return [f"{module}: {home} has no place in the house; give it one in MAY_IMPORT"]
    found = []
    for each in imports(source, package):
        target, library = room(each.module), each.module.partition(".")[0]
        if library in {"service", "migrations"}:
            # `from service import __version__` names no room: it is the package's own, and that imports nothing.
            allowed = MAY_IMPORT[home] | {home, "service"}
            if each.lazy:
                allowed |= MAY_IMPORT_LAZILY.get(home, set())
            wrong = target in MAY_IMPORT and target not in allowed
        else:
            pure = library in CORE_LIBRARIES or (library in sys.stdlib_module_names and library not in OUTSIDE_WORLD)
            wrong = home == "service.core" and not pure
        if wrong:
            found.append(f"{module}, line {each.line}: imports {each.module}")
    return found


def modules() -> list[tuple[str, str, Path]]:
    """Every module of ours: its dotted name, its package, its file."""
    found = []
    for path in sorted([*ROOT.glob("service/**/*.py"), *ROOT.glob("migrations/**/*.py")]):
        parts = path.relative_to(ROOT).with_suffix("").parts
        package = ".".join(parts[:-1])
        found.append((package if parts[-1] == "__init__" else ".".join(parts), package, path))
    return found


MODULES = modules()


@pytest.mark.parametrize(("module", "package", "path"), MODULES, ids=[name for name, *_ in MODULES])
def test_imports_run_one_way(module: str, package: str, path: Path) -> None:
    assert breaches(module, package, path.read_text(encoding="utf-8")) == []


# The one module of ours that imports an extra, and nothing imports that before it is asked for.
HOME_OF_EXTRA = {"opentelemetry": "service.tracing.otel"}


@pytest.mark.parametrize(("library", "home"), HOME_OF_EXTRA.items())
def test_an_extra_is_imported_where_it_is_asked_for_alone(library: str, home: str) -> None:
    for module, package, path in MODULES:
        for each in imports(path.read_text(encoding="utf-8"), package):
            assert each.module.partition(".")[0] != library or module == home, (module, each.line)
            assert not f"{each.module}.".startswith(f"{home}.") or each.lazy or module == home, (module, each.line)


def core_room(module: str) -> str | None:
    """The room of the core that a module lies in; None outside and for the core's own page of words."""
    parts = module.split(".")
    return parts[2] if parts[:2] == ["service", "core"] and len(parts) > 2 else None


def climbs(module: str, package: str, source: str) -> list[str]:
    """The imports of a module of the core that do not lead to a floor below, or stay in its room."""
    floor = {each: height for height, rooms in enumerate(CORE_FLOORS) for each in rooms}
    home = core_room(module)
    if home is None:
        return []
    if home not in floor:
        return [f"{module}: {home} has no floor in the core; give it one in CORE_FLOORS"]
    found = []
    for each in imports(source, package):
        target = core_room(each.module)
        if target is not None and target != home and not floor.get(target, len(CORE_FLOORS)) < floor[home]:
            found.append(f"{module}, line {each.line}: imports {each.module}")
    return found


@pytest.mark.parametrize(("module", "package", "path"), MODULES, ids=[name for name, *_ in MODULES])
def test_the_floors_of_the_core_are_climbed_one_way(module: str, package: str, path: Path) -> None:
    assert climbs(module, package, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("service.core.figures.figures", "from service.core.errors import Fault"),
        ("service.core.rulebook.tensor", "from service.core.graph.graph import Node"),
        ("service.core.symbolic.term", "from service.core.execution import passes"),
        ("service.core.explanation.steps", "from ..comparison.replay import replay_values"),
        ("service.core.graph.graph", "def later():\n    from service.core.language import parser"),
        ("service.core.attic.chest", "import numpy"),
    ],
)
def test_a_climb_is_found(module: str, statement: str) -> None:
    assert len(climbs(module, module.rpartition(".")[0], statement)) == 1


def test_every_room_of_the_core_exists() -> None:
    rooms = {core_room(module) for module, *_ in MODULES} - {None}
    assert rooms == set.union(*CORE_FLOORS)


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("service.core.graph.graph", "import flask"),
        ("service.core.graph.graph", "from sqlalchemy.orm import Session"),
        ("service.core.graph.graph", "def function():\n    import requests"),
        ("service.core.graph.graph", "import urllib.request"),
        ("service.core.graph.graph", "from service.storage import models"),
        ("service.core.graph.graph", "from ...settings import Settings"),
        ("service.core.graph.graph", "from service import settings"),
        ("service.storage.graphs", "from service.usecases.graphs import create_graph"),
        ("service.usecases.graphs", "import service.api.graphs"),
        ("service.api.graphs", "from service.app import create_app"),
        ("service.api.graphs", "from service.web import picture"),
        ("service.client.client", "from service.core.graph import graph"),
        ("service.client.client", "from .. import settings"),
        ("service.cli.main", "from service.app import create_app"),
        ("service.cli.main", "def serve():\n    from service.usecases.graphs import create_graph"),
        ("service.serving", "from service.storage.database import Database"),
        ("service.settings", "import service.core"),
        ("service.attic", "import numpy"),
        ("migrations.env", "from service.usecases import graphs"),
    ],
)
def test_a_breach_is_found(module: str, statement: str) -> None:
    assert len(breaches(module, module.rpartition(".")[0], statement)) == 1


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        (
            "service.core.graph.graph",
            "import hashlib, numpy\nfrom .operation import find\nfrom service.core import errors",
        ),
        ("service.storage.graphs", "import sqlalchemy\nfrom service.core.graph.graph import Graph"),
        ("service.api.graphs", "import flask\nfrom service.usecases import graphs\nfrom service import __version__"),
        (
            "service.cli.main",
            "from service.client import Client\ndef serve():\n    from service.app import create_app",
        ),
    ],
)
def test_what_the_house_allows_is_no_breach(module: str, statement: str) -> None:
    assert breaches(module, module.rpartition(".")[0], statement) == []


def test_dask_is_imported_where_chunks_are_given_to_it_alone() -> None:
    engine = "service.jobs.dask_engine"
    for module, package, path in MODULES:
        for each in imports(path.read_text(encoding="utf-8"), package):
            if each.module.partition(".")[0] in {"dask", "distributed"}:
                assert module == engine or (module == "service.jobs.dask_worker" and each.lazy), module
            if f"{each.module}.".startswith(f"{engine}."):
                assert each.lazy, f"{module} imports the engine, and so dask, even where nobody asks for it"


def shared_names(sources: dict[str, str]) -> dict[str, list[str]]:
    """The public classes that several modules define, each with the modules.

    The client is left out: its results have the names that the API gives them.
    """
    homes: dict[str, list[str]] = {}
    for module, source in sources.items():
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.ClassDef) and not statement.name.startswith("_"):
                homes.setdefault(statement.name, []).append(module)
    return {name: found for name, found in homes.items() if len(found) > 1}


def test_no_class_name_stands_for_two_things() -> None:
    sources = {module: path.read_text(encoding="utf-8") for module, _, path in MODULES}
    client = {module for module in sources if room(module) == "service.client"}
    inside = {module: source for module, source in sources.items() if module not in client}
    assert shared_names(inside) == {}
    assert shared_names({module: sources[module] for module in client}) == {}


def test_a_shared_name_is_found() -> None:
    sources = {"a": "class Run: ...\nclass _Own: ...", "b": "class Run: ...\nclass _Own: ...", "c": "class Graph: ..."}
    assert shared_names(sources) == {"Run": ["a", "b"]}


def test_the_readmes_story_of_a_run_names_files_and_functions_that_there_are() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    story = readme.partition("## How a run is made")[2].partition("**To add")[0]
    steps = re.findall(r"^\d+\. `([^`]+)` — (.*(?:\n   .*)*)", story, re.MULTILINE)
    assert len(steps) >= 6
    for path, told in steps:
        assert (ROOT / path).exists(), path
        for file in re.findall(r"`([a-z_/]+\.py)`", told):
            assert (ROOT / path).parent.joinpath(file).is_file() or (ROOT / file).is_file(), file
        for name in re.findall(r"`([a-z_]+)`", told):
            assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}: {name}"
