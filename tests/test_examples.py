"""The examples run against a real service."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

EXAMPLES = Path(__file__).parents[1] / "examples"
# Of a family of that type, the ends of the names of its samples, and its own name.
ENDINGS = {"counter": ("_total",), "histogram": ("", "_bucket", "_count", "_sum")}


@pytest.mark.peers
def test_record_pytorch(service_url: str) -> None:
    path = EXAMPLES / "record_pytorch.py"
    spec = importlib.util.spec_from_file_location("record_pytorch", path)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    assert example.main(service_url) == "float32: same; float64: differ, origins [], rounding"


@pytest.mark.peers
def test_the_gate_lets_main_pass_and_stops_a_change_that_forgets_to_scale(service_url: str, tmp_path: Path) -> None:
    """The workflow's own steps: main is recorded and becomes the baseline, then a pull request is held against it."""
    workflow = yaml.safe_load((EXAMPLES / "gate" / "gradients.yml").read_text(encoding="utf-8"))
    steps = {step["name"]: step["run"] for step in workflow["jobs"]["gate"]["steps"] if "name" in step}
    model, summary = Path(shutil.copy(EXAMPLES / "gate" / "model.py", tmp_path)), tmp_path / "summary.md"
    variables = {"GRADBOOK_URL": service_url, "GITHUB_SHA": "1a2b3c", "GITHUB_STEP_SUMMARY": str(summary)}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def run(step: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-eo", "pipefail", "-c", steps[step]]
        environment = {**os.environ, **variables, "PATH": path}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert [run(step).returncode for step in ("Record", "Make it the baseline", "Hold against main")] == [0, 0, 0]
    assert summary.read_text(encoding="utf-8").startswith("### Against classifier:main it passes")

    model.write_text(model.read_text(encoding="utf-8").replace("(scores / math.sqrt(8))", "scores"), encoding="utf-8")
    assert run("Record").returncode == 0
    held = run("Hold against main")
    assert held.returncode == 1 and held.stdout.endswith("fails: 1 figure is wrong by itself\n"), held
    (sentence,) = [line for line in summary.read_text(encoding="utf-8").splitlines() if line.startswith("- ")]
    assert sentence.startswith("- softmax is ") and sentence.endswith(r"\(model.py:23\)")


def test_the_dashboard_and_its_page_name_metrics_that_there_are(service_url: str) -> None:
    dashboard = json.loads((EXAMPLES / "grafana" / "gradbook.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    page = (EXAMPLES.parent / "docs" / "observing.md").read_text(encoding="utf-8")
    families = text_string_to_metric_families(requests.get(f"{service_url}/metrics", timeout=60).text)
    there = {f"{family.name}{ending}" for family in families for ending in ENDINGS.get(family.type, ("",))}
    assert len(queries) >= 20 and all("gradbook_" in query or "process_" in query for query in queries)
    for text in (*queries, page):
        assert set(re.findall(r"\b(?:gradbook|process)_[a-z_]+(?<!_)", text)) <= there, text
