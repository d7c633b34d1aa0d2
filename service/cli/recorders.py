"""The commands `record torch` and `record jax`, which need their framework here and no service."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from service.recorders.recording import NotDifferentiable, Recording


@click.group("record")
def record() -> None:
    """Record what a program computes as a file, for `run import` and `gate`."""


def _recording_command(command: Callable[..., None]) -> Callable[..., None]:
    for decorate in (
        click.option("--source", is_flag=True, help="Also record which line of the program computed each node."),
        click.option(
            "-o",
            "--output",
            type=click.Path(dir_okay=False),
            help="The file; left out, the model's or function's name with .npz.",
        ),
        click.argument("build", metavar="MODULE:FUNCTION"),
    ):
        command = decorate(command)
    return command


@record.command("torch")
@_recording_command
def record_torch(build: str, output: str | None, source: bool) -> None:
    """Record the PyTorch model that MODULE:FUNCTION returns, as (model, arguments) for the gradients of its scalar
    result, or as (model, arguments, loss) for those of loss(result)."""
    made = _call(build)
    if not isinstance(made, tuple) or len(made) not in (2, 3):
        raise click.UsageError(f"{build} is to return (model, arguments) or (model, arguments, loss)")
    _record("torch", build, made, source, output)


@record.command("jax")
@_recording_command
def record_jax(build: str, output: str | None, source: bool) -> None:
    """Record the function of JAX that MODULE:FUNCTION returns, as (function, arguments), with the gradients of its
    scalar result."""
    made = _call(build)
    if not isinstance(made, tuple) or len(made) != 2:
        raise click.UsageError(f"{build} is to return (function, arguments)")
    function, arguments = made
    if not isinstance(arguments, tuple | list):
        raise click.UsageError(f"{build} is to return its arguments as a tuple")
    _record("jax", build, (function, *arguments), source, output)


def _record(framework: str, build: str, made: Sequence[Any], source: bool, output: str | None) -> None:
    try:
        recording = _recorder(framework)(*made, source=source)
    except NotDifferentiable as error:
        raise click.UsageError(f"{build}: {error}") from error
    _save(recording, output)


def _recorder(framework: str) -> Any:
    try:
        return import_module(f"service.recorders.{framework}").record
    except ModuleNotFoundError as error:
        raise click.UsageError(f"{error.name} is not installed here: {sys.executable}") from error


def _call(build: str) -> Any:
    """What the function returns; its module is looked for in the working directory first."""
    module, _, name = build.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        function = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise click.UsageError(f"{build} is no function: {error}") from error
    if not callable(function):
        raise click.UsageError(f"{build} is no function")
    return function()


def _save(recording: Recording, output: str | None) -> None:
    path = Path(output or f"{recording.name}.npz")
    recording.save(path)
    click.echo(path)
    for note in recording.notes:
        click.echo(note, err=True)
