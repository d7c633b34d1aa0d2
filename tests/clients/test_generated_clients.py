"""Clients in other languages: what generators make of the document that a service serves compiles, lacks no operation,
and tells the story of the tutorial's slip.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import read_openapi

pytestmark = pytest.mark.clients

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "clients"
GENERATORS = ROOT / ".venv-clients" / "bin"
PYTHON = (
    *("openapi-python-client", "generate", "--url", "URL/openapi.yaml"),
    *("--config", "openapi-python-client.yaml"),
)
TYPESCRIPT = (
    *("npx", "openapi-typescript", "URL/openapi.yaml", "--default-non-nullable", "false"),
    *("--output", "gradbook.ts"),
)
MODULES = Path(__file__).parent / "node_modules"
METHODS = {"get", "post", "put", "patch", "delete"}
IMPORT_ALL = """
import gradbook_client, importlib, pkgutil
for module in pkgutil.walk_packages(gradbook_client.__path__, "gradbook_client."):
    importlib.import_module(module.name)
"""
SLIPS = [
    "backward at f: ∂F/∂f is −3; it should be 1 × 1/d = 1 × 1/(−3) = −1/3 by the quotient rule.",
    "backward at d: ∂F/∂d is 108; it should be 1 × (−f/d²) = 1 × (−(−12/(−3)²)) = 4/3 by the quotient rule.",
    "a problem: urn:gradbook:problem:invalid-inputs 3 faults; the first: the input 'b' is missing",
]


def run(*command: str | Path, folder: Path, complains: bool = False) -> str:
    """What a command prints; it succeeds, and `complains` or does not."""
    variables = {**os.environ, "PATH": f"{GENERATORS}:{os.environ['PATH']}", "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("warning" in (done.stdout + done.stderr).lower()) == complains, done.stdout
    return done.stdout


def at(url: str, command: tuple[str, ...]) -> tuple[str, ...]:
    """A command about the service at this URL."""
    return tuple(part.replace("URL", url) for part in command)


def hold_to_the_story(printed: str) -> None:
    gradients, *slips = printed.splitlines()
    assert gradients.startswith("the gradients: ") and "1.3333333333333333" in gradients
    assert [slip[: len(expected)] for slip, expected in zip(slips, SLIPS, strict=True)] == SLIPS


def made_in(package: Path) -> set[str]:
    return {path.stem for path in (package / "api").glob("*/*.py")} - {"__init__"}


def operations() -> set[str]:
    document: Any = read_openapi((ROOT / "openapi.yaml").read_text(encoding="utf-8"))
    return {
        operation["operationId"]
        for methods in document["paths"].values()
        for method, operation in methods.items()
        if method in METHODS
    }


def test_the_page_shows_what_is_run_here() -> None:
    page = (ROOT / "docs" / "other-languages.md").read_text(encoding="utf-8")
    assert f"```typescript\n{(EXAMPLES / 'story.ts').read_text(encoding='utf-8')}```" in page
    for command in (PYTHON, TYPESCRIPT):
        assert " ".join(command).replace("URL", "http://127.0.0.1:8000") in page


def test_a_client_in_python(service_url: str, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "openapi-python-client.yaml", tmp_path)
    run(*at(service_url, PYTHON), "--meta", "none", folder=tmp_path)
    assert made_in(tmp_path / "gradbook_client") == operations()
    run(GENERATORS / "python", "-c", IMPORT_ALL, folder=tmp_path)
    shutil.copy(EXAMPLES / "story.py", tmp_path)
    checked = ("--strict", "--follow-imports", "silent", "--python-executable", GENERATORS / "python", "story.py")
    run(sys.executable, "-m", "mypy", *checked, folder=tmp_path)
    hold_to_the_story(run(GENERATORS / "python", "story.py", service_url, folder=tmp_path))


def test_without_the_configuration_no_operation_is_lacking(tmp_path: Path) -> None:
    command = ("openapi-python-client", "generate", "--path", ROOT / "openapi.yaml", "--output-path", "client")
    run(*command, "--meta", "none", folder=tmp_path, complains=True)
    assert made_in(tmp_path / "client") == operations()


def test_a_client_in_typescript(service_url: str, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(MODULES)
    (tmp_path / "package.json").write_text(json.dumps({"type": "module"}))
    shutil.copy(EXAMPLES / "story.ts", tmp_path)
    run(*at(service_url, TYPESCRIPT), folder=tmp_path)
    types = (tmp_path / "gradbook.ts").read_text(encoding="utf-8").partition("export interface operations {")[2]
    assert {name for name in operations() if f"\n    {name}: {{" in types} == operations()
    run("npx", "tsc", "--strict", "--module", "nodenext", "story.ts", folder=tmp_path)
    hold_to_the_story(run("node", "story.js", service_url, folder=tmp_path))
