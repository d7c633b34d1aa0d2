"""Settings and limits read from the environment."""

from dataclasses import Field, FrozenInstanceError, fields, replace
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


@pytest.mark.parametrize(
    ("group", "bound"),
    [(group, bound) for group in ("server", "work") for bound in fields(getattr(Settings(), group))],
    ids=lambda given: getattr(given, "name", given),
)
def test_each_bound_has_its_variable_and_its_own_bounds(group: str, bound: Any) -> None:
    variable, least, most = f"GRADBOOK_{bound.name.upper()}", bound.metadata["least"], bound.metadata["most"]
    assert least <= bound.default <= most
    for value in (least, most):
        found = getattr(read_settings({variable: str(value)}), group)
        assert found == replace(getattr(Settings(), group), **{bound.name: value})
        assert type(getattr(found, bound.name)) is type(bound.default)
    for wrong in (least - 1, most + 1, "many", "", "1e3", "nan", " 5", "0x5"):
        with pytest.raises(ValueError, match=f"^{variable} is '{wrong}'; a .*number .*from {least} to {most}"):
            read_settings({variable: str(wrong)})


def test_seconds_may_have_a_fraction() -> None:
    assert read_settings({"GRADBOOK_HEAD_SECONDS": "0.25"}).server.head_seconds == 0.25


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


@pytest.mark.parametrize("limit", fields(Limits), ids=lambda limit: limit.name)
def test_each_limit_has_a_bound(limit: Field[int]) -> None:
    variable, most = f"GRADBOOK_MAX_{limit.name.upper()}", limit.metadata["most"]
    assert getattr(read_settings({variable: str(most)}).limits, limit.name) == most
    with pytest.raises(ValueError, match=f"^{variable} is '{most + 1}'; a whole number from 1 to {most} is expected"):
        read_settings({variable: str(most + 1)})


@pytest.mark.parametrize("variable", ["GRADBOOK_MAX_NODE", "GRADBOOK_DATABASE", "GRADBOOK_", "GRADBOOK_SERVICES"])
def test_an_unknown_variable_is_refused_by_name(variable: str) -> None:
    with pytest.raises(
        ValueError,
        match=f"^{variable} is no setting; those are .*GRADBOOK_DATABASE_URL, .*GRADBOOK_WORKERS$",
    ):
        read_settings({"HOME": "/", variable: "1"})


def test_what_kubernetes_sets_for_a_service_of_this_name_is_ignored() -> None:
    environment = {
        "GRADBOOK_SERVICE_HOST": "10.0.0.7",
        "GRADBOOK_SERVICE_PORT": "80",
        "GRADBOOK_SERVICE_PORT_HTTP": "80",
        "GRADBOOK_PORT": "tcp://10.0.0.7:80",
        "GRADBOOK_PORT_80_TCP": "tcp://10.0.0.7:80",
        "GRADBOOK_PORT_80_TCP_ADDR": "10.0.0.7",
        "GRADBOOK_URL": "http://elsewhere",
        "GRADBOOK_KEY": "a client's",
    }
    assert read_settings(environment) == Settings()


def test_names_stand_between_commas() -> None:
    found = read_settings({"GRADBOOK_HOSTS": "Notes.example, ::1,", "GRADBOOK_ORIGINS": "https://a.example,https://b"})
    assert found.hosts == ("notes.example", "::1")
    assert found.origins == ("https://a.example", "https://b")


@pytest.mark.parametrize(
    "text", ["*", "null", "notes.example", "https://a/", "https://*.a", "https://a:443", "http://a:80", "https://b@a"]
)
def test_what_no_browser_would_send_as_an_origin_is_refused(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"^GRADBOOK_ORIGINS has .*; origins are expected, each as https://notes\.example$"
    ):
        read_settings({"GRADBOOK_ORIGINS": f"http://localhost:3000, {text}"})


def test_a_prefix_ends_without_a_slash() -> None:
    for text, prefix in (("", ""), ("/", ""), ("/a", "/a"), ("/a/b-1/", "/a/b-1")):
        assert read_settings({"GRADBOOK_PREFIX": text}).prefix == prefix


@pytest.mark.parametrize("text", ["a", "//a", "/a//", "/a b", "/..", "/%61", "https://a", "/a?b"])
def test_what_is_no_prefix_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^GRADBOOK_PREFIX is .*; a path as /gradbook is expected$"):
        read_settings({"GRADBOOK_PREFIX": text})


@pytest.mark.parametrize("text", ["proxy", "10.0.0.1/8", "10.0.0.0/33", "*"])
def test_proxies_are_addresses_and_networks(text: str) -> None:
    assert [str(each) for each in read_settings({"GRADBOOK_PROXIES": "10.0.0.1, fd00::/8"}).proxies] == [
        "10.0.0.1/32",
        "fd00::/8",
    ]
    with pytest.raises(ValueError, match=r"^GRADBOOK_PROXIES: .*addresses and networks are expected"):
        read_settings({"GRADBOOK_PROXIES": text})


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("", False),
        ("no such name", False),
    ],
)
def test_without_a_key_this_machine_alone_is_answered_unless_that_is_allowed(host: str, alone: bool) -> None:
    assert Settings(host=host).admits_anybody is alone
    assert read_settings({"GRADBOOK_HOST": host, "GRADBOOK_ALLOW_ANONYMOUS": "0"}).admits_anybody is alone
    assert read_settings({"GRADBOOK_HOST": host, "GRADBOOK_ALLOW_ANONYMOUS": "1"}).admits_anybody
    with pytest.raises(ValueError, match=r"^GRADBOOK_ALLOW_ANONYMOUS is 'yes'"):
        read_settings({"GRADBOOK_ALLOW_ANONYMOUS": "yes"})


@pytest.mark.parametrize("text", ["", "local:2", "tcp://scheduler:8786", "tls://10.0.0.7:8786"])
def test_a_cluster_is_a_scheduler_or_so_many_workers(text: str) -> None:
    assert read_settings({"GRADBOOK_DASK": text}).dask == text


@pytest.mark.parametrize(
    "text", ["local", "local:0", "2", "scheduler:8786", "tcp://scheduler", "http://scheduler:8786"]
)
def test_what_is_no_cluster_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^GRADBOOK_DASK is '{text}'; an address as tcp://scheduler:8786"):
        read_settings({"GRADBOOK_DASK": text})


def test_settings_are_frozen() -> None:
    settings: Any = Settings()
    with pytest.raises(FrozenInstanceError):
        settings.port = 1
    with pytest.raises(FrozenInstanceError):
        settings.limits.nodes = 1
