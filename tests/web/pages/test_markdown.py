"""Documents as pages."""

import re

import pytest

from service.web.pages.markdown import Document, render


def rendered(text: str) -> Document:
    return render(f"# A `title`\n\n{text}", {"comparing": "/below/guide/comparing"}.get)


def test_a_document_has_a_title_a_summary_and_sections() -> None:
    document = rendered("What it\nis *for*.\n\n## From the file of Gradbook 0.1\n\n## Keys\n\n### Deeper\n\n## Keys\n")
    assert (document.title, document.summary) == ("A title", "What it is for.")
    assert document.sections == (
        ("from-the-file-of-gradbook-01", "From the file of Gradbook 0.1"),
        ("keys", "Keys"),
        ("keys-1", "Keys"),
    )
    assert '<h3 id="deeper">Deeper</h3>' in document.html
    assert "<h1" not in document.html


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("comparing.md", "/below/guide/comparing"),
        ("comparing.md#keys", "/below/guide/comparing#keys"),
        ("#keys", "#keys"),
        ("https://books.example/", "https://books.example/"),
        ("missing.md", None),
        ("../SECURITY.md", None),
        ("report.xml", None),
    ],
)
def test_links_lead_to_pages(link: str, target: str | None) -> None:
    html = rendered(f"See [the *other*]({link}).").html
    assert re.findall(r'href="(.*?)"', html) == ([target] if target else [])
    assert "the <em>other</em>" in html and html.count("<a") == html.count("</a>")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a <b onclick=x>b</b>",
        "[x](javascript:alert(1))",
        "![x](https://books.example/x.png)",
    ],
)
def test_nothing_comes_from_elsewhere(text: str) -> None:
    html = rendered(text).html
    assert not re.search(r"<(script|b|img|a)\b", html)
    assert "x" in html or "alert" in html


def test_tables_and_code_scroll_by_keyboard_and_have_no_style_within() -> None:
    html = rendered("| a | b |\n|---|--:|\n| 1 | 2 |\n\n```console\n$ x < y &&\n> z\nw\n```\n").html
    assert html.count('tabindex="0"') == 2
    assert "style" not in html
    prompt = '<span class="prompt">{}</span>'.format
    assert f"{prompt('$ ')}<b>x &lt; y &amp;&amp;</b>\n{prompt('&gt; ')}<b>z</b>\nw\n" in html  # prompts are not copied
