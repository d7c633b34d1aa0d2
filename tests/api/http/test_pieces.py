"""A file in pieces is the file that it would be in one piece."""

import io
import zipfile
from typing import IO, Any

import numpy as np

from service.api.http.npz import write_members
from service.api.http.pieces import Pieces


def archive(file: Any, contents: list[bytes]) -> None:
    """An archive of several members, some written in parts."""
    with zipfile.ZipFile(file, "w") as written:
        for number, content in enumerate(contents):
            with written.open(zipfile.ZipInfo(f"{number}"), "w") as member:
                for begin in range(0, len(content), 300_000):
                    member.write(content[begin : begin + 300_000])


def test_an_archive_in_pieces_has_the_same_bytes() -> None:
    contents = [b"", b"short", np.random.default_rng(1).bytes(1_000_000), b"\0" * 300_001]
    written, whole = Pieces(), io.BytesIO()
    archive(written, contents)
    archive(whole, contents)
    assert b"".join(written.pieces) == whole.getvalue()
    assert max(map(len, written.pieces)) <= 256 * 1024


def test_an_npz_is_read_by_numpy_and_has_short_pieces() -> None:
    figures, count = np.random.default_rng(2).standard_normal(100_000), np.arange(70_000)
    members = {"none": np.zeros(0), "values": figures, "offsets": count, "names": np.array("x\ny")}
    pieces = write_members(members)
    file: IO[bytes] = io.BytesIO(b"".join(pieces))
    with np.load(file, allow_pickle=False) as read:
        assert list(read) == list(members)
        for name, array in members.items():
            assert read[name].dtype == array.dtype and (read[name] == array).all()
    assert max(map(len, pieces)) <= 256 * 1024 and pieces == write_members(members)
