"""The public face: `gradbook` (the folder service/public, installed under that name) and `service.client`."""

import ast
import inspect
from pathlib import Path
from types import ModuleType

import pytest

import service.client
import service.public
from service.client import ClientError, JobCancelled, JobFailed, Problem, ServiceUnavailable

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("face", [service.client, service.public], ids=["service.client", "gradbook"])
def test_the_public_names_are_listed_and_documented(face: ModuleType) -> None:
    members = inspect.getmembers(face, lambda member: not inspect.ismodule(member))
    assert face.__all__ == sorted(name for name, _ in members if not name.startswith("_"))
    assert face.__all__ == service.client.__all__
    for name in face.__all__:
        public = getattr(face, name)
        assert inspect.isclass(public) or inspect.isfunction(public)
        # A dataclass without a docstring gets its signature for one.
        assert (inspect.getdoc(public) or "").strip() and not str(public.__doc__).startswith(f"{name}("), name


def test_every_public_method_of_the_client_is_documented() -> None:
    methods = [member for name, member in inspect.getmembers(service.client.Client) if not name.startswith("_")]
    assert len(methods) > 30
    assert [method for method in methods if not inspect.getdoc(method)] == []


def test_what_the_client_answers_with_is_public() -> None:
    hints = {
        node.id
        for path in sorted((ROOT / "service/client/methods").glob("*.py"))
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef) and not function.name.startswith("_") and function.returns
        for node in ast.walk(function.returns)
        if isinstance(node, ast.Name)
    }
    builtin = {"str", "bytes", "tuple", "dict"}
    assert hints - builtin - {"Iterator", "Document", "Any"} - set(service.client.__all__) == set()


def test_the_exceptions_are_the_tree_that_is_drawn() -> None:
    drawn = str(inspect.getmodule(service.client.Client).__doc__)
    assert ClientError.__subclasses__() == [ServiceUnavailable, Problem, JobCancelled]
    assert Problem.__subclasses__() == [JobFailed]
    tree = (ClientError, Problem, JobFailed, JobCancelled, ServiceUnavailable)
    assert [each.__name__ for each in tree if each.__name__ not in drawn] == []


@pytest.mark.parametrize("folder", ["service", "service/public"])
def test_the_packages_are_marked_as_typed(folder: str) -> None:
    assert (ROOT / folder / "py.typed").read_bytes() == b""
