"""Attribute values that an operation accepts, read from the registry, as hypothesis strategies."""

import math
from typing import Any

from hypothesis import strategies as st

from service.core.rulebook.attribute import Attribute, OneOf
from service.core.rulebook.operation import Operation

# In JSON's types; every attribute takes some of them.
CANDIDATES = [
    *(2, -3, 0.1, -0.0, 5e-324, 1.7976931348623157e308, "NaN", "Infinity", "-Infinity"),
    *(0, 1, True, [1, 0], [2], [], "same", "i,i->i"),
]
NUMBERS = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1.0, -2.0, 1e16, 1e22, 5e-324, math.inf, -math.inf]))


def accepts(attribute: Attribute, value: object) -> bool:
    """Whether the attribute's reader accepts the value."""
    try:
        attribute.read(value)
    except ValueError:
        return False
    return True


def values(attribute: Attribute) -> st.SearchStrategy[Any]:
    """A strategy for values that the attribute accepts: words, numbers, or some of the CANDIDATES."""
    if isinstance(attribute.read, OneOf):
        return st.sampled_from(attribute.read.words)
    some = st.sampled_from([value for value in CANDIDATES if accepts(attribute, value)])
    return NUMBERS.filter(lambda value: accepts(attribute, value)) | some if accepts(attribute, 0.5) else some


@st.composite
def given_attributes(draw: st.DrawFn, operation: Operation) -> dict[str, Any]:
    """The required attributes of an operation, and any others, as a document gives them."""
    return {
        attribute.name: draw(values(attribute))
        for attribute in operation.attributes
        if attribute.required or draw(st.booleans())
    }
