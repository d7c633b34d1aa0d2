"""A mistake of the table of slips, which `students_slips.py` and `porting_slips.py` make up.

The wrong figures are computed by NumPy, as the mistaken person or program would.
"""

from typing import Any, NamedTuple


class Mistake(NamedTuple):
    """A mistake at one node's value ("values") or gradient ("gradients"); `names` are the hypotheses that name it."""

    what: str
    text: str
    inputs: dict[str, Any]
    kind: str
    node: str
    wrong: Any
    names: str


V, G = "values", "gradients"
