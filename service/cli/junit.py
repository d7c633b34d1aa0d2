"""A comparison as JUnit XML, which CI systems read: one test case for each figure."""

from collections.abc import Container, Iterable, Mapping
from typing import Any
from xml.etree import ElementTree


def write_junit(
    comparison: Mapping[str, Any],
    figures: Iterable[Mapping[str, Any]],
    require_all: bool,
    failing: Container[str],
    sentences: Mapping[tuple[str, str], str],
) -> str:
    """Write JUnit XML.

    An origin fails with its sentence; an inherited figure fails too, and says so. A missing figure is skipped, or fails
    if all are required. `failing` are the verdicts that fail, `sentences` those of the origins by phase and node.
    """
    suite = ElementTree.Element("testsuite", name="gradbook compare", timestamp=comparison["created_at"])
    failures = skipped = 0
    for figure in figures:
        name, phase = _xml_text(figure["name"]), figure["phase"]
        case = ElementTree.SubElement(suite, "testcase", classname=f"gradbook.{phase}", name=name)
        if figure["verdict"] in failing:
            failures += 1
            right = figure["expected"] if figure["baseline"] is None else figure["baseline"]
            message = f"{figure['candidate']} instead of {right}"
            if figure["candidate"] is None:  # too large to be listed: report its worst element
                message = f"off by {figure['absolute_error']} at {figure['worst']}"
            failure = ElementTree.SubElement(case, "failure", type=figure["verdict"], message=_xml_text(message))
            failure.text = _xml_text(sentences.get((phase, figure["name"]), ""))
    for missing in comparison["missing"]:
        name, phase = _xml_text(missing["node"]), missing["phase"]
        case = ElementTree.SubElement(suite, "testcase", classname=f"gradbook.{phase}", name=name)
        message = "given as none" if missing["given"] == "none" else "not given"
        if require_all:
            failures += 1
            ElementTree.SubElement(case, "failure", type="missing", message=message)
        else:
            skipped += 1
            ElementTree.SubElement(case, "skipped", message=message)
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(failures))
    suite.set("skipped", str(skipped))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _xml_text(text: str) -> str:
    """Replace the characters that XML 1.0 forbids."""
    return "".join("\ufffd" if character < " " or character in "\ufffe\uffff" else character for character in text)
