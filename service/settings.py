"""The settings, read once from the environment into a frozen object. Flags override the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


def _limit(default: int, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits, shown at GET /v1/limits; each is set by GRADBOOK_MAX_ and its name in capitals."""

    body_bytes: int = _limit(64 * 1024 * 1024, "bytes of a request's body")
    json_depth: int = _limit(64, "lists and objects within one another in a request's body")
    expression_bytes: int = _limit(64 * 1024, "bytes of an expression, in UTF-8")
    expression_depth: int = _limit(200, "brackets within one another in an expression")
    formula_characters: int = _limit(64 * 1024, "characters of a formula, in the expression language")
    nodes: int = _limit(250_000, "nodes of one graph")
    tensor_elements: int = _limit(10_000_000, "elements of one node's value")
    run_elements: int = _limit(50_000_000, "elements of the values of all nodes of one run")
    name_length: int = _limit(128, "characters of a graph's name, a label or a tag")
    tags: int = _limit(32, "tags of one graph or run")
    archive_members: int = _limit(16_384, "arrays of a body in the form .npz")
    page: int = _limit(1000, "items of one page of a list")


@dataclass(frozen=True)
class Settings:
    """Everything that can be configured."""

    database_url: str = "sqlite:///gradbook.db"
    host: str = "127.0.0.1"
    port: int = 8000
    threads: int = 8
    limits: Limits = field(default_factory=Limits)


def read_settings(environment: Mapping[str, str] | None = None, **flags: Any) -> Settings:
    """Read the settings from GRADBOOK_* variables; `flags` that are not None override them.

    Raises ValueError, naming the variable, where a number is expected and something else is given.
    """
    given = os.environ if environment is None else environment
    limits = {
        limit.name: _whole_number(given, f"GRADBOOK_MAX_{limit.name.upper()}", limit.default)
        for limit in fields(Limits)
    }
    chosen: dict[str, Any] = {
        "database_url": given.get("GRADBOOK_DATABASE_URL", Settings.database_url),
        "host": given.get("GRADBOOK_HOST", Settings.host),
        "port": _whole_number(given, "GRADBOOK_PORT", Settings.port, least=0, most=65_535),
        "threads": _whole_number(given, "GRADBOOK_THREADS", Settings.threads),
        "limits": Limits(**limits),
    }
    return Settings(**{**chosen, **{name: value for name, value in flags.items() if value is not None}})


def _whole_number(
    given: Mapping[str, str], variable: str, default: Any, *, least: int = 1, most: int = 2**63 - 1
) -> int:
    text = given.get(variable)
    if text is None:
        return int(default)
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise ValueError(f"{variable} is {text!r}; a whole number from {least} to {most} is expected")
    return int(text)
