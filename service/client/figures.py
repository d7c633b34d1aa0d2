"""Figures in the service's documents, and as NumPy has them.

Here as in all of the client NumPy is imported where the first figure is read: a command that lists ids needs none.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Figure: TypeAlias = np.float64 | NDArray[np.float64]
else:
    Figure = Any

Document: TypeAlias = Mapping[str, Any]


def read_figure(document: Any, shape: tuple[int, ...] | None = None) -> Figure | None:
    """Read a figure: np.float64 for a scalar, else an array; NumPy parses NaN, Infinity and -Infinity.

    `shape` is that of a figure without elements, of which lists do not tell. None for null, and for a tensor, which
    stands in place of its numbers.
    """
    if document is None or isinstance(document, dict):
        return None
    import numpy as np

    array = np.array(document, dtype=np.float64)
    figure: Figure = array.reshape(array.shape if array.size or shape is None else shape)[()]
    return figure


class ReadLater:
    """A member of a result, given as the service wrote it, that is read as a figure whenever it is asked for."""

    def __init__(self, slot: Any) -> None:
        self._slot = slot

    def __set__(self, result: Any, document: Any) -> None:
        self._slot.__set__(result, document)

    def __get__(self, result: Any, kind: type | None = None) -> Figure | None:
        return read_figure(self._slot.__get__(result, kind))


class ReadFigures(Mapping[str, Figure | None]):
    """Figures by name, each of which is read when it is asked for; none from null.

    `whole` holds those that the document leaves out.
    """

    def __init__(self, document: Document | None, whole: Mapping[str, Figure | None] | None = None) -> None:
        self._document = document or {}
        self._read = {name: figure for name, figure in (whole or {}).items() if self._document.get(name, self) is None}

    def __getitem__(self, name: str) -> Figure | None:
        if name not in self._read:
            self._read[name] = read_figure(self._document[name])
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._document)

    def __len__(self) -> int:
        return len(self._document)

    def __repr__(self) -> str:
        return repr(dict(self))
