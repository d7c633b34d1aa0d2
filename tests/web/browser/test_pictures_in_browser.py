"""Pictures in a real browser: its fonts keep to the room that they are given, and its colours to the contrast."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.core.graph.building import build_graph
from service.web.captions import Subject, text_width
from service.web.picture import draw_svg
from service.web.style import FIGURE, NAME, SIGN
from service.web.view import choose_view
from tests.web.drawings import NEURON, NEURON_POINT, random_graph, run_of, written
from tests.web.test_picture import contrast

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--virtual-time-budget=1000", "--dump-dom"),
)
MEASURE = """<script>
const found = [];
for (const text of document.querySelectorAll("svg text")) {
  const style = getComputedStyle(text);
  found.push({kind: text.getAttribute("class"), text: text.firstChild.data,
              width: text.getComputedTextLength(), fill: style.fill, size: style.fontSize});
}
const papers = [...document.querySelectorAll(".paper, .node rect")].map(paper => getComputedStyle(paper).fill);
document.body.innerHTML = "<pre></pre>";
document.querySelector("pre").textContent = JSON.stringify({found, papers});
</script>"""

pytestmark = pytest.mark.browser


def measure(svgs: list[str], folder: Path, *options: str) -> dict[str, Any]:
    """What Chromium makes of the texts of pictures on one page."""
    assert CHROMIUM, "Chromium is not installed"
    page = folder / "page.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><body>{''.join(svgs)}{MEASURE}", encoding="utf-8")
    command = [CHROMIUM, *QUIET, *options, f"--user-data-dir={folder}/profile", f"file://{page}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    (text,) = re.findall("<pre>(.*?)</pre>", done.stdout, re.DOTALL)
    measured: dict[str, Any] = json.loads(html.unescape(text))
    return measured


def size_of(text: dict[str, Any]) -> float:
    sizes = {"sign": SIGN, "value": FIGURE, "gradient": FIGURE, "input": FIGURE}
    return sizes.get(text["kind"].split()[-1], NAME)


def hexadecimal(colour: str) -> str:
    return "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", colour)[:3])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_keep_to_their_room_and_to_their_contrast(tmp_path: Path, scheme: str) -> None:
    printable = [chr(code) for code in range(33, 127) if chr(code) != "`"]
    subjects = [
        run_of(written(NEURON), NEURON_POINT, "neuron"),
        run_of(random_graph(50, 3), key="random"),
        run_of(
            written("y = tanh(`a long name of layer1.weight` * w) ^ 2"),
            {"a long name of layer1.weight": [[1.0, 2.0]], "w": -1e-300},
            "tensor",
        ),
    ]
    for characters in (printable[:47], printable[47:], list("◆◇◈△‖−×÷∂≤≥√∞…°")):
        inputs = [{"name": character * 5, "operation": "Input"} for character in characters]
        subjects.append(Subject(f"characters-{ord(characters[0])}", "", build_graph(inputs)))
    subjects.append(replace(subjects[0], key="plain", run=None))
    svgs = [draw_svg(subject, choose_view(subject.graph, None, None)) for subject in subjects]
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    measured = measure(svgs, tmp_path, *dark)
    assert len(measured["found"]) > 200
    for text in measured["found"]:
        assert text["size"] == f"{size_of(text):g}px"
    wide = {text["text"] for text in measured["found"] if text["width"] > text_width(text["text"], size_of(text))}
    assert wide == set()
    papers = {hexadecimal(colour) for colour in measured["papers"]}
    assert all(contrast(hexadecimal(text["fill"]), paper) >= 7 for text in measured["found"] for paper in papers)
    assert all((contrast(paper, "#ffffff") > 10) == (scheme == "dark") for paper in papers)
