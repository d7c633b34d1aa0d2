"""A file in pieces, for what writes files: an answer of any size is never in one place."""

import io
from typing import Any

_AT_ONCE = 256 * 1024  # bytes: copying keeps the interpreter's lock


class Pieces(io.RawIOBase):
    """A file that is written from its beginning to its end.

    What one call wrote can be written over, by one as long, as zipfile does with the header of each member.
    """

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self._begins: dict[int, int] = {}  # where each piece begins → its index
        self._end = self._here = 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """To the end, and to where a piece begins."""
        return True

    def tell(self) -> int:
        """Where the next piece goes."""
        return self._here

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place counted from the beginning."""
        assert whence == io.SEEK_SET
        self._here = offset
        return offset

    def write(self, data: Any) -> int:
        """Write any bytes, in pieces of at most 256 KiB."""
        view = memoryview(data).cast("B")
        for begin in range(0, len(view), _AT_ONCE):
            piece = bytes(view[begin : begin + _AT_ONCE])
            if self._here == self._end:
                self._begins[self._here] = len(self.pieces)
                self.pieces.append(piece)
                self._end += len(piece)
            else:
                index = self._begins[self._here]
                assert len(piece) == len(self.pieces[index])
                self.pieces[index] = piece
            self._here += len(piece)
        return len(view)
