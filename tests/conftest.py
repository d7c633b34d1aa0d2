"""What all tests share: hypothesis's settings, a real service, and a summary of what a run left out."""

import gc
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from service.process import service_process
from service.storage.database import Database
from tests.examples import MEASURED, QUICK, THOROUGH

# New examples in every run: a test that fails by chance is a fault, and the blob in its report reproduces it.
# No deadline: it would depend on how busy the machine is. `--hypothesis-profile=thorough` draws more examples.
# What is measured draws the same examples in every run, lest a line be reached by chance.
_shared = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", _shared, max_examples=QUICK)
settings.register_profile("measured", _shared, max_examples=MEASURED, derandomize=True)
settings.register_profile("thorough", _shared, max_examples=THOROUGH)
settings.load_profile("quick")

# What collecting the tests makes stays alive: the cycle collector would scan it again and again, for seconds.
gc.disable()

# The markers of tests that take long, or need more than `make test` installs, and the targets `pytest -m MARKER`.
SEPARATE = {
    marker: f"test-{marker}"
    for marker in (
        "cluster",
        "compilation",
        "contract",
        "deployment",
        "faults",
        "peers",
        "postgres",
        "clients",
        "browser",
    )
}
SEPARATE["image"] = "image-check"
SEPARATE["slow"] = "test-coverage"  # which runs what `make test` runs, and these
LEFT_TO = {marker: f"left to `make {target}`" for marker, target in SEPARATE.items()}
# What `make test-postgres` runs on PostgreSQL, but for the tests that are about a database in a file.
ON_POSTGRES = tuple(Path(__file__).parent / folder for folder in ("storage", "usecases", "jobs", "api", "client"))


@pytest.fixture(scope="session")
def empty_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Path], str]]:
    """A function that makes an empty, migrated database, a file in that folder if it is one, and returns its URL."""
    if request.config.option.markexpr == "postgres":
        from tests.postgres import many_databases, migrated

        with many_databases() as make:
            yield lambda folder: migrated(make())
        return
    template = tmp_path_factory.mktemp("migrated") / "gradbook.db"
    with closing(Database(f"sqlite:///{template}")) as database:
        database.migrate()
    yield lambda folder: f"sqlite:///{shutil.copy(template, folder)}"


@pytest.fixture(scope="session")
def service_url(empty_database: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real service in a process of its own, over a database that the tests share."""
    with service_process(empty_database(tmp_path_factory.mktemp("service"))) as url:
        yield url


@pytest.hookimpl(tryfirst=True)  # before `-m` looks for the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests of a separate target, visibly, unless `-m` says which tests are wanted."""
    if config.option.markexpr == "postgres":
        for item in items:
            elsewhere = any(map(item.get_closest_marker, (*(SEPARATE.keys() - {"slow"}), "sqlite")))
            if any(map(item.path.is_relative_to, ON_POSTGRES)) and not elsewhere:
                item.add_marker("postgres")
    if config.option.markexpr:
        return
    for item in items:
        for marker in list(item.iter_markers()):
            if marker.name in LEFT_TO:
                item.add_marker(pytest.mark.skip(reason=LEFT_TO[marker.name]))


def pytest_collection_finish() -> None:
    """Have the cycle collector look after what the tests make."""
    gc.freeze()
    gc.enable()


def _skips(config: pytest.Config) -> Counter[str]:
    """How many tests, or whole modules, were skipped, by reason."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    return Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)


def _skips_that_fail(config: pytest.Config) -> Counter[str]:
    """The skips that fail a separate target, which exists to run its tests; not those left to another target."""
    target = config.option.markexpr
    if target not in SEPARATE:
        return Counter()
    others = {reason for marker, reason in LEFT_TO.items() if marker != target}
    return Counter({reason: count for reason, count in _skips(config).items() if reason not in others})


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a separate target if one of its tests was skipped."""
    if session.exitstatus == pytest.ExitCode.OK and _skips_that_fail(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say at the end what this run left out."""
    if config.option.markexpr:
        terminalreporter.write_line(f"Only tests marked `{config.option.markexpr}` ran; `make test` runs the others.")
    for reason, count in _skips_that_fail(config).items():
        terminalreporter.write_line(f"{count} skipped where nothing may be: {reason}", red=True)
    if not config.option.markexpr:
        left = [f"{count} {reason}" for reason, count in sorted(_skips(config).items())]
        terminalreporter.write_line(f"Left out, tests or modules of them: {'; '.join(left) or 'nothing'}.")
