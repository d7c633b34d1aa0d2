"""An origin as the text of an issue, in Markdown: what is wrong, the script that shows it, and where it comes from."""

import re

from service.core.figures.text import exact_text
from service.core.reproduction.smallest import Smallest

_SPECIAL = re.compile(r"[\\`*_{}\[\]<>&$|~#@]")
_TITLES = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX"}


def write_issue(small: Smallest, sentence: str, source: str, script: str, language: str) -> str:
    """Write an issue about an origin; `source` says where it comes from, in a sentence."""
    longest = max(map(len, re.findall(r"`+", script)), default=0)
    fence = "`" * max(3, longest + 1)
    figures = ""
    if not small.right.ndim and not small.recorded.ndim:
        right, recorded = (exact_text(float(each)) for each in (small.right, small.recorded))
        figures = f"- right: {right}\n- recorded: {recorded}\n\n"
    shown = f"To be seen with {_TITLES[language]} alone:"
    return f"{_escape(sentence)}\n\n{figures}{shown}\n\n{fence}python\n{script}{fence}\n\n{_escape(source)}\n"


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)
