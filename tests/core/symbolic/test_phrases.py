"""Sentences with formulas: the plain text and the typeset one are of one source."""

import pickle
from xml.etree import ElementTree

import pytest

from service.core.symbolic.phrases import Part, Phrase, Sentence, formula, typed, typeset

X = typeset("x", "<mi>x</mi>")
TO_N = "<mrow><mi>n</mi><mo>−</mo><mn>1</mn></mrow>"
OVER = '<mo lspace="0" rspace="0">/</mo>'
OPEN, CLOSE = (f'<mo stretchy="false">{bracket}</mo>' for bracket in "()")


def test_an_f_string_keeps_the_formulas_of_its_phrases() -> None:
    said = Sentence(f"{Phrase(f'{X} < 2')} & {'so on'}.")
    assert said == "x < 2 & so on."
    assert said.parts == (Part("x", "<mi>x</mi>"), Part(" < 2 & so on."))
    assert said.mathml == "<math><mi>x</mi></math> &lt; 2 &amp; so on."


def test_a_finished_sentence_is_plain_wherever_it_is_put() -> None:
    said = Sentence(f"It is {X}.")
    assert f"{said}" == f"{said!s}" == "".join(["It is x."]) == said
    assert pickle.loads(pickle.dumps(said)).mathml == said.mathml


@pytest.mark.parametrize(
    ("line", "mathml"),
    [
        (f"n·{X}ⁿ⁻¹", f"<mi>n</mi><mo>·</mo><msup><mrow><mi>x</mi></mrow>{TO_N}</msup>"),
        (f"−1/{X}²", f"<mo>−</mo><mn>1</mn>{OVER}<msup><mrow><mi>x</mi></mrow><mrow><mn>2</mn></mrow></msup>"),
        ("sin(0.5) × 2", f"<mi>sin</mi>{OPEN}<mn>0.5</mn>{CLOSE}<mo>·</mo><mn>2</mn>"),
        ("a < Wᵀ", "<mi>a</mi><mo>&lt;</mo><msup><mi>W</mi><mrow><mo>⊤</mo></mrow></msup>"),
        (f"a ^ {X} @ b", "<msup><mi>a</mi><mrow><mrow><mi>x</mi></mrow></mrow></msup><mo>\u2062</mo><mi>b</mi>"),
        ("^2", "<msup><mrow></mrow><mrow><mn>2</mn></mrow></msup>"),
        ("²", "<msup><mrow></mrow><mrow><mn>2</mn></mrow></msup>"),
    ],
)
def test_a_formula_as_it_is_typed(line: str, mathml: str) -> None:
    made = formula(line)
    assert made.parts == (Part(Phrase(line), f"<mrow>{mathml}</mrow>"),)
    assert Sentence(f"so {typed(line)}!").parts == (Part("so "), *made.parts, Part("!"))
    ElementTree.fromstring(f"<p>{made.mathml}</p>")
