"""What the image has inside."""

import sys
import tomllib
from importlib.metadata import version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.image.engine import ROOT, Engine, run_outside

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What the tests of service/core need beside the service, in the versions that this environment has.
TESTING = (
    "attrs",
    "execnet",
    "hypothesis",
    "iniconfig",
    "mpmath",
    "packaging",
    "pluggy",
    "pygments",
    "pytest",
    "pytest-xdist",
    "sortedcontainers",
)
INSTALLED = """
import importlib.metadata
print(*(each.name for each in importlib.metadata.distributions()))
"""


def python(engine: Engine, *arguments: str) -> str:
    return engine.docker("run", "--rm", "gradbook", "python", *arguments)


def test_nothing_is_warned_of_in_the_build(build_log: str) -> None:
    assert "DONE" in build_log
    assert not [line for line in build_log.splitlines() if "warn" in line.lower()]


def test_it_is_small_and_says_what_it_is(engine: Engine) -> None:
    image = engine.inspect("gradbook", "image")
    assert image["Size"] <= 640e6
    labels = image["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "Gradbook"
    assert labels["org.opencontainers.image.version"] == PROJECT["version"]
    assert labels["org.opencontainers.image.description"] == PROJECT["description"]


def test_it_has_what_the_service_and_postgresql_need_and_nothing_that_installs_or_builds(engine: Engine) -> None:
    installed = set(map(canonicalize_name, python(engine, "-c", INSTALLED).split()))
    needed = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["postgres"]]
    assert {canonicalize_name(Requirement(each).name) for each in needed} <= installed
    python(engine, "-c", "import psycopg, psycopg_binary, service.app")
    assert not installed & {"pip", "setuptools", "wheel", "hatchling", "editables", "pytest", "build"}
    search = (
        "for each in pip gcc cc make ld; do command -v $each; done; ls /usr/bin/python3 /usr/local/bin/python3; true"
    )
    *tools, own = engine.docker("run", "--rm", "gradbook", "sh", "-c", search).splitlines()
    assert tools == []
    for interpreter in ("python", own):
        tried = engine.run("docker", "run", "--rm", "gradbook", interpreter, "-m", "pip", "--version", check=False)
        assert "No module named pip" in tried.stderr


def test_its_python_passes_the_tests_of_the_core(engine: Engine) -> None:
    """By the compiled loops of the image, which has another Python than the one here."""
    wanted = [f"{name}=={version(name)}" for name in TESTING]
    wheels = ("--only-binary=:all:", "--python-version=3.13", "--no-deps")
    run_outside(
        sys.executable, "-m", "pip", "install", "--quiet", *wheels, "--target", engine.root / "packages", *wanted
    )
    said = engine.docker(
        *("run", "--rm", "--volume=/packages:/packages:ro", "--volume=/repository/tests:/tmp/checked/tests:ro"),
        *("--volume=/repository/pyproject.toml:/tmp/checked/pyproject.toml:ro", "--workdir=/tmp/checked"),
        *("--env=PYTHONPATH=/packages", "--env=PYTHONDONTWRITEBYTECODE=1"),
        *("--env=HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis", "gradbook", "python", "-m", "pytest", "--quiet"),
        *("--numprocesses=2", "--dist=worksteal", "-p", "no:cacheprovider", "tests/core"),
    )
    assert " passed" in said.splitlines()[-1] and " failed" not in said
