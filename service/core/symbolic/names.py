"""Names as people typeset them: W2 and W_2 as W with the index 2, alpha as α; in LaTeX and MathML alone.

Two names of a graph are never one picture: where another name would be typeset alike, each stands as it is spelled.
"""

import re
from collections.abc import Container
from html import escape

from service.core.symbolic.term import Variable

_GREEK = {
    **dict(alpha="α", beta="β", gamma="γ", delta="δ", epsilon="ε", zeta="ζ", eta="η", theta="θ", iota="ι", kappa="κ"),
    **dict(mu="μ", nu="ν", xi="ξ", rho="ρ", sigma="σ", tau="τ", upsilon="υ", phi="φ", chi="χ", psi="ψ", omega="ω"),
    **dict(Gamma="Γ", Delta="Δ", Theta="Θ", Lambda="Λ", Xi="Ξ", Sigma="Σ", Upsilon="Υ", Phi="Φ", Psi="Ψ", Omega="Ω"),
    "lambda": "λ",
}  # pi is a number
_SPELLED = {letter: word for word, letter in _GREEK.items()}
_VARIANTS = {"epsilon": "varepsilon", "phi": "varphi"}  # LaTeX's names of the letters above
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_INDEXED = re.compile(rf"([A-Za-zΑ-Ωα-ω]|{'|'.join(_GREEK)})(?:_?([0-9]+)|_([A-Za-z]))?")


def named(name: str, taken: Container[str] = ()) -> Variable:
    """Return a variable of that name, typeset as people do unless one of the `taken` names would look the same."""
    found = _INDEXED.fullmatch(name)
    if found is None:
        return Variable(name)
    stem, number, letter = found.groups()
    index, symbol = number or letter or "", _GREEK.get(stem, stem)
    if symbol == name or any(other != name and other in taken for other in _alike(symbol, index)):
        return Variable(name)
    word = _SPELLED.get(symbol)
    latex = rf"\{_VARIANTS.get(word, word)}" if word else symbol
    mathml = f"<mi>{escape(symbol)}</mi>"
    if not index:
        return Variable(name, latex, mathml=mathml)
    below = f"<mn>{index}</mn>" if number else f"<mi>{index}</mi>"
    return Variable(name, f"{latex}_{{{index}}}", mathml=f"<msub>{mathml}{below}</msub>")


def _alike(symbol: str, index: str) -> list[str]:
    """Every name that may look like a symbol with an index."""
    indices = (index, f"_{index}", index.translate(_SUBSCRIPTS)) if index else ("",)
    return [f"{stem}{each}" for stem in {symbol, _SPELLED.get(symbol, symbol)} for each in indices]
