"""An .npz of ours: a document in JSON beside one .npy for each array."""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

# What reading a damaged .npz raises.
DAMAGED = (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, EOFError, OSError)
_EPOCH = (1980, 1, 1, 0, 0, 0)  # so that equal recordings are equal files


class NotARecording(ValueError):
    """What was read is no recording; the message says why."""


def write_archive(path: str | Path, name: str, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write a file whose member `name` is the document and NAME.npy the array NAME."""
    with zipfile.ZipFile(path, "w") as archive:
        written = json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
        archive.writestr(zipfile.ZipInfo(name, _EPOCH), written, zipfile.ZIP_DEFLATED)
        for each, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{each}.npy", _EPOCH), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def read_archive(
    content: bytes, name: str, members: Mapping[str, tuple[type, ...]], declared: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document `name` of a file that `write_archive` wrote, and its arrays by the names of their members.

    The document has these members of these types and says what is declared, its format and its version. Raises
    NotARecording for anything else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            if name not in entries:
                raise NotARecording(f"it has no member {name}")
            document = _read_document(name, archive.read(entries.pop(name)), members, declared)
            arrays = {each: _read_array(each, archive.read(entry)) for each, entry in entries.items()}
    except NotARecording:
        raise
    except DAMAGED as error:
        raise NotARecording(f"it is no whole .npz: {error}") from error
    return document, arrays


def has_member(path: str | Path, name: str) -> bool:
    """Whether a file is an .npz with that member. Raises OSError if there is none."""
    with Path(path).open("rb") as file:
        try:
            return name in zipfile.ZipFile(file).namelist()
        except DAMAGED:
            return False


def _read_document(
    name: str, content: bytes, members: Mapping[str, tuple[type, ...]], declared: Mapping[str, Any]
) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise NotARecording(f"{name} is no JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != declared["format"]:
        raise NotARecording(f'{name} does not say "format": "{declared["format"]}"')
    if document.get("version") != declared["version"]:
        raise NotARecording(f"it is of version {document.get('version')}; version {declared['version']} is read")
    if missing := members.keys() - document.keys():
        raise NotARecording(f"{name} lacks {', '.join(sorted(missing))}")
    if unknown := document.keys() - members.keys() - declared.keys():
        raise NotARecording(f"{name} has unknown members: {', '.join(sorted(unknown))}")
    for member, types in members.items():
        if not isinstance(document[member], types):
            raise NotARecording(f"{name} has {member} of the wrong type")
    return document


def _read_array(member: str, content: bytes) -> Any:
    """The array of one .npy; raises NotARecording for anything but real numbers."""
    try:
        array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except ValueError as error:
        raise NotARecording(f"{member} is no .npy of numbers: {error}") from error
    if array.dtype.kind not in "biuf":
        raise NotARecording(f"{member} holds {array.dtype}, not real numbers")
    return array
