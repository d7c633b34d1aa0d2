"""The house: imports run one way, core ← storage ← usecases ← api, web ← app; client and cli speak HTTP."""

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What each room may import of ours besides itself. A room that isn't here has no place in the house yet.
MAY_IMPORT: dict[str, set[str]] = {
    "service": set(),
    "service.settings": set(),
    "service.core": set(),
    "service.storage": {"service.core", "service.settings"},
    "service.usecases": {"service.core", "service.settings", "service.storage"},
    "service.api": {"service.core", "service.settings", "service.storage", "service.usecases"},
    "service.web": {"service.api", "service.core", "service.settings", "service.storage", "service.usecases"},
    "service.app": {
        *("service.core", "service.settings", "service.storage", "service.usecases"),
        *("service.api", "service.web"),
    },
    "service.results": set(),
    "service.packed": {"service.results"},
    "service.results_calculus": {"service.results"},
    "service.client": {"service.packed", "service.results", "service.results_calculus"},
    "service.seed": set(),
    "service.serving": {"service.client", "service.seed", "service.settings"},
    "service.junit": set(),
    "service.terminal": {"service.client", "service.results"},
    "service.cli_comparisons": {"service.client", "service.junit", "service.results", "service.terminal"},
    "service.cli_calculus": {"service.client", "service.results_calculus", "service.terminal"},
    "service.cli_pictures": {"service.client", "service.terminal"},
    "service.cli": {
        *("service.cli_calculus", "service.cli_comparisons", "service.cli_pictures", "service.client"),
        *("service.results", "service.seed", "service.serving", "service.settings", "service.terminal"),
    },
    "migrations": {"service.core", "service.settings", "service.storage"},
}
# What a room may import only inside the function that needs it: `gradbook serve` and its kin.
MAY_IMPORT_LAZILY = {
    "service.cli": {"service.app", "service.core", "service.storage"},
    "service.serving": {"service.app", "service.core", "service.storage", "service.usecases"},
}

# The core is pure: numbers and the expression parser; of the standard library, nothing that reaches outside.
CORE_LIBRARIES = {"lark", "llvmlite", "numba", "numpy", "scipy"}
OUTSIDE_WORLD = {"http", "socket", "socketserver", "sqlite3", "ssl", "subprocess", "urllib"}


@dataclass(frozen=True)
class Import:
    module: str
    line: int
    lazy: bool


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
    """The part of the house that a module of ours lies in: `service.core.graph` lies in `service.core`."""
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


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("service.core.graph", "import flask"),
        ("service.core.graph", "from sqlalchemy.orm import Session"),
        ("service.core.graph", "def function():\n    import requests"),
        ("service.core.graph", "import urllib.request"),
        ("service.core.graph", "from service.storage import models"),
        ("service.core.graph", "from ..settings import Settings"),
        ("service.core.graph", "from service import settings"),
        ("service.storage.graphs", "from service.usecases.graphs import create_graph"),
        ("service.usecases.graphs", "import service.api.graphs"),
        ("service.api.graphs", "from service.app import create_app"),
        ("service.api.graphs", "from service.web import picture"),
        ("service.client", "from service.core import graph"),
        ("service.client", "from . import settings"),
        ("service.cli", "from service.app import create_app"),
        ("service.cli", "def serve():\n    from service.usecases.graphs import create_graph"),
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
        ("service.core.graph", "import hashlib, numpy\nfrom .operation import find\nfrom service.core import errors"),
        ("service.storage.graphs", "import sqlalchemy\nfrom service.core.graph import Graph"),
        ("service.api.graphs", "import flask\nfrom service.usecases import graphs\nfrom service import __version__"),
        ("service.cli", "from service.client import Client\ndef serve():\n    from service.app import create_app"),
    ],
)
def test_what_the_house_allows_is_no_breach(module: str, statement: str) -> None:
    assert breaches(module, module.rpartition(".")[0], statement) == []
