"""The contract's promise: what a released document of the API offers stays, and what is deprecated is announced."""

import re
from collections.abc import Callable
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.breaches import METHODS, find_breaches

ROOT = Path(__file__).parents[2]
RELEASED = sorted(Path(__file__).parent.glob("openapi-*.yaml"))


def read(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


DOCUMENT = read(ROOT / "openapi.yaml")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
FIRST = read(RELEASED[0])


def test_the_document_has_the_version_of_the_package() -> None:
    assert DOCUMENT["info"]["version"] == version("gradbook")


# What every release refused, and the document of the first did not say.
NOTHING = "was None and is"
SAID_LATER = (
    rf".*: (minLength|minItems|minProperties) {NOTHING} 1",  # empty names, lists and tolerances
    rf".*: (maxLength {NOTHING} (128|256|65536)|maxProperties {NOTHING} 32|maxItems {NOTHING} 250000)",  # the limits
    rf".* (cursor|limit|hops): (maxLength {NOTHING} 4096|maximum {NOTHING} (1000|999999999))",
    rf".*: pattern {NOTHING} "  # names and labels, text without NUL, tags in a query, cursors
    + r"(\^\[\^\\x00-\\x1f\\x7f-\\x9f`?\]\+\(\?!\[\\s\\S\]\)|\^\[\^\\x00\]\*(:\[\^\\x00\]\*)?\$"
    + r"|\^\[A-Za-z0-9_-\]\+\(\?!\[\\s\\S\]\))",
    r".*, (inputs|values|gradients|vector|names|tags): propertyNames is not what it was",
    r".*, (seed|vector|(inputs|values|gradients|vector), additionalProperties), items: the type any is gone",
    rf".*, tolerance(, [ar]tol)?: (minimum {NOTHING} 0|additionalProperties are refused)",
    r".*/(graphs|runs|derivatives|checks), body(, recorded|, claims)?: (if|then|else|dependentSchemas) is not what it "
    "was",
    r".*, (outputs|wrt): uniqueItems is not what it was",
)

# What the first document said wrongly, and a client that is generated from it would send.
SAID_WRONGLY = (
    r".*/(comparisons|checks), body, tolerance: the default was float64",  # of runs in a coarser dtype it is theirs
)

# What is only gained: a tensor's digest in place of an array, answered to who gave it so.
GAINED = (
    r".*/(runs|backward|derivatives|\{run_id\}|\{derivatives_id\}), 20[01](, runs, items)?, inputs, "
    r"additionalProperties: the type object is new in an answer",
    r".*/derivatives, body, vector(, tensor: the member is newly required|: additionalProperties are refused)",
)


@pytest.mark.parametrize("released", RELEASED, ids=[path.stem for path in RELEASED])
def test_what_a_release_promises_is_kept(released: Path) -> None:
    breaches = find_breaches(read(released), DOCUMENT)
    assert [
        breach
        for breach in breaches
        if not any(re.fullmatch(said, breach) for said in (*SAID_LATER, *SAID_WRONGLY, *GAINED))
    ] == []


# Mutated copies of the first document: how each is changed, and what is found in the copy.

Mutation = Callable[[Any], object]


def schema(document: Any, name: str) -> Any:
    return document["components"]["schemas"][name]


def operation(document: Any, name: str) -> Any:
    operations = (each for path in document["paths"].values() for method, each in path.items() if method in METHODS)
    return next(each for each in operations if each["operationId"] == name)


def parameter(document: Any, of: str, name: str) -> Any:
    return next(each for each in operation(document, of)["parameters"] if each["name"] == name)


BREACHES: dict[str, tuple[Mutation, str]] = {
    "path": (lambda d: d["paths"].pop("/v1/graphs"), "/v1/graphs: the path is gone"),
    "method": (lambda d: d["paths"]["/v1/graphs"].pop("post"), "POST /v1/graphs: the method is gone"),
    "operationId": (
        lambda d: operation(d, "create_graph").update(operationId="make_graph"),
        "POST /v1/graphs: the operationId was create_graph",
    ),
    "status": (lambda d: operation(d, "get_run")["responses"].pop("404"), "404: the status is gone"),
    "header": (lambda d: operation(d, "get_run")["responses"]["200"]["headers"].pop("ETag"), "the header ETag is gone"),
    "answer's media type": (
        lambda d: operation(d, "get_run")["responses"]["200"]["content"].pop("application/x-npz"),
        "the media type application/x-npz is gone",
    ),
    "request's media type": (
        lambda d: operation(d, "create_run")["requestBody"]["content"].pop("application/x-npz"),
        "body: the media type application/x-npz is gone",
    ),
    "parameter": (
        lambda d: operation(d, "list_runs")["parameters"].remove(parameter(d, "list_runs", "label")),
        "query parameter label: the parameter is gone",
    ),
    "parameter demanded": (
        lambda d: parameter(d, "list_runs", "label").update(required=True),
        "query parameter label: the parameter is newly required",
    ),
    "new parameter demanded": (
        lambda d: operation(d, "list_runs")["parameters"].append(
            {"name": "new", "in": "query", "required": True, "schema": {"type": "string"}}
        ),
        "query parameter new: the parameter is newly required",
    ),
    "parameter's enum": (
        lambda d: parameter(d, "get_run", "gradients")["schema"].update(enum=["all"]),
        "query parameter gradients: the value inputs is gone",
    ),
    "parameter's type": (
        lambda d: parameter(d, "list_runs", "label")["schema"].update(type="integer"),
        "query parameter label: the type string is gone",
    ),
    "body demanded": (
        lambda d: operation(d, "check_ready").update(requestBody={"required": True, "content": {}}),
        "GET /readyz: the body is newly required",
    ),
    "request's member": (
        lambda d: schema(d, "ComparisonRequest")["properties"].pop("names"),
        "body, names: the member is gone",
    ),
    "request's member demanded": (
        lambda d: schema(d, "ComparisonRequest")["required"].append("names"),
        "body, names: the member is newly required",
    ),
    "request's type": (
        lambda d: schema(d, "ComparisonRequest")["properties"]["tolerance"]["oneOf"].pop(),
        "body, tolerance: the type object is gone",
    ),
    "request's nullability": (
        lambda d: schema(d, "RunRequest")["properties"].update(label={"type": "string"}),
        "body, label: the type null is gone",
    ),
    "request's enum": (
        lambda d: schema(d, "Recorded")["properties"]["dtype"]["enum"].remove("float32"),
        "body, recorded, dtype: the value float32 is gone",
    ),
    "request's new enum": (
        lambda d: schema(d, "ComparisonRequest")["properties"]["baseline"].update(enum=["a"]),
        "body, baseline: the enum is new",
    ),
    "request's lower bound": (
        lambda d: schema(d, "GradientGraphRequest")["properties"]["wrt"].update(minItems=2),
        "body, wrt: minItems was 1 and is 2",
    ),
    "request's new bound": (
        lambda d: schema(d, "ComparisonRequest")["properties"]["baseline"].update(maxLength=36),
        "body, baseline: maxLength was None and is 36",
    ),
    "request's pattern": (
        lambda d: schema(d, "ComparisonRequest")["properties"]["baseline"].update(pattern="^a"),
        "body, baseline: pattern was None and is ^a",
    ),
    "request's members together": (
        lambda d: schema(d, "GradientGraphRequest").update(dependentRequired={"wrt": ["output"]}),
        "body: dependentRequired is not what it was",
    ),
    "request's repeated items": (
        lambda d: schema(d, "GradientGraphRequest")["properties"]["wrt"].update(uniqueItems=True),
        "body, wrt: uniqueItems is not what it was",
    ),
    "request's default": (
        lambda d: schema(d, "Recorded")["properties"]["dtype"].update(default="float32"),
        "body, recorded, dtype: the default was float64",
    ),
    "request's further members": (
        lambda d: schema(d, "ComparisonRequest")["properties"]["names"].update(additionalProperties=False),
        "body, names: additionalProperties are refused",
    ),
    "request's items": (
        lambda d: schema(d, "GradientGraphRequest")["properties"]["wrt"]["items"].update(type="integer"),
        "body, wrt, items: the type string is gone",
    ),
    "answer's member": (
        lambda d: schema(d, "RunDocument")["properties"].pop("graph_digest"),
        "graph_digest: the member is gone",
    ),
    "answer's promise": (
        lambda d: schema(d, "RunDocument")["required"].remove("graph_digest"),
        "graph_digest: the member is no longer promised",
    ),
    "answer's type": (
        lambda d: schema(d, "RunDocument")["properties"].update(graph_digest={"type": "integer"}),
        "graph_digest: the type integer is new in an answer",
    ),
    "answer's nullability": (
        lambda d: schema(d, "RunDocument")["properties"].update(graph_digest={"type": ["string", "null"]}),
        "graph_digest: the type null is new in an answer",
    ),
    "answer's enum": (
        lambda d: schema(d, "ComparisonDocument")["properties"]["verdict"]["enum"].remove("differ"),
        "verdict: the value differ is gone",
    ),
    "answer's format": (
        lambda d: schema(d, "RunDocument")["properties"]["created_at"].pop("format"),
        "created_at: format was date-time and is None",
    ),
    "answer's nested member": (
        lambda d: schema(d, "ProblemDocument")["properties"].pop("title"),
        "title: the member is gone",
    ),
}


@pytest.mark.parametrize(("mutate", "breach"), BREACHES.values(), ids=BREACHES.keys())
def test_a_breach_is_found(mutate: Mutation, breach: str) -> None:
    mutated = deepcopy(FIRST)
    mutate(mutated)
    found = find_breaches(FIRST, mutated)
    assert any(sentence.endswith(breach) for sentence in found), found


ADDITIONS: dict[str, Mutation] = {
    "path": lambda d: d["paths"].update({"/v1/jobs": {"get": {"operationId": "list_jobs", "responses": {}}}}),
    "status": lambda d: operation(d, "get_run")["responses"].update({"503": {"description": "Later"}}),
    "media type": lambda d: operation(d, "get_run")["responses"]["200"]["content"].update({"text/csv": {"schema": {}}}),
    "parameter": lambda d: operation(d, "list_runs")["parameters"].append(
        {"name": "new", "in": "query", "schema": {"type": "string"}}
    ),
    "request's member": lambda d: schema(d, "ComparisonRequest")["properties"].update(align={"type": "string"}),
    "request's type": lambda d: schema(d, "ComparisonRequest")["properties"].update(
        baseline={"oneOf": [{"type": "string"}, {"type": "object"}]}
    ),
    "request's enum": lambda d: schema(d, "Recorded")["properties"]["dtype"]["enum"].append("bfloat16"),
    "request's bound": lambda d: schema(d, "GradientGraphRequest")["properties"]["wrt"].pop("minItems"),
    "request's optional member": lambda d: schema(d, "ComparisonRequest")["required"].remove("candidate"),
    "answer's member": lambda d: schema(d, "ComparisonDocument")["properties"].update(arose={"type": "boolean"}),
    "answer's promise": lambda d: schema(d, "RunDocument")["required"].append("dtype"),
    "answer's enum": lambda d: schema(d, "RunDocument")["properties"]["source"]["enum"].append("imported"),
}


@pytest.mark.parametrize("mutate", ADDITIONS.values(), ids=ADDITIONS.keys())
def test_an_addition_is_no_breach(mutate: Mutation) -> None:
    mutated = deepcopy(FIRST)
    mutate(mutated)
    assert mutated != FIRST
    assert find_breaches(FIRST, mutated) == []


# What is deprecated: `deprecated: true` in the document, and a line under "### Deprecated" in CHANGELOG.md. Names are
# written as `GET /v1/runs`, `GET /v1/runs?label` and `RunDocument.label`.

MINOR_RELEASES_KEPT = 2


def deprecated(document: Any) -> set[str]:
    found = set()
    for path, methods in document["paths"].items():
        for method, each in methods.items():
            if method in METHODS:
                name = f"{method.upper()} {path}"
                found |= {name} if each.get("deprecated") else set()
                found |= {f"{name}?{p['name']}" for p in each.get("parameters", ()) if p.get("deprecated")}
    for name, each in document["components"]["schemas"].items():
        members = each.get("properties", {}).items()
        found |= {f"{name}.{member}" for member, inside in members if inside.get("deprecated")}
    return found


def announced(changelog: str, unreleased: str) -> dict[str, str]:
    """What is named as deprecated, each with the version that named it first."""
    found = {}
    for title, text in re.findall(r"(?ms)^## (\S+)$(.*?)(?=^## |\Z)", changelog):
        for section in re.findall(r"(?ms)^### Deprecated$(.*?)(?=^##|\Z)", text):
            names = re.findall(r"(?m)^- `([^`]+)`", section)
            found |= dict.fromkeys(names, unreleased if title == "Unreleased" else title)
    return found


def disagreements(document: Any, changelog: str, current: str) -> list[str]:
    marked, named = deprecated(document), announced(changelog, current)
    minor = int(current.split(".")[1])
    return [
        *(f"{name} is deprecated in openapi.yaml and not in CHANGELOG.md" for name in sorted(marked - named.keys())),
        *(
            f"{name} is deprecated in CHANGELOG.md and not in openapi.yaml"
            for name, since in named.items()
            if name not in marked and minor <= int(since.split(".")[1]) + MINOR_RELEASES_KEPT
        ),
    ]


def test_what_is_deprecated_is_announced_and_works_for_two_minor_releases() -> None:
    assert disagreements(DOCUMENT, CHANGELOG, version("gradbook")) == []


def with_deprecations() -> Any:
    document = deepcopy(FIRST)
    operation(document, "list_runs")["deprecated"] = True
    parameter(document, "list_runs", "label")["deprecated"] = True
    schema(document, "RunDocument")["properties"]["label"]["deprecated"] = True
    return document


NAMES = ("GET /v1/runs", "GET /v1/runs?label", "RunDocument.label")
ANNOUNCEMENT = "## {}\n\n### Added\n\n- `x`\n\n### Deprecated\n\n" + "".join(f"- `{name}`: use …\n" for name in NAMES)


def test_a_deprecation_is_announced_once_for_both() -> None:
    assert disagreements(with_deprecations(), ANNOUNCEMENT.format("Unreleased"), "0.2.0") == []


def test_a_deprecation_that_no_line_announces_is_found() -> None:
    found = disagreements(with_deprecations(), "## 0.1.0\n", "0.2.0")
    assert found == [f"{name} is deprecated in openapi.yaml and not in CHANGELOG.md" for name in NAMES]


@pytest.mark.parametrize(("current", "count"), [("0.2.0", 3), ("0.3.0", 3), ("0.4.0", 3), ("0.5.0", 0)])
def test_a_deprecation_is_kept_for_two_minor_releases(current: str, count: int) -> None:
    found = disagreements(FIRST, "## Unreleased\n\n" + ANNOUNCEMENT.format("0.2.0"), current)
    assert len(found) == count
