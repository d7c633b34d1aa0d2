"""The examples run against a real service."""

import importlib.util
from pathlib import Path

import pytest


@pytest.mark.peers
def test_record_pytorch(service_url: str) -> None:
    path = Path(__file__).parent.parent / "examples" / "record_pytorch.py"
    spec = importlib.util.spec_from_file_location("record_pytorch", path)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    assert example.main(service_url) == "float32: same; float64: differ, origins [], rounding"
