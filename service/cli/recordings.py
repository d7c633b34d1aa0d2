"""The commands `run import` and `run record`, and the files that they and `gate` read."""

from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import click
import numpy as np

from service.cli.terminal import client_options, key_option, print_json, read_tags, tags_option
from service.cli.waiting import connect
from service.recorders.archive import DAMAGED, NotARecording
from service.recorders.recording import DTYPES, Recording, is_recording

_KINDS = ("inputs", "values", "gradients")
file_argument = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.command("import")
@file_argument
@click.option("--name", help="The graph's name; left out, the recording's own.")
@click.option("--label", help="A label to find the run by.")
@tags_option
@client_options
def import_run(file: Path, name: str | None, label: str | None, tags: tuple[str, ...], url: str, as_json: bool) -> None:
    """Store a recording's graph and its run: an .npz FILE that `gradbook record` or `Recording.save` wrote."""
    recording, given = read_recording(file), read_tags(tags)
    with connect(url) as service:
        run = recording.upload(service, name=name, label=label, tags=given)
    print_json(run.document) if as_json else click.echo(run.id)


@click.command("record")
@click.argument("graph")
@file_argument
@click.option("--by", required=True, help="Who computed the figures.")
@click.option("--dtype", type=click.Choice(DTYPES), default="float64", show_default=True)
@click.option("--output", help="The node that the gradients are of, if the graph has several outputs.")
@click.option("--label", help="A label to find the run by.")
@key_option
@client_options
def record_run(
    graph: str,
    file: Path,
    by: str,
    dtype: str,
    output: str | None,
    label: str | None,
    key: str | None,
    url: str,
    as_json: bool,
) -> None:
    """Store the figures that another program computed: an .npz FILE of values/NAME, gradients/NAME and inputs/NAME."""
    read = read_figures(file)
    with connect(url) as service:
        run = service.record_run(
            graph,
            by=by,
            dtype=dtype,
            inputs=read.inputs,
            values=read.values,
            gradients=read.gradients,
            output=output,
            label=label,
            key=key,
        )
    print_json(run.document) if as_json else click.echo(run.id)


def read_recording(file: Path) -> Recording:
    """Read a recording, and say on standard error what it lacks; raises click.UsageError."""
    try:
        recording = Recording.load(file)
    except NotARecording as error:
        raise click.UsageError(f"{file} is not a recording: {error}") from None
    for lacking in recording.unmapped:
        click.echo(f"not recorded: {lacking['operation']} ({lacking['why']})", err=True)
    return recording


def read_recording_or_figures(file: Path) -> Recording:
    """Read a recording or, without nodes, the figures of another graph; raises click.UsageError."""
    return read_recording(file) if is_recording(file) else read_figures(file)


def read_npz(file: Path) -> dict[str, Any]:
    """Read an .npz of arrays of real numbers, by the names of its members; raises click.UsageError."""
    if not is_zipfile(file):
        raise click.UsageError(f"{file}: not an .npz file")
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as members:
            arrays = {name: members[name] for name in members.files}
    except DAMAGED as error:
        raise click.UsageError(f"{file}: not an .npz file: {error}") from None
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise click.UsageError(f"{file}: {name} holds {array.dtype}, not real numbers")
    return arrays


def read_figures(file: Path) -> Recording:
    """Read an .npz of values/NAME, gradients/NAME and inputs/NAME, by the file's name; raises click.UsageError."""
    figures: dict[str, dict[str, Any]] = {kind: {} for kind in _KINDS}
    for member, array in read_npz(file).items():
        kind, _, name = member.partition("/")
        if kind not in figures or not name:
            raise click.UsageError(f"{file}: {member!r} is not values/NAME, gradients/NAME or inputs/NAME")
        figures[kind][name] = array
    computed = {**figures["gradients"], **figures["values"]}
    dtypes = {name: str(array.dtype) for name, array in computed.items() if str(array.dtype) in DTYPES}
    return Recording(
        inputs=figures["inputs"],
        values=figures["values"],
        gradients=figures["gradients"],
        dtypes=dtypes,
        by=file.name,
    )
