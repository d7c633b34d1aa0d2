"""Small requests that are large enough to be answered by a worker process."""

import json
from collections.abc import Mapping
from typing import Any

import requests

from service.api.http.elsewhere import LARGE_BODY

JSON = {"Content-Type": "application/json"}
LARGE = " " * (LARGE_BODY + 1)  # after a body: it is then read elsewhere
PATIENCE = 60


def post(url: str, body: Any, large: bool = True, headers: Mapping[str, str] = JSON) -> requests.Response:
    """The answer to a body, which is large if need be."""
    text = body if isinstance(body, str) else json.dumps(body)
    return requests.post(url, (text + LARGE * large).encode(), headers={**JSON, **headers}, timeout=PATIENCE)
