"""What /metrics reads when it is asked."""

import re

import requests
from prometheus_client.parser import text_string_to_metric_families

from service.api.http.readings import GAUGES
from tests.large_requests import PATIENCE


def test_a_service_shows_its_load_and_its_caches(service_url: str) -> None:
    text = requests.get(f"{service_url}/metrics", timeout=PATIENCE).text
    samples = {
        (sample.name, sample.labels.get("cache")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert {name for name, _ in samples} >= GAUGES.keys()
    for cache in ("graphs", "records", "tensors", "comparisons"):
        held, limit = samples["gradbook_cache_bytes", cache], samples["gradbook_cache_limit_bytes", cache]
        assert 0 <= held <= limit
        assert samples["gradbook_cache_hits_total", cache] >= 0 and samples["gradbook_cache_misses_total", cache] >= 0
    assert samples["gradbook_server_connections", None] >= 1
    assert samples["gradbook_worker_memory_limit_bytes", None] > 0
    assert samples["process_resident_memory_bytes", None] > 0


def test_every_gauge_is_told_once_and_in_words(service_url: str) -> None:
    text = requests.get(f"{service_url}/metrics", timeout=PATIENCE).text
    told = re.findall(r"^# HELP (\S+) (.+)$", text, re.MULTILINE)
    assert len(dict(told)) == len(told)
