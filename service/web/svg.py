"""SVG as text: elements, their attributes and text escaped, and numbers as short as a picture needs."""

import re

Markup = str  # what `element` and `text_element` return, and nothing else

# What may not stand in XML as it is: its own signs, and two characters that a node's name may have.
_FORBIDDEN = re.compile('[&<>"\ufffe\uffff]')
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def element(tag: str, *children: Markup, **attributes: str | float) -> Markup:
    """Write an element; in an attribute's name _ stands for -, and a trailing _ is dropped (`class_`)."""
    parts = ["<", tag]
    for name, value in attributes.items():
        written = _escaped(value) if isinstance(value, str) else number(value)
        parts += " ", name.rstrip("_").replace("_", "-"), '="', written, '"'
    return "".join([*parts, ">", *children, "</", tag, ">"] if children else [*parts, "/>"])


def text_element(tag: str, text: str, *children: Markup, **attributes: str | float) -> Markup:
    """Write an element with a text before its children."""
    return element(tag, _escaped(text), *children, **attributes)


def number(value: float) -> str:
    """Write a number to a tenth of a unit."""
    return f"{value:.1f}".removesuffix(".0")


def _escaped(text: str) -> str:
    return _FORBIDDEN.sub(lambda found: _ESCAPES.get(found[0], "\ufffd"), text)
