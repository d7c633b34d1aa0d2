"""What can be called under a name takes: an operation, one composed of others, or a stored graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.core.rulebook.attribute import Attribute


@dataclass(frozen=True, slots=True, eq=False)
class Signature:
    """A name with its operands, of which the last `optional` may be left out, and its attributes.

    If `variadic`, there may be any number of operands.
    """

    name: str
    operands: tuple[str, ...]
    optional: int
    variadic: bool
    attributes: tuple[Attribute, ...]

    @property
    def least_inputs(self) -> int:
        """The least number of inputs."""
        return len(self.operands) - self.optional

    @property
    def most_inputs(self) -> int | None:
        """The greatest number of inputs; None where there is no bound."""
        return None if self.variadic else len(self.operands)

    def form(self, called: str, as_numpy: bool = False) -> str:
        """How it is called under one of its names, with the defaults of the attributes: elu(x, alpha=1.0).

        `as_numpy` gives the attributes the names and the defaults that they have under NumPy's names.
        """
        taken: list[Any] = [*self.operands, *(["…"] if self.most_inputs is None else [])]
        for each in self.attributes:
            name, default = each.numpy if each.numpy and as_numpy else (each.name, each.default)
            taken.append(name if each.required else f"{name}={default!r}")
        return f"{called}({', '.join(taken)})"


def read_operands(written: str) -> Sequence[str]:
    """The names of operands that are written parted by blanks: `bias?` may be left out, `*x` is any number."""
    return [operand.removesuffix(":int").strip("*?") for operand in written.split()]
