"""What rounding to a precision may do to the output of a run."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from service.client.figures import Document
from service.client.results.result import Result, Row, Table


@dataclass(frozen=True, slots=True)
class RoundedNode(Result):
    """What the rounding of one node's figure alone does to the output: its `likely` and `greatest` absolute errors.

    `share` is its part in the square of the likely error of all; `amplification` says how many times greater its
    relative error is than those that arrive in it, None where none does.
    """

    name: str
    operation: str
    likely: float
    greatest: float
    share: float
    amplification: float | None


@dataclass(frozen=True, slots=True)
class Rounding(Table):
    """What rounding every figure of a run to `dtype` may do to `value`, the sum of seed × output: absolute errors.

    `amplifier` is the node that amplifies relative errors most, None if none does much; `keep` are the fewest nodes
    without whose rounding the likely error is within the dtype's tolerance; `nodes` are those whose rounding does most.
    As a table it lists these.
    """

    dtype: str
    output: str
    value: float
    likely: float
    greatest: float
    sentence: str
    amplifier: str | None
    keep: tuple[str, ...]
    overflows: tuple[str, ...]
    nodes: tuple[RoundedNode, ...] = field(repr=False)
    document: Document = field(repr=False, compare=False)

    def _shown_rows(self) -> Iterable[Row]:
        return map(dict, self.nodes)


def read_rounding(document: Document) -> Rounding:
    """Read what rounding may do."""
    amplifier = document["amplifier"]
    return Rounding(
        dtype=document["dtype"],
        output=document["output"],
        value=float(document["value"]),
        likely=float(document["likely"]["absolute"]),
        greatest=float(document["greatest"]["absolute"]),
        sentence=document["sentence"],
        amplifier=None if amplifier is None else amplifier["node"],
        keep=tuple(document["keep"]["nodes"]),
        overflows=tuple(document["overflows"]),
        nodes=tuple(map(_read_node, document["nodes"])),
        document=document,
    )


def _read_node(document: Document) -> RoundedNode:
    factor = document["amplification"]
    return RoundedNode(
        name=document["name"],
        operation=document["operation"],
        likely=float(document["likely"]),
        greatest=float(document["greatest"]),
        share=float(document["share"]),
        amplification=None if factor is None else float(factor),
    )
