"""One name for one operation: the operationId names the view, the use case, the client's method and the command.

`tests/api/http/test_openapi.py` holds the views.
"""

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click

import service.usecases
from service.cli.main import gradbook
from service.client import Client
from tests.api.conftest import read_openapi

DOCUMENT = read_openapi((Path(__file__).parents[1] / "openapi.yaml").read_text(encoding="utf-8"))
OPERATIONS = {
    operation["operationId"]
    for methods in DOCUMENT["paths"].values()
    for operation in methods.values()
    if "operationId" in operation
}
METHODS = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}

WITHOUT_A_USE_CASE = {
    # They show what the code holds, without the database.
    *("list_operations", "get_operation", "list_limits", "check_alive", "check_ready", "get_metrics", "get_openapi"),
    # They draw what the use cases get_graph, get_run, get_comparison and load_points return.
    *("get_graph_picture", "get_run_picture", "get_comparison_picture", "draw_sweep"),
    "list_comparison_nodes",  # a part of what get_comparison returns
    # list_runs and list_comparisons, of one graph
    *("list_graph_runs", "list_graph_comparisons", "list_checks"),
    "get_origin_reproduction",  # get_reproduction of one origin
}
METHODS_ALONE = {
    "close",  # closes the connections
    "get_sweep_columns",  # reads list_sweep_points as .npz
    "import_graph",  # posts an ONNX model to create_graph
    "record_run",  # posts to create_run, with the member `recorded`
}
# Commands that use several methods.
COMMANDS_OF_SEVERAL = {
    "derive": {"get_formula", "create_gradient_graph"},
    "explain": {"list_steps", "list_paths"},
    "gate": {"get_run", "create_graph", "record_run", "create_comparison", "list_comparison_nodes"},
    "import_run": {"create_graph", "record_run"},
    "import_series": {"create_graph", "create_gradient_graph", "add_nodes", "create_series", "add_steps"},
    "marks": {"list_runs", "list_comparisons", "get_comparison"},
    "picture": {"get_graph_picture", "get_run_picture", "get_comparison_picture"},
}


def test_every_operation_is_a_method_of_the_client_and_every_method_an_operation() -> None:
    assert METHODS - OPERATIONS == METHODS_ALONE
    # list_runs and list_comparisons with graph=…, get_reproduction with a phase and a node
    assert {"list_graph_runs", "list_graph_comparisons", "get_origin_reproduction"} == OPERATIONS - METHODS


def test_every_operation_is_a_use_case() -> None:
    modules = [
        import_module(f"service.usecases.{each.name}") for each in pkgutil.iter_modules(service.usecases.__path__)
    ]
    functions = {name for module in modules for name, _ in inspect.getmembers(module, inspect.isfunction)}
    assert OPERATIONS - functions == WITHOUT_A_USE_CASE


def commands(group: click.Group) -> Iterator[click.Command]:
    context = click.Context(group)
    for command in filter(None, (group.get_command(context, name) for name in group.list_commands(context))):
        if isinstance(command, click.Group):
            yield from commands(command)
        else:
            yield command


def test_every_command_that_calls_the_service_is_a_method_of_the_client() -> None:
    calling = [command for command in commands(gradbook) if any(option.name == "url" for option in command.params)]
    names = {command.callback.__name__ for command in calling if command.callback}
    assert len(names) == len(calling) > 10
    assert names - METHODS == set(COMMANDS_OF_SEVERAL)
    assert set().union(*COMMANDS_OF_SEVERAL.values()) <= METHODS
