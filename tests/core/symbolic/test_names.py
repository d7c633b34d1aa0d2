"""Names typeset as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.symbolic.names import named
from service.core.symbolic.printing import write_latex, write_mathml, write_text


@pytest.mark.parametrize(
    ("name", "latex", "mathml"),
    [
        ("W2", "W_{2}", "<msub><mi>W</mi><mn>2</mn></msub>"),
        ("w_12", "w_{12}", "<msub><mi>w</mi><mn>12</mn></msub>"),
        ("W_h", "W_{h}", "<msub><mi>W</mi><mi>h</mi></msub>"),
        ("alpha", r"\alpha", "<mi>α</mi>"),
        ("lambda_1", r"\lambda_{1}", "<msub><mi>λ</mi><mn>1</mn></msub>"),
        ("epsilon", r"\varepsilon", "<mi>ε</mi>"),
        ("β0", r"\beta_{0}", "<msub><mi>β</mi><mn>0</mn></msub>"),
        ("w", "w", "<mi>w</mi>"),
        ("pi", r"\mathrm{pi}", "<mi>pi</mi>"),
        ("add_1", r"\mathrm{add\_1}", "<mi>add_1</mi>"),
        ("alphabet", r"\mathrm{alphabet}", "<mi>alphabet</mi>"),
        ("W2<", r"\mathrm{W2\text{<}}", "<mi>W2&lt;</mi>"),
    ],
)
def test_a_letter_with_an_index_and_a_greek_letter(name: str, latex: str, mathml: str) -> None:
    variable = named(name)
    assert (write_latex(variable), write_mathml(variable)) == (latex, mathml)
    assert write_text(variable).strip("`") == name


_PIECES = st.sampled_from(["W", "a", "alpha", "α", "_", "1", "₁", "2", "h"])


@given(st.sets(st.lists(_PIECES, min_size=1, max_size=4).map("".join), max_size=12))
def test_two_names_are_never_one_picture(names: set[str]) -> None:
    for write in (write_latex, write_mathml):
        pictures = {write(named(name, names)) for name in names}
        assert len(pictures) == len(names)


def test_a_name_that_another_would_look_like_stands_as_it_is_spelled() -> None:
    for names in (("W1", "W_1"), ("W1", "W₁"), ("alpha", "α"), ("alpha_1", "α1")):
        assert any(write_mathml(named(name, names)) == f"<mi>{name}</mi>" for name in names)
