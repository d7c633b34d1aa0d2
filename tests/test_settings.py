"""Settings and limits read from the environment."""

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from service.settings import Limits, Settings, read_settings


def test_defaults() -> None:
    found = read_settings({})
    assert found == Settings() and found.limits == Limits()
    assert (found.database_url, found.host, found.port) == ("sqlite:///gradbook.db", "127.0.0.1", 8000)
    assert found.limits.nodes >= 100_000  # a graph of 100,000 nodes is let in


@pytest.mark.parametrize("limit", [limit.name for limit in fields(Limits)])
def test_each_limit_has_its_variable(limit: str) -> None:
    found = read_settings({f"GRADBOOK_MAX_{limit.upper()}": "7"}).limits
    assert {name.name: getattr(found, name.name) for name in fields(Limits)} == {
        **{name.name: name.default for name in fields(Limits)},
        limit: 7,
    }


def test_the_environment_goes_before_the_defaults_and_a_flag_before_the_environment() -> None:
    environment = {
        "GRADBOOK_DATABASE_URL": "sqlite:////data/x.db",
        "GRADBOOK_HOST": "0.0.0.0",
        "GRADBOOK_PORT": "0",
        "GRADBOOK_THREADS": "3",
    }
    assert read_settings(environment) == Settings("sqlite:////data/x.db", "0.0.0.0", 0, 3)
    assert read_settings(environment, port=9000, host=None, database_url="sqlite:///y.db") == Settings(
        "sqlite:///y.db", "0.0.0.0", 9000, 3
    )


def test_the_process_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADBOOK_MAX_PAGE", "17")
    assert read_settings().limits.page == 17


NUMBERS = ["GRADBOOK_PORT", "GRADBOOK_THREADS", *(f"GRADBOOK_MAX_{limit.name.upper()}" for limit in fields(Limits))]


@pytest.mark.parametrize("variable", NUMBERS)
@pytest.mark.parametrize("value", ["", " 5", "5.0", "-1", "+5", "1e3", "1_000", "٥", "many", "9" * 5000])
def test_what_is_no_whole_number_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"^{variable} is "):
        read_settings({variable: value})


@pytest.mark.parametrize("variable", NUMBERS[1:])
def test_no_limit_is_nothing(variable: str) -> None:
    with pytest.raises(ValueError, match=f"^{variable} is '0'; a whole number from 1"):
        read_settings({variable: "0"})


@pytest.mark.parametrize("port", ["65536", "99999"])
def test_a_port_that_is_none(port: str) -> None:
    with pytest.raises(ValueError, match=f"^GRADBOOK_PORT is '{port}'; a whole number from 0 to 65535"):
        read_settings({"GRADBOOK_PORT": port})


def test_settings_are_frozen() -> None:
    settings: Any = Settings()
    with pytest.raises(FrozenInstanceError):
        settings.port = 1
    with pytest.raises(FrozenInstanceError):
        settings.limits.nodes = 1
