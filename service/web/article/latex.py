"""Write an article as a LaTeX document."""

from service.core.explanation.article import Article, Displayed, Drawing, Heading, Sentence
from service.core.symbolic.equation import Formula

_PREAMBLE = r"""% pdflatex compiles this; where names are not ASCII, lualatex or xelatex
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{amsmath}
\begin{document}
"""
_BLANK = r"\underline{\hspace{6em}}"
_SECTIONS = {2: "section", 3: "subsection"}
_SIDES = {"=": "= ", "≈": r"\approx "}
_LONGEST_LINE = 160  # characters of an equation on one line
_SIGNS = {
    **{sign: rf"\{sign}" for sign in "{}_%&#$"},
    **{"\\": r"\textbackslash{}", "^": r"\^{}", "~": r"\~{}", "<": r"\textless{}", ">": r"\textgreater{}"},
    **{"−": "$-$", "∞": r"$\infty$", "∂": r"$\partial$", "×": r"$\times$", "÷": r"$\div$", "·": r"$\cdot$"},
    **{"“": "``", "”": "''", "…": r"\dots{}", "²": "$^2$", "|": r"\textbar{}"},
}


def write_latex(article: Article) -> str:
    """Write an article as a whole document, without its picture."""
    parts = [rf"\section*{{{_escape(article.title)}}}", *([f"Name: {_BLANK}"] if article.blanks else [])]
    for block in article.blocks:
        match block:
            case Heading(level, sentence):
                parts.append(rf"\{_SECTIONS[level]}*{{{_sentence(sentence)}}}")
            case Displayed(formula, blank):
                parts.append(_displayed(formula, bool(blank)))
            case Drawing():
                pass
            case _:
                parts.append(_sentence(block.sentence))
    return _PREAMBLE + "\n\n".join(parts) + "\n\\end{document}\n"


def _displayed(formula: Formula, unfinished: bool) -> str:
    blank = [f"= {_BLANK}"] if unfinished else []
    if len(formula.latex) <= _LONGEST_LINE:
        return rf"\[ {' '.join([formula.latex, *blank])} \]"
    sides = [Formula(formula.first).latex, *(_SIDES[sign] + Formula(term).latex for sign, term in formula.others)]
    lines = " \\\\\n  & ".join([*sides, *blank])
    return f"\\begin{{align*}}\n  & {lines}\n\\end{{align*}}"


def _sentence(sentence: Sentence) -> str:
    return "".join(_escape(part) if isinstance(part, str) else f"${part.latex}$" for part in sentence).strip()


def _escape(text: str) -> str:
    return "".join(_SIGNS.get(sign, sign) for sign in text)
