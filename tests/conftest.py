"""What all tests share: hypothesis's settings, a real service, and a summary of what a run left out."""

import gc
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from service.serving import service_process
from tests.examples import QUICK, THOROUGH

# New examples in every run: a test that fails by chance is a fault, and the blob in its report reproduces it.
# No deadline: it would depend on how busy the machine is. `--hypothesis-profile=thorough` draws more examples.
_shared = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", _shared, max_examples=QUICK)
settings.register_profile("thorough", _shared, max_examples=THOROUGH)
settings.load_profile("quick")

# What collecting the tests makes stays alive: the cycle collector would scan it again and again, for seconds.
gc.disable()

# The markers of tests that take long, or need more than `make test` installs, and the targets `pytest -m MARKER`.
SEPARATE = {
    marker: f"test-{marker}" for marker in ("compilation", "contract", "deployment", "faults", "peers", "browser")
}
SEPARATE["image"] = "image-check"
LEFT_TO = {marker: f"left to `make {target}`" for marker, target in SEPARATE.items()}


@pytest.fixture(scope="session")
def service_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real service in a process of its own, over a database that the tests share."""
    with service_process(f"sqlite:///{tmp_path_factory.mktemp('service')}/gradbook.db") as url:
        yield url


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests of a separate target, visibly, unless `-m` says which tests are wanted."""
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
