"""CONTRIBUTING.md names files that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_page_on_adding_an_operation_names_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("### Add an operation")[2].partition("\n### ")[0]
    named = set(re.findall(r"`((?:service|tests)/[\w/]+(?:\.py|/)?)`", text))
    assert len(named) > 10
    assert not [path for path in sorted(named) if not (ROOT / path).exists()]
